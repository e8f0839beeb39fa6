"""Requests as bytes on a connection of one's own, for what no client library sends."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import httpx

TIMEOUT_SECONDS = 120
_READ_BYTES = 65536


class Wire:
    """One TCP connection to a server on loopback."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS)
        self._received = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def send(self, content: bytes) -> None:
        """Send bytes; a server that has already refused and closed is no error."""
        with contextlib.suppress(ConnectionError):
            self._socket.sendall(content)

    def expect_continue(self) -> None:
        """Return once the server has said that it is waiting for the body: the request is in flight then."""
        status, _, self._received = self._head()
        assert status == 100, status

    def answer(self, *, to: str = "GET") -> httpx.Response | None:
        """Return the next answer; None when the server closed without one. *to* is the request's method."""
        try:
            status, headers, rest = self._head()
        except EOFError:
            return None
        length = 0 if to == "HEAD" or status in {204, 304} else int(dict(headers)["content-length"])
        while len(rest) < length:
            rest += self._read()
        self._received = rest[length:]
        return httpx.Response(status, headers=headers, content=rest[:length])

    def is_closed(self) -> bool:
        """Return whether the server has closed its side; waits for it or for another answer."""
        try:
            return not self._received and not self._socket.recv(_READ_BYTES)
        except ConnectionError:
            return True

    def _head(self) -> tuple[int, list[tuple[str, str]], bytes]:
        while b"\r\n\r\n" not in self._received:
            self._received += self._read()
        head, _, rest = self._received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        version, status = first.split(" ")[:2]
        assert version == "HTTP/1.1", first
        pairs = (line.partition(":") for line in lines)
        return int(status), [(name.lower(), value.strip()) for name, _, value in pairs], rest

    def _read(self) -> bytes:
        try:
            content = self._socket.recv(_READ_BYTES)
        except ConnectionError:
            content = b""
        if not content:
            raise EOFError
        return content


def head(method: str, target: str, headers: Mapping[str, str]) -> bytes:
    """Return a request's head; a `Host` is added where there is none."""
    lines = [f"{method} {target} HTTP/1.1"]
    if not any(name.lower() == "host" for name in headers):
        lines.append("Host: 127.0.0.1")
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
