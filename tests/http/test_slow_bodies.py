"""Clients that send their bodies slowly, or never, do not keep others from being answered."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

from tests.http.surface import Surface


async def test_a_request_whose_body_never_comes_is_not_in_flight() -> None:
    surface = Surface(max_in_flight=1)
    waiting = asyncio.Event()

    async def never() -> MutableMapping[str, Any]:
        waiting.set()
        await asyncio.Event().wait()
        raise AssertionError("nothing comes")

    async def nowhere(_message: MutableMapping[str, Any]) -> None: ...

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/odd",
        "raw_path": b"/odd",
        "query_string": b"",
        "headers": [
            (b"host", b"localhost:8000"),
            (b"content-type", b"application/json"),
            (b"content-length", b"9"),
        ],
        "http_version": "1.1",
        "scheme": "http",
        "client": ("127.0.0.1", 40000),
        "server": ("127.0.0.1", 8000),
    }
    slow = asyncio.create_task(surface.app(scope, never, nowhere))
    await waiting.wait()

    assert (await surface.ask("GET", "/odd/1")).status == 200

    slow.cancel()
    await asyncio.gather(slow, return_exceptions=True)
    assert (await surface.ask("GET", "/odd/1")).status == 200
