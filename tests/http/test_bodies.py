"""What bad bodies and queries get: a clear 4xx, and nothing reached the handler."""

from __future__ import annotations

import contextlib
import json
import sys

import msgspec
import pytest

from sessiond.http.json_body import decode_json, parse_json
from sessiond.http.refusals import Fault, InvalidMembers, MalformedBody
from tests.http.oddities import NewOddity
from tests.http.surface import Surface

GOOD = b'{"name":"n"}'


async def test_a_body_of_the_declared_shape_reaches_the_handler() -> None:
    answer = await Surface().ask("POST", "/odd", b'{"name":"n","points":[{"x":1,"y":2}]}')

    assert (answer.status, answer.json) == (201, {"name": "n", "size": 0, "points": [{"x": 1, "y": 2}]})


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"name":"n"',
        b'{"name":"n"}}',
        b"nonsense",
        b'{"name":"n","name":"m"}',
        b'{"name": "n", "name": "n"}',
        b'{"name":"n","\\u006eame":"m"}',
        b'{"name":"n","points":[{"x":1,"y":1,"x":2}]}',
        b'{"name":"n","size":NaN}',
        b'{"name":"n","size":' + b"9" * 5000 + b"}",
        b'{"name":"n","size":1e400}',
        b'{"name":"\\ud800"}',
        b'{"name":"\xff"}',
        b'\xef\xbb\xbf{"name":"n"}',
        '{"name":"n"}'.encode("utf-16"),
        b'{"name":"a\x01b"}',
        b"[" * 30_000,
        b'{"name":' * 8_000,
    ],
)
async def test_a_malformed_body_is_refused_before_the_handler(body: bytes) -> None:
    surface = Surface()

    for path in ("/odd", "/raw"):
        answer = await surface.ask("POST", path, body)

        assert answer.status == 400
        assert answer.json["oops"] in {"malformed_body", "invalid_body"}
    assert surface.world.reached == []


@pytest.mark.parametrize("body", [b"null", b"[]", b'"text"', b"5", b"true"])
async def test_json_that_is_no_object_is_refused_where_an_object_is_asked_for(body: bytes) -> None:
    surface = Surface()

    assert (await surface.ask("POST", "/odd", body)).json == {"oops": "invalid_body"}
    assert (await surface.ask("POST", "/raw", body)).json["value"]["value"] == json.loads(body)


def test_every_fault_is_told_with_its_json_pointer() -> None:
    with pytest.raises(InvalidMembers) as refused:
        decode_json(b'{"size":"big","points":[{"x":1,"y":"2"}],"a/b":1}', NewOddity)

    assert set(refused.value.faults) == {
        Fault("/name", "is required"),
        Fault("/size", "Expected `int`, got `str`"),
        Fault("/points/0/y", "Expected `int`, got `str`"),
        Fault("/a~1b", "is not a known member"),
    }


class _Client(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    address: str | None = None


class _WithClient(msgspec.Struct, forbid_unknown_fields=True):
    client: _Client | None = None
    size: int = 0


def test_every_fault_within_a_member_is_told_too() -> None:
    with pytest.raises(InvalidMembers) as refused:
        decode_json(b'{"size":"big","client":{"address":7,"ip":"::1"}}', _WithClient)

    assert set(refused.value.faults) == {
        Fault("/size", "Expected `int`, got `str`"),
        Fault("/client/address", "Expected `str | null`, got `int`"),
        Fault("/client/ip", "is not a known member"),
        Fault("/client/name", "is required"),
    }


def test_the_faults_of_a_body_with_ten_thousand_unknown_members_stay_few() -> None:
    body = json.dumps({"name": "n"} | {f"m{i}": i for i in range(10_000)}).encode()

    with pytest.raises(InvalidMembers) as refused:
        decode_json(body, NewOddity)

    assert len(refused.value.faults) <= 100


def test_duplicate_members_are_told_apart_from_other_malformed_json() -> None:
    with pytest.raises(MalformedBody) as refused:
        parse_json(b'[{"a":{"b":1,"b":2}}]')

    assert refused.value.duplicate


def test_at_no_depth_a_body_is_anything_but_read_or_refused() -> None:
    """Reading it, writing it and looking at each object come to the interpreter's limit at depths of their own."""
    for depth in range(1, sys.getrecursionlimit() + 100):
        with contextlib.suppress(MalformedBody):
            parse_json(b"[" * depth + b"]" * depth)


async def test_unknown_members_are_ignored_where_the_struct_says_so() -> None:
    surface = Surface()

    assert (await surface.ask("POST", "/loose", b'{"name":"n","more":1}')).json["value"] == "n"
    assert (await surface.ask("POST", "/odd", b'{"name":"n","more":1}')).json == {"oops": "invalid_body"}


@pytest.mark.parametrize("ignored", [b'"\xff"', b"1e400", b'{"a":1,"a":1}'])
async def test_what_is_ignored_must_be_sound_json_too(ignored: bytes) -> None:
    answer = await Surface().ask("POST", "/loose", b'{"name":"n","more":%b}' % ignored)

    assert (answer.status, answer.json) == (400, {"oops": "malformed_body"})


@pytest.mark.parametrize("body", [b"", b" \r\n"])
async def test_an_empty_body_is_told_from_a_wrong_one_whatever_its_type(body: bytes) -> None:
    surface = Surface()

    for content_type in ("application/json", "text/html"):
        answer = await surface.ask("POST", "/odd", body, headers=[("content-type", content_type)])
        assert (answer.status, answer.json) == (400, {"oops": "empty_body"})
    assert (await surface.ask("POST", "/loose", body)).json["value"] is None
    assert (await surface.ask("POST", "/raw", body)).json["value"]["absent"] is True


@pytest.mark.parametrize(
    "headers",
    [
        [("content-type", "text/plain")],
        [("content-type", "application/x-www-form-urlencoded")],
        [("content-type", "application/json; charset=utf-16")],
        [("content-type", "application/jsonx")],
        [("content-type", "")],
        [("content-type", "application/json"), ("content-encoding", "gzip")],
    ],
)
async def test_a_wrong_content_type_is_refused(headers: list[tuple[str, str]]) -> None:
    surface = Surface()

    answer = await surface.ask("POST", "/odd", GOOD, headers=headers)

    assert (answer.status, answer.json) == (415, {"oops": "unsupported_media_type"})
    assert surface.world.reached == []


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "Application/JSON ; charset=UTF-8", 'application/json;charset="utf-8"'],
)
async def test_json_may_say_that_it_is_utf8(content_type: str) -> None:
    answer = await Surface().ask("POST", "/odd", GOOD, headers=[("content-type", content_type)])

    assert answer.status == 201


