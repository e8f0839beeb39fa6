"""Bad input is told whole: every wrong member of a body or query of the native API, with its place, in one answer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import httpx
import jsonschema_rs
import pytest

from tests.server_process import ServerProcess
from tests.system.refusals import assert_refused
from tests.system.writers import bearer

pytestmark = pytest.mark.slow

WRONG_VALUES: tuple[object, ...] = (5, "x", [], {}, None, True, -1, [[]])
WRONG_TEXTS = ("x", "-1", "")
UNKNOWN = "no_such_member"


class Declared(NamedTuple):
    """One operation as the document declares it."""

    method: str
    path: str
    operation: Mapping[str, Any]

    @property
    def body(self) -> Mapping[str, Any] | None:
        """The schema of its JSON body."""
        content = self.operation.get("requestBody", {}).get("content", {})
        found = content.get("application/json") or content.get("application/merge-patch+json")
        return None if found is None else found["schema"]

    @property
    def query(self) -> Mapping[str, Any]:
        """The schemas of the parameters of its query."""
        declared = self.operation.get("parameters", ())
        return {each["name"]: each["schema"] for each in declared if each["in"] == "query"}


@pytest.fixture(scope="module")
def http(server: ServerProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url) as client:
        yield client


@pytest.fixture(scope="module")
def document(http: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = http.get("/openapi.json").raise_for_status().json()
    return found


def declared(document: Mapping[str, Any]) -> list[Declared]:
    return [
        Declared(method.upper(), path, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if operation["tags"][0] == "native"
    ]


def fits(value: object, schema: Mapping[str, Any], document: Mapping[str, Any]) -> bool:
    whole = {"allOf": [schema], "components": document["components"]}
    return jsonschema_rs.validator_for(whole).is_valid(value)


def members_of(schema: Mapping[str, Any], document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the properties of an object's schema, which may be a reference."""
    if "$ref" in schema:
        return members_of(document["components"]["schemas"][schema["$ref"].rpartition("/")[2]], document)
    found: Mapping[str, Any] = schema.get("properties", {})
    return found


def headers_for(each: Declared, server: ServerProcess, session: str) -> dict[str, str]:
    schemes = {name for alternative in each.operation.get("security", ()) for name in alternative}
    if schemes & {"serverKey", "masterToken"}:
        return bearer(server.master_token)  # the operator may do whatever a server key may, and more
    return bearer(session) if "accessToken" in schemes else {}


@pytest.fixture(scope="module")
def session(http: httpx.Client, server: ServerProcess) -> str:
    made = http.post("/v1/sessions", headers=server.authorization, json={"subject": "anna"})
    return str(made.json()["access_token"])


def pointers(answer: httpx.Response, where: str) -> set[str]:
    assert_refused(answer, "native", 400)
    assert answer.json()["code"] == f"invalid_{where}", answer.text
    errors = answer.json()["errors"]
    assert all(list(error) == ["pointer", "detail"] and error["detail"] for error in errors)
    return {error["pointer"].split("/")[1] for error in errors}


def test_every_wrong_member_of_a_body_is_told_at_once(
    http: httpx.Client, server: ServerProcess, document: dict[str, Any], session: str
) -> None:
    told = 0
    for each in declared(document):
        if each.body is None:
            continue
        wrong: dict[str, object] = {UNKNOWN: 1}
        for name, schema in members_of(each.body, document).items():
            values = [value for value in WRONG_VALUES if not fits(value, schema, document)]
            wrong |= {name: values[0]} if values else {}
        content_type = next(iter(each.operation["requestBody"]["content"]))
        headers = headers_for(each, server, session) | {"Content-Type": content_type}
        answer = http.request(
            each.method, each.path.replace("{id}", "x"), headers=headers, content=json.dumps(wrong)
        )

        assert pointers(answer, "body") == set(wrong), f"{each.method} {each.path}: {answer.text}"
        told += len(wrong)
    assert told > 30


def test_every_wrong_parameter_of_a_query_is_told_at_once(
    http: httpx.Client, server: ServerProcess, document: dict[str, Any], session: str
) -> None:
    told = 0
    for each in declared(document):
        if not each.query:
            continue
        wrong = {UNKNOWN: "1"}
        for name, schema in each.query.items():
            texts = [text for text in WRONG_TEXTS if not fits_text(text, schema, document)]
            wrong |= {name: texts[0]} if texts else {}
        headers = headers_for(each, server, session)
        answer = http.request(each.method, each.path.replace("{id}", "x"), headers=headers, params=wrong)

        assert pointers(answer, "query") == set(wrong), f"{each.method} {each.path}: {answer.text}"
        told += len(wrong)
    assert told > 10


def fits_text(text: str, schema: Mapping[str, Any], document: Mapping[str, Any]) -> bool:
    number = int(text) if text.lstrip("-").isdigit() else text
    return fits(text, schema, document) or fits(number, schema, document)


LARGE, LARGER = {"a": "x" * 5000}, {"a": "x" * 9000}


@pytest.mark.parametrize(
    ("sent", "wrong"),
    [
        (
            (
                "POST",
                "/v1/sessions",
                {
                    "subject": "a\nb",
                    "metadata": LARGE,
                    "authenticated_at": "tomorrow",
                    "client": {"name": "x\n", "address": "nowhere"},
                    "amr": ["x\n"],
                    "acr": "x\n",
                },
            ),
            {"subject", "metadata", "authenticated_at", "client/name", "client/address", "amr/0", "acr"},
        ),
        (
            ("POST", "/v1/subjects", {"id": "a\nb", "name": "x\n", "profile": LARGER}),
            {"id", "name", "profile"},
        ),
        (
            ("PATCH", "/v1/sessions/{id}", {"metadata": LARGE, "client": {"name": "\n"}}),
            {"metadata", "client/name"},
        ),
        (
            ("GET", "/v1/sessions?subject=a%0Ab&created_from=x&seen_before=y&client=%0A", None),
            {"subject", "created_from", "seen_before", "client"},
        ),
    ],
    ids=lambda value: " ".join(value[:2]).partition("?")[0] if isinstance(value, tuple) else "",
)
def test_every_member_that_breaks_a_rule_is_told_at_once(
    http: httpx.Client, server: ServerProcess, sent: tuple[str, str, object], wrong: set[str]
) -> None:
    """What has the right shape may still be wrong; that is told in a second step, and whole again."""
    method, path, body = sent
    made = http.post("/v1/sessions", headers=server.authorization, json={"subject": "anna"}).json()
    answer = http.request(
        method, path.replace("{id}", made["session"]["id"]), headers=server.authorization, json=body
    )

    assert_refused(answer, "native", 400)
    assert {error["pointer"].removeprefix("/") for error in answer.json()["errors"]} == wrong
