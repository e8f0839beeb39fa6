"""Junk at every endpoint: a clear 4xx in the dialect's own shape, nothing logged of it, and the server goes on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.server_process import ServerProcess
from tests.system.junk import (
    BODIES,
    CANARY,
    CONTENT_TYPES,
    HEADERS,
    JSON,
    METHODS,
    NAMES,
    QUERIES,
    UNREADABLE,
)
from tests.system.operations import Operation, operations_of
from tests.system.refusals import SHAPES
from tests.system.waiting import eventually
from tests.system.wire import Wire, head

pytestmark = pytest.mark.slow

SETTINGS = {"SESSIOND_DEVICE_NEW_PER_HOUR": "100000", "SESSIOND_DEVICE_MAX_SESSIONS_PER_IP": "100000"}
MOST_GROWTH_KIB = 64 * 1024


@pytest.fixture(scope="module")
def junked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess.started(tmp_path_factory.mktemp("junk"), settings=SETTINGS) as process:
        yield process


@pytest.fixture(scope="module")
def operations(junked: ServerProcess) -> list[Operation]:
    found = operations_of(junked.url)
    assert {operation.dialect for operation in found} == set(SHAPES)
    return found


def answer_to(server: ServerProcess, content: bytes, *, method: str = "GET") -> httpx.Response | None:
    """Send *content* on a connection of its own, and return the first answer."""
    with Wire(server.port) as wire:
        wire.send(content)
        return wire.answer(to=method)


def assert_clear(answer: httpx.Response | None, operation: Operation, *, dialects: tuple[str, ...]) -> None:
    """Fail unless *answer* is no fault of ours and, where it refuses, has the shape of one of *dialects*."""
    where = f"{operation.method} {operation.template}"
    assert answer is not None, f"{where}: no answer"
    said = f"{where}: {answer.status_code} {dict(answer.headers)} {answer.text[:300]!r}"
    assert answer.status_code < 500, said
    assert "x-injected" not in answer.headers, said
    assert answer.headers["x-request-id"], said
    if answer.status_code >= 400:
        assert any(SHAPES[dialect](answer) for dialect in dialects), said


def request(
    operation: Operation, headers: Mapping[str, str], body: bytes = b"", path: str | None = None
) -> bytes:
    return head(operation.method, path or operation.path, headers) + body


def with_length(headers: Mapping[str, str], body: bytes) -> dict[str, str]:
    return {**headers, "Content-Length": str(len(body))}


@pytest.mark.parametrize("words", BODIES)
@pytest.mark.parametrize("signed", [True, False], ids=["with a key", "without"])
def test_a_body_of_junk(junked: ServerProcess, operations: list[Operation], words: str, signed: bool) -> None:
    body = BODIES[words]
    headers = {"Content-Type": JSON} | (junked.authorization if signed else {})

    for operation in operations:
        if operation.takes_body:
            answer = answer_to(
                junked, request(operation, with_length(headers, body), body), method=operation.method
            )
            assert_clear(answer, operation, dialects=(operation.dialect,))


def test_a_body_of_junk_changes_nothing(junked: ServerProcess) -> None:
    """The subjects that stand in it have no sessions."""
    for subject in ("a", "b"):
        listed = httpx.get(
            f"{junked.url}/v1/sessions", params={"subject": subject}, headers=junked.authorization
        )
        assert listed.json()["items"] == []


@pytest.mark.parametrize("words", CONTENT_TYPES)
def test_a_body_of_another_type(junked: ServerProcess, operations: list[Operation], words: str) -> None:
    body = json.dumps({"subject": "typed", "identifier": "typed", "refresh_token": CANARY}).encode()
    headers = {**junked.authorization, **CONTENT_TYPES[words]}

    for operation in operations:
        if operation.takes_body:
            answer = answer_to(
                junked, request(operation, with_length(headers, body), body), method=operation.method
            )
            assert_clear(answer, operation, dialects=(operation.dialect,))
            assert answer is not None
            assert answer.status_code >= 400


@pytest.mark.parametrize("words", HEADERS)
def test_headers_of_junk(junked: ServerProcess, operations: list[Operation], words: str) -> None:
    for operation in operations:
        headers = with_length(HEADERS[words], b"")
        answer = answer_to(junked, request(operation, headers), method=operation.method)
        assert_clear(answer, operation, dialects=(operation.dialect,))


@pytest.mark.parametrize("words", NAMES)
def test_names_of_junk(junked: ServerProcess, operations: list[Operation], words: str) -> None:
    for operation in operations:
        if operation.has_name:
            path = operation.with_name(NAMES[words])
            headers = with_length(junked.authorization, b"")
            answer = answer_to(junked, request(operation, headers, path=path), method=operation.method)
            # What is no path of a dialect any more may be refused by whoever owns what it became.
            assert_clear(answer, operation, dialects=tuple(SHAPES))


@pytest.mark.parametrize("words", QUERIES)
def test_queries_of_junk(junked: ServerProcess, operations: list[Operation], words: str) -> None:
    for operation in operations:
        headers = with_length(junked.authorization, b"")
        path = operation.path + QUERIES[words]
        answer = answer_to(junked, request(operation, headers, path=path), method=operation.method)
        assert_clear(answer, operation, dialects=(operation.dialect,))


@pytest.mark.parametrize("words", UNREADABLE)
def test_what_cannot_be_read_without_doubt(
    junked: ServerProcess, operations: list[Operation], words: str
) -> None:
    for operation in operations:
        content = UNREADABLE[words](operation)
        answer = answer_to(junked, content, method=operation.method)
        # Before a path is known, nobody but the server itself can refuse; another path may be anybody's.
        elsewhere = answer is not None and answer.status_code == 404
        assert_clear(
            answer, operation, dialects=tuple(SHAPES) if elsewhere else (operation.dialect, "server")
        )


def test_a_method_that_a_path_does_not_have(junked: ServerProcess, operations: list[Operation]) -> None:
    known: dict[str, set[str]] = {}
    for operation in operations:
        known.setdefault(operation.template, set()).add(operation.method)
    for operation in operations:
        for method in METHODS:
            if method in known[operation.template] | {"HEAD", "OPTIONS"}:
                continue
            odd = operation._replace(method=method)
            answer = answer_to(junked, request(odd, junked.authorization), method=method)
            assert_clear(answer, odd, dialects=(operation.dialect, "server"))
            assert answer is not None
            assert answer.status_code in {400, 404, 405}
            if answer.status_code == 405:
                assert known[operation.template] <= set(answer.headers["allow"].split(", "))


def test_every_json_body_that_is_deep_large_or_long_leaves_the_memory_as_it_was(
    junked: ServerProcess,
) -> None:
    large = b'{"subject": "' + b"a" * 5_000_000 + b'"}'
    headers = with_length({"Content-Type": JSON} | junked.authorization, large)
    content = head("POST", "/v1/sessions", headers) + large
    before = memory_kib(junked)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: answer_to(junked, content, method="POST"), range(40)))

    assert {answer.status_code for answer in answers if answer is not None} <= {413}
    assert memory_kib(junked) - before < MOST_GROWTH_KIB


def memory_kib(server: ServerProcess) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    match = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert match
    return int(match[1])


def test_after_all_of_it_the_server_serves(junked: ServerProcess) -> None:
    """The last test of this file: all the others have thrown their junk before."""
    created = httpx.post(f"{junked.url}/v1/sessions", headers=junked.authorization, json={"subject": "alice"})

    assert junked.process.poll() is None
    assert httpx.get(f"{junked.url}/readyz").status_code == 200
    assert created.status_code == 201


def test_the_log_of_it_is_one_json_object_a_line_without_junk_or_secrets(junked: ServerProcess) -> None:
    last = httpx.get(f"{junked.url}/healthz").headers["x-request-id"]
    log = eventually(lambda: junked.log() if last in junked.log() else "")
    lines = log.splitlines()[first_json_line(log) :]

    entries = [json.loads(line) for line in lines]

    assert all(isinstance(entry, dict) and {"at", "level", "event"} <= set(entry) for entry in entries)
    assert [entry for entry in entries if entry.get("status", 0) >= 500 or entry["level"] == "error"] == []
    assert not re.search(r"[^\x20-\x7e\n]", log)
    for secret in (CANARY, junked.server_key, junked.master_token):
        assert secret not in log


def first_json_line(log: str) -> int:
    return next(number for number, line in enumerate(log.splitlines()) if line.startswith("{"))
