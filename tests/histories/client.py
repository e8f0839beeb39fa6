"""One client's connections to the nodes, and when it asked and was told."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException
from typing import NamedTuple
from urllib.parse import urlsplit

_PATIENCE_SECONDS = 120


class Told(NamedTuple):
    """An answer and when it came; *status* is 0 where there was none."""

    invoked: int
    completed: int
    status: int
    body: bytes


class Client:
    """A connection to each node, of one client alone."""

    def __init__(self, urls: Sequence[str]) -> None:
        places = [urlsplit(url) for url in urls]
        self._links = [
            HTTPConnection(each.hostname or "", each.port, timeout=_PATIENCE_SECONDS) for each in places
        ]

    def ask(self, node: int, method: str, path: str, *, bearer: str | None, body: object) -> Told:
        """Send a request to *node* and wait for its answer."""
        headers = {} if bearer is None else {"Authorization": f"Bearer {bearer}"}
        content = None
        if body is not None:
            headers["Content-Type"], content = "application/json", json.dumps(body)
        link, invoked = self._links[node], time.monotonic_ns()
        try:
            link.request(method, path, content, headers)
            response = link.getresponse()
            told = response.read()
        except (OSError, HTTPException):
            link.close()
            return Told(invoked, time.monotonic_ns(), 0, b"")
        return Told(invoked, time.monotonic_ns(), response.status, told)

    def close(self) -> None:
        """Close the connections."""
        for link in self._links:
            link.close()
