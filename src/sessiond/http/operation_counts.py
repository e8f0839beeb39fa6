"""What was answered, counted: by method, path template and status, which are ours, so that there are only so many."""

from __future__ import annotations

from sessiond.services.measures import Durations

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER_METHOD = "OTHER"


class OperationCount:
    """The answers of one status to one method of one path; *line* is their part of the access log's lines."""

    __slots__ = ("durations", "line", "method", "path", "status")

    def __init__(self, method: str, path: str, status: int, line: str) -> None:
        self.method = method
        self.path = path
        self.status = status
        self.line = line
        self.durations = Durations()
