"""The application log: one JSON line per record, without secrets.

An exception is shown as its class and where it was raised, never with its message: a message may quote what a client
sent. Texts that look like tokens are blotted out everywhere.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
import traceback
from types import TracebackType
from typing import IO, Any

_TOKENS = re.compile(
    r"sd[a-z][0-9]_[A-Za-z0-9_-]+|session:[0-9]+:[0-9a-fA-F]+|eyJ[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)*"
    r"|(?i:bearer)\s+[^\s\"',]+"
)
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
_MOST_FRAMES = 12


def escaped(text: str) -> str:
    """Return *text* with everything that is not printable as an escape, so that it stays one harmless line."""
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def redacted(text: str) -> str:
    """Return *text* with whatever looks like a token blotted out."""
    return _TOKENS.sub("[redacted]", text)


_second = (0, "")


def timestamp(millis: int) -> str:
    """Return Unix milliseconds as RFC 3339 text; the part up to the second is kept from call to call."""
    global _second  # noqa: PLW0603 - a memo of one value, written whole
    second = millis // 1000
    known, text = _second
    if known != second:
        text = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))
        _second = (second, text)
    return f"{text}{millis % 1000:03d}Z"


def frames_of(trace: TracebackType | None) -> list[str]:
    """Return where an exception passed, innermost last, as `module:line function`."""
    return [
        f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(trace)[-_MOST_FRAMES:]
    ]


class JsonFormatter(logging.Formatter):
    """Formats a record as one line: at, level, event (the message), logger, then what `extra=` gave."""

    def format(self, record: logging.LogRecord) -> str:
        """Return *record* as one line of JSON, in ASCII."""
        line: dict[str, Any] = {
            "at": timestamp(int(record.created * 1000)),
            "level": record.levelname.lower(),
            "event": redacted(record.getMessage()),
            "logger": record.name,
        }
        for name, value in vars(record).items():
            if name not in _OWN:
                line[name] = redacted(str(value)) if not isinstance(value, int | float | bool) else value
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__qualname__
            line["frames"] = frames_of(record.exc_info[2])
        return json.dumps(line)


def configure_logs(stream: IO[str] | None = None, level: int = logging.INFO) -> None:
    """Send every log record of the process to *stream* (standard error) as JSON lines."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
