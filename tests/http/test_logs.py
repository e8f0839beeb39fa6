"""Attack rows 21 and 22 for logs: one line each, never a token."""

from __future__ import annotations

import io
import json
import logging
import os
import sys

import pytest

from sessiond.domain.callers import ServerCaller
from sessiond.domain.ids import DEFAULT_PROJECT
from sessiond.http.access_log import AccessLog, write_to
from sessiond.http.edge import Edge
from sessiond.http.head import Head
from sessiond.http.logs import JsonFormatter, configure_logs, escaped, redacted, timestamp
from sessiond.http.peer import Connection
from sessiond.http.request import Request
from tests.deployment import SetClock
from tests.http.oddities import SERVER_KEY
from tests.http.surface import Lines, Surface

SECRET = "sda1_secretsecretsecret"


async def test_a_request_is_one_line_with_the_template_of_its_path() -> None:
    surface = Surface()

    answer = await surface.ask("GET", "/odd/7?word=x")

    (line,) = surface.log_lines()
    assert line == {
        "at": line["at"],
        "event": "request",
        "request_id": answer.header("x-request-id"),
        "level": "info",
        "method": "GET",
        "path": "/odd/{id}",
        "status": 200,
        "duration_us": line["duration_us"],
        "client": "127.0.0.1",
        "caller": None,
    }
    assert line["duration_us"] >= 0


async def test_the_caller_is_named_by_its_label() -> None:
    surface = Surface()

    await surface.ask("GET", "/key", headers=[("authorization", f"Bearer {SERVER_KEY}")])
    await surface.ask("GET", "/break")

    assert [(line["caller"], line["level"]) for line in surface.log_lines()] == [
        ("server_key:tests", "info"),
        (None, "error"),
    ]


async def test_nothing_that_a_client_sends_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    surface = Surface()
    headers = [
        (name, f"Bearer {SECRET}" if name == "authorization" else f"sid={SECRET}")
        for name in (
            "authorization",
            "cookie",
            "x-stack-refresh-token",
            "user-agent",
            "referer",
            "x-request-id",
        )
    ]

    with caplog.at_level(logging.DEBUG):
        for path in (
            f"/odd/{SECRET}",
            f"/{SECRET}",
            f"/odd?word={SECRET}",
            "/key",
            "/session",
            "/break",
            "/cookie",
        ):
            await surface.ask("GET", path, headers=headers)
            await surface.ask("POST", path, json.dumps({SECRET: SECRET}).encode(), headers=headers)
        await surface.ask(SECRET, "/odd")

    assert surface.log_lines()
    assert SECRET not in surface.log.written.getvalue().decode()
    assert not any(SECRET in JsonFormatter().format(record) for record in caplog.records)


def test_a_name_with_control_characters_stays_one_harmless_line() -> None:
    kept = Lines()
    log = AccessLog(kept.write)
    request = Request(Head("GET", "/", b"", []), Connection(("\x1b[31m", 1), None), Edge(), SetClock(), "id")
    request.caller = ServerCaller(project=DEFAULT_PROJECT, name='a\r\n{"x":"\x1b[2J\x9b\u2028"}', key_id="k")

    log.record(request, "/x", 200, 0)
    log.flush()

    (line,) = kept.written.getvalue().splitlines()
    assert line.isascii()
    assert line.decode().isprintable()
    assert json.loads(line)["caller"].startswith("server_key:a\\u000d\\u000a")


def test_a_reader_of_the_log_that_went_away_hurts_nobody() -> None:
    read, write = os.pipe()
    os.close(read)

    write_to(write)(b"a line\n")

    os.close(write)


def test_a_record_is_one_line_of_json() -> None:
    stream = io.StringIO()
    before = logging.getLogger().handlers[:], logging.getLogger().level
    try:
        configure_logs(stream)
        try:
            int(SECRET)
        except ValueError:
            logging.getLogger("sessiond.test").exception(
                "it\nfailed %s", "here", extra={"why": "a\x1bb", "count": 3}
            )
    finally:
        logging.getLogger().handlers[:], _ = before
        logging.getLogger().setLevel(before[1])

    (text,) = stream.getvalue().splitlines()
    line = json.loads(text)
    assert line["event"] == "it\nfailed here"
    assert (line["level"], line["logger"], line["why"], line["count"]) == (
        "error",
        "sessiond.test",
        "a\x1bb",
        3,
    )
    assert line["error"] == "ValueError"
    assert line["frames"][0].startswith("test_logs.py:")
    assert "\x1b" not in text
    assert SECRET not in text


@pytest.mark.parametrize(
    "text",
    [
        "sda1_AbC-_123",
        "sdk1_x",
        "session:1705312200:a1b2",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln",
        "Bearer whatever-it-is",
        "bearer x",
    ],
)
def test_what_looks_like_a_token_is_blotted_out(text: str) -> None:
    assert redacted(f"before {text} after") == "before [redacted] after"


def test_escapes_name_what_is_not_printable() -> None:
    assert escaped("aé\n\x1b") == "aé\\u000a\\u001b"


def test_a_timestamp_is_rfc3339_in_utc_with_milliseconds() -> None:
    assert timestamp(1_705_312_200_007) == "2024-01-15T09:50:00.007Z"
    assert timestamp(1_705_312_200_999) == "2024-01-15T09:50:00.999Z"
    assert timestamp(1_705_312_201_000) == "2024-01-15T09:50:01.000Z"


def test_the_log_goes_to_standard_error_unless_told_otherwise() -> None:
    before = logging.getLogger().handlers[:], logging.getLogger().level
    try:
        configure_logs()
        (handler,) = logging.getLogger().handlers
        assert getattr(handler, "stream", None) is sys.stderr
    finally:
        logging.getLogger().handlers[:], _ = before
        logging.getLogger().setLevel(before[1])