async def test_a_body_over_the_limit_is_refused_by_its_length_and_by_its_bytes() -> None:
    surface = Surface()
    big = b'{"name":"' + b"x" * 65_536 + b'"}'

    announced = await surface.ask("POST", "/odd", GOOD, headers=[("content-length", "65537")])
    chunked = await surface.ask("POST", "/odd", [big[:40_000], big[40_000:]])
    absurd = await surface.ask("POST", "/odd", GOOD, headers=[("content-length", "9" * 5000)])
    smaller = await surface.ask("POST", "/loose", b'{"name":"' + b"x" * 100 + b'"}')

    for answer in (announced, chunked, absurd, smaller):
        assert (answer.status, answer.json) == (413, {"oops": "body_too_large"})
    assert surface.world.reached == []


async def test_a_body_of_exactly_the_limit_is_taken() -> None:
    body = b'{"name":"' + b"x" * (65_536 - 11) + b'"}'

    assert len(body) == 65_536
    assert (await Surface().ask("POST", "/odd", body)).status == 201


async def test_a_body_that_no_endpoint_declares_is_ignored() -> None:
    answer = await Surface().ask("POST", "/bodiless", b"{nonsense", headers=[("content-type", "text/html")])

    assert answer.status == 200


async def test_a_form_decodes_to_the_same_struct() -> None:
    surface = Surface()
    form = [("content-type", "application/x-www-form-urlencoded;charset=UTF-8")]

    assert (await surface.ask("POST", "/loose", b"name=a%20b+c&other=", headers=form)).json[
        "value"
    ] == "a b c"
    assert (await surface.ask("POST", "/raw", b"a=1&b=", headers=form)).json["value"]["value"] == {
        "a": "1",
        "b": "",
    }


@pytest.mark.parametrize(
    "body", [b"name=a&name=b", b"name=%FF", b"name=\xff", b"&".join([b"n%d=1" % i for i in range(101)])]
)
async def test_an_ambiguous_form_is_refused(body: bytes) -> None:
    surface = Surface()

    answer = await surface.ask(
        "POST", "/raw", body, headers=[("content-type", "application/x-www-form-urlencoded")]
    )

    assert (answer.status, answer.json) == (400, {"oops": "malformed_body"})


async def test_a_raw_body_of_text_is_text() -> None:
    surface = Surface()
    text = [("content-type", "text/plain")]

    assert (await surface.ask("POST", "/raw", "é".encode(), headers=text)).json["value"]["value"] == "é"
    assert (await surface.ask("POST", "/raw", b"\xff", headers=text)).status == 400


async def test_a_query_decodes_to_its_struct() -> None:
    answer = await Surface().ask("GET", "/odd?page=2&word=a+b&tag=x&tag=y")

    assert answer.json["value"] == {"page": 2, "word": "a b", "tag": ["x", "y"]}


@pytest.mark.parametrize(
    "query", ["page=2&page=3", "page=two", "page=1.5", "other=1", "page=", "word=a&word=a"]
)
async def test_a_query_of_a_wrong_shape_is_refused(query: str) -> None:
    answer = await Surface().ask("GET", f"/odd?{query}")

    assert (answer.status, answer.json) == (400, {"oops": "invalid_query"})


@pytest.mark.parametrize("query", ["word=%FF", "&".join(f"n{i}=1" for i in range(101))])
async def test_a_query_that_cannot_be_read_is_refused(query: str) -> None:
    answer = await Surface().ask("GET", f"/odd?{query}")

    assert (answer.status, answer.json) == (400, {"oops": "malformed_query"})


async def test_the_credential_counts_before_the_body_unless_the_dialect_says_otherwise() -> None:
    surface = Surface()

    assert (await surface.ask("POST", "/key", b"{nonsense")).status == 401
    assert (await surface.ask("POST", "/open/plain", b"{nonsense")).status == 400
    assert (await surface.ask("POST", "/open/plain", b'{"name":5}')).status == 401


async def test_a_client_that_goes_away_within_its_body_changes_nothing() -> None:
    surface = Surface()

    with pytest.raises(ValueError, match="not enough values"):  # nothing was answered
        await surface.ask("POST", "/odd", [], headers=[("content-type", "application/json")])

    assert surface.world.reached == []
    assert surface.log_lines()[0]["status"] == 499
