"""Stack Auth: what a body or query may hold, and the messages of yup, taken from the original's own schemas."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.dialects.stack_calls import NOBODY, SERVER, SESSIONS, Stack, faults, refusal

NUMBER = "body.expires_in_millis must be a `number` type, but the final value was: `NaN` (cast from the value `{}`)."
FLAG = "body.is_impersonation must be a `boolean` type, but the final value was: `{}`."
TEXT = "body.user_id must be a `string` type, but the final value was: `{}`."
OBJECT = "body must be a `object` type, but the final value was: `{}`."
TOO_LONG = "body.expires_in_millis must be less than or equal to 31708800000"
NOT_POSITIVE = "body.expires_in_millis must be greater than or equal to 1"
NOT_WHOLE = "body.expires_in_millis must be an integer"


def of(**members: object) -> dict[str, object]:
    return {"user_id": NOBODY, **members}


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        (None, ["body cannot be null"]),
        ([], [OBJECT.format("[]")]),
        ([1, "a"], [OBJECT.format('[\n  "1",\n  "\\"a\\""\n]')]),
        ("hi", [OBJECT.format('"hi"')]),
        (5, [OBJECT.format("5")]),
        (True, [OBJECT.format("true")]),
        ({}, ["body.user_id must be defined"]),
        ({"user_id": None}, ["body.user_id cannot be null"]),
        ({"user_id": {}}, [TEXT.format("{}")]),
        ({"user_id": {"a": 1}}, [TEXT.format('{\n  "a": "1"\n}')]),
        ({"user_id": [1]}, [TEXT.format('[\n  "1"\n]')]),
        ({"user_id": ""}, ["body.user_id must be a valid user ID"]),
        ({"user_id": "x" * 257}, ["body.user_id must be a valid user ID"]),
        ({"user_id": "a\u0000b"}, ["body.user_id must be a valid user ID"]),
        (of(expires_in_millis=31_708_800_001), [TOO_LONG]),
        (of(expires_in_millis=0), [NOT_POSITIVE]),
        (of(expires_in_millis=-5), [NOT_POSITIVE]),
        (of(expires_in_millis=1.5), [NOT_WHOLE]),
        (of(expires_in_millis=-1.5), [NOT_POSITIVE, NOT_WHOLE]),
        (of(expires_in_millis="abc"), [NUMBER.format('"abc"')]),
        (of(expires_in_millis=""), [NUMBER.format('""')]),
        (of(expires_in_millis="Infinity"), [TOO_LONG, NOT_WHOLE]),
        (of(expires_in_millis="0x10g"), [NUMBER.format('"0x10g"')]),
        (of(expires_in_millis=True), [NUMBER.format("true")]),
        (of(expires_in_millis=[]), [NUMBER.format("[]")]),
        (of(expires_in_millis={"a": 1}), [NUMBER.format('{\n  "a": "1"\n}')]),
        (of(expires_in_millis=None), ["body.expires_in_millis cannot be null"]),
        (of(is_impersonation="x"), [FLAG.format('"x"')]),
        (of(is_impersonation=2), [FLAG.format("2")]),
        (of(is_impersonation=[]), [FLAG.format("[]")]),
        (of(is_impersonation=None), ["body.is_impersonation cannot be null"]),
        (of(foo=1), ["body contains unknown properties: foo"]),
        (of(expires_at=1, project="p"), ["body contains unknown properties: expires_at, project"]),
        (
            {"foo": 1, "bar": 2, "expires_in_millis": "abc", "is_impersonation": "x"},
            [
                "body.user_id must be defined",
                NUMBER.format('"abc"'),
                FLAG.format('"x"'),
                "body contains unknown properties: foo, bar",
            ],
        ),
    ],
)
def test_every_problem_of_a_new_session_is_listed(stack: Stack, body: object, problems: list[str]) -> None:
    headers = {**SERVER, "content-type": "application/json"}

    answer = stack.http.post(SESSIONS, headers=headers, content=json.dumps(body))

    assert faults(answer) == problems


@pytest.mark.parametrize("headers", [{}, {"content-type": "application/json"}])
def test_no_body_is_one_that_is_not_defined(stack: Stack, headers: dict[str, str]) -> None:
    assert faults(stack.http.post(SESSIONS, headers={**SERVER, **headers})) == ["body must be defined"]
    typeless = stack.http.post(SESSIONS, headers=SERVER, content=json.dumps(of()))
    assert faults(typeless) == ["body must be defined"]


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/octet-stream"]
)
def test_json_under_another_type_is_refused(stack: Stack, content_type: str) -> None:
    answer = stack.http.post(
        SESSIONS, headers={**SERVER, "content-type": content_type}, content=json.dumps(of())
    )

    assert refusal(answer) == (400, "BODY_PARSING_ERROR")
    assert answer.json()["error"] == f"Unknown content type in request body: {content_type}"


@pytest.mark.parametrize(
    "members",
    [
        {"expires_in_millis": "5000"},
        {"expires_in_millis": " 5 0 "},
        {"expires_in_millis": "0x10000"},
        {"expires_in_millis": 5e3},
        {"expires_in_millis": 31_708_800_000},
        {"is_impersonation": "true"},
        {"is_impersonation": "FALSE"},
        {"is_impersonation": 1},
    ],
)
def test_what_yup_casts_is_accepted(stack: Stack, members: dict[str, Any]) -> None:
    assert stack.session(stack.user(), **members).refresh


def test_the_problems_name_the_path_that_was_asked(stack: Stack) -> None:
    bare = stack.http.post("/auth/sessions", headers=SERVER, json={})

    assert (
        bare.json()["error"]
        == "Request validation failed on POST /auth/sessions:\n  - body.user_id must be defined"
    )


def test_a_body_over_the_limit_is_refused(stack: Stack) -> None:
    answer = stack.http.post(SESSIONS, headers=SERVER, json=of(foo="x" * 70_000))

    assert answer.status_code == 413


def test_deeply_nested_values_are_refused_without_harm(stack: Stack) -> None:
    for depth in (20, 500, 30_000):
        body = '{"user_id": ' + "[" * depth + "]" * depth + "}"
        headers = {**SERVER, "content-type": "application/json"}
        assert stack.http.post(SESSIONS, headers=headers, content=body).status_code == 400


@pytest.mark.parametrize(
    ("query", "problems"),
    [
        ("", ["query.user_id must be defined"]),
        ("?user_id=", ["query.user_id must be a valid user ID"]),
        ("?user_id=a&b=1&a=2", ["query contains unknown properties: b, a"]),
        ("?user_id=a&user_id=b", ["query.user_id stands more than once"]),
        ("?user_id=%ff", ["The query is not percent-encoded UTF-8."]),
    ],
)
def test_every_problem_of_a_query_is_listed(stack: Stack, query: str, problems: list[str]) -> None:
    assert faults(stack.http.get(SESSIONS + query, headers=SERVER)) == problems


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        ({"display_name": "a" * 257}, ["body.display_name must be at most 256 characters"]),
        ({"primary_email": "nope"}, ["body.primary_email must be a valid email"]),
        ({"primary_email": ""}, ["body.primary_email must be a valid email"]),
        ({"primary_email": "é" * 250 + "@example.com"}, ["body.primary_email must be a valid email"]),
        (
            {"primary_email_verified": "x"},
            ['body.primary_email_verified must be a `boolean` type, but the final value was: `"x"`.'],
        ),
        ({"profile_image_url": "nope"}, ["body.profile_image_url is not a valid URL"]),
        ({"is_anonymous": None}, ["body.is_anonymous cannot be null"]),
        (
            {"restricted_by_admin_reason": "x"},
            ["restricted_by_admin_reason must be null when restricted_by_admin is not true"],
        ),
        ({"client_metadata": "x" * 8200}, ["body must be at most 8192 bytes of JSON"]),
        ({"password": "hunter2"}, ["body.password is not supported by this server"]),
        ({"oauth_providers": [{"id": "x"}]}, ["body.oauth_providers is not supported by this server"]),
        ({"foo": 1}, ["body contains unknown properties: foo"]),
        ({"id": NOBODY}, ["body contains unknown properties: id"]),
    ],
)
def test_every_problem_of_a_new_user_is_listed(stack: Stack, body: object, problems: list[str]) -> None:
    assert faults(stack.http.post("/api/v1/users", headers=SERVER, json=body)) == problems


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        ({}, ["body.grant_type must be defined"]),
        ({"grant_type": None}, ["body.grant_type cannot be null"]),
        (
            {"grant_type": "password"},
            ["body.grant_type must be one of the following values: authorization_code, refresh_token"],
        ),
        ({"grant_type": "refresh_token", "client_id": None}, ["body.client_id cannot be null"]),
    ],
)
def test_every_problem_of_a_token_request_is_listed(stack: Stack, body: object, problems: list[str]) -> None:
    assert faults(stack.http.post("/api/v1/auth/oauth/token", json=body)) == problems
