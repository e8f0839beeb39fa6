"""Bodies: JSON is read as everybody reads it or not at all, and the PIN and vault endpoints answer 4xx to any junk."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import NoReturn

import pytest

from sessiond.http.app import App
from sessiond.http.dialects import pin_login, session_storage
from sessiond.http.edge import Edge
from sessiond.http.json_body import parse_form, parse_json
from sessiond.http.refusals import MalformedBody
from tests.deployment import SERVER_KEY, TestDeployment
from tests.fuzzing.drawing import at_any_length, edited, hold
from tests.http.surface import Answered, ask

LOGIN = '{"name":"alice","pin":"0471"}'
SAVE = '{"user_id":"usr_1","token":"a-token","expires_at":"2030-01-01T00:00:00Z"}'
REPLACE = '{"token":"a-token","expires_at":"2030-01-01T00:00:00+02:00"}'
TWICE = ['{"name":"alice","name":"bob","pin":"0471"}', '{"\\u0061":1,"a":2}', '[{"a":{"b":null,"b":null}}]']
NUMBERS = '{"a":[1,2.5,-3e10,true,false,null,{"b":"\\u00e9"}]}'
SEEDS = [LOGIN, SAVE, REPLACE, NUMBERS, *TWICE, "", "[]", "null"]
PIECES = [
    *'{}[]:,"\\ \t\n\0',
    "null",
    "NaN",
    "Infinity",
    "-0",
    "1e400",
    "1" * 30,
    "\\ud800",
    "\\ud83d\\ude00",
    "\ufeff",
    "\ud800",
    '"name":"bob",',
    '"pin":null,',
    '"token":7,',
    ',"__proto__":{}',
    "[" * 2000,
    "// x",
    "'",
]


class _TwiceError(ValueError):
    """A member stands twice."""


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _TwiceError
    return found


def _never(constant: str) -> NoReturn:
    raise ValueError(constant)


@at_any_length
def test_json_is_read_as_the_standard_library_reads_it_or_refused(examples: int) -> None:
    def check(text: str) -> None:
        body = text.encode("utf-8", "surrogatepass")
        try:
            value = parse_json(body)
        except MalformedBody:
            return
        assert value == json.loads(body.decode(), object_pairs_hook=_once, parse_constant=_never)

    hold(lambda random: edited(random, SEEDS, PIECES), check, examples)


@at_any_length
def test_a_form_has_each_field_once_or_is_refused(examples: int) -> None:
    seeds = ["token=a&hint=b", "a=", "grant_type=x+y&scope=%20"]
    pieces = ["&", "=", "%", "+", "%00", "%zz", "%C3%A9", "%ED%A0%80", ";", "token=b", "é"]

    def check(text: str) -> None:
        try:
            fields = parse_form(text.encode("utf-8", "surrogatepass"))
        except MalformedBody:
            return
        assert "".join([*fields, *fields.values()]).encode().decode() is not None
        assert sum(1 for part in text.split("&") if part) == len(fields)

    hold(lambda random: edited(random, seeds, pieces), check, examples)


class Counter:
    """The PIN and the vault endpoints over a deployment in memory."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner()
        deployment = self.runner.run(TestDeployment.born())
        edge, services = Edge(), deployment.services
        self.app = App(
            [pin_login.dialect(services, edge), session_storage.dialect(services, edge)],
            edge=edge,
            clock=deployment.clock,
        )

    def send(self, method: str, path: str, body: bytes) -> Answered:
        headers = [("Content-Type", "application/json"), ("Authorization", f"Bearer {SERVER_KEY}")]
        return self.runner.run(ask(self.app, method, path, body, headers=headers))


@pytest.fixture(scope="module")
def counter() -> Iterator[Counter]:
    made = Counter()
    yield made
    made.runner.close()


ENDPOINTS = [
    ("POST", "/auth/login", LOGIN, {400, 401, 413, 429}),
    ("POST", "/api/v1/session-storage", SAVE, {201, 400, 413}),
    ("PUT", f"/api/v1/session-storage/{'0' * 32}", REPLACE, {400, 404, 413}),
]


@at_any_length
@pytest.mark.parametrize(("method", "path", "good", "documented"), ENDPOINTS)
def test_a_body_of_junk_is_a_clear_refusal(  # noqa: PLR0917  the table's columns
    counter: Counter, method: str, path: str, good: str, documented: set[int], examples: int
) -> None:
    def check(text: str) -> None:
        answer = counter.send(method, path, text.encode("utf-8", "surrogatepass"))
        assert answer.status in documented
        assert isinstance(answer.json, dict)

    hold(lambda random: edited(random, [good] * 4 + SEEDS, PIECES), check, examples)
