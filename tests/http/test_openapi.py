"""The OpenAPI document is valid, complete, and shows what the dialects really answer; the page needs nobody else."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from sessiond.http.answer import Answer
from sessiond.http.endpoint import Endpoint
from sessiond.http.refusals import status_of
from sessiond.http.request import Request
from tests.http.oddities import NewOddity
from tests.http.surface import Surface


async def document_of(surface: Surface) -> Any:  # noqa: ANN401 - a JSON document
    return (await surface.ask("GET", "/openapi.json")).json


async def test_the_document_is_valid() -> None:
    document = await document_of(Surface())

    assert document["openapi"] == "3.1.0"
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


async def test_every_path_and_method_of_every_dialect_is_in_it() -> None:
    surface = Surface()
    document = await document_of(surface)
    declared = {
        (path, endpoint.method.lower())
        for dialect in surface.app.dialects
        for endpoint in dialect.endpoints
        for path in endpoint.paths
    }

    shown = {(path, method) for path, item in document["paths"].items() for method in item}

    assert shown == declared
    ids = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]
    assert len(set(ids)) == len(ids)


async def test_an_operation_shows_its_body_its_answer_and_its_credential() -> None:
    document = await document_of(Surface())

    create = document["paths"]["/key"]["post"]

    assert create["requestBody"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/NewOddity"
    }
    assert create["security"] == [{"serverKey": []}]
    assert document["paths"]["/public"]["get"]["security"] == [{}, {"serverKey": []}]
    assert document["components"]["securitySchemes"]["serverKey"]["scheme"] == "bearer"
    assert document["components"]["schemas"]["NewOddity"]["additionalProperties"] is False
    assert document["components"]["schemas"]["NewOddity"]["required"] == ["name"]


async def test_a_querys_parameters_are_shown_one_by_one() -> None:
    document = await document_of(Surface())

    parameters = {one["name"]: one for one in document["paths"]["/odd"]["get"]["parameters"]}

    assert set(parameters) == {"page", "word", "tag"}
    assert parameters["page"]["schema"]["type"] == "integer"
    assert document["paths"]["/odd/{id}"]["get"]["parameters"][0]["in"] == "path"


async def test_every_refusal_is_shown_with_the_status_and_body_that_the_dialect_gives_it() -> None:
    document = await document_of(Surface())

    show = document["paths"]["/odd/{id}"]["get"]["responses"]
    create = document["paths"]["/odd"]["post"]["responses"]
    opened = document["paths"]["/open/plain"]["post"]["responses"]

    assert show["404"]["content"]["application/json"]["examples"]["oddity_not_found"]["value"] == {
        "oops": "oddity_not_found"
    }
    assert {"400", "413", "415", "500", "503"} <= set(create)
    assert set(create["400"]["content"]["application/json"]["examples"]) == {
        "bad_host", "malformed_body", "empty_body", "invalid_body",
    }  # fmt: skip
    assert (
        opened["401"]["content"]["text/plain; charset=utf-8"]["examples"]["invalid_token"]["value"]
        == "invalid_token"
    )


@pytest.mark.parametrize(
    ("method", "path", "body", "headers"),
    [
        ("POST", "/odd", b"{", []),
        ("POST", "/odd", b"", []),
        ("POST", "/odd", b"{}", []),
        ("POST", "/odd", b"x", [("content-type", "text/html")]),
        ("POST", "/odd", b"x" * 70_000, []),
        ("GET", "/odd?page=x", b"", []),
        ("GET", "/odd/%FF", b"", []),
        ("GET", "/odd/none", b"", []),
        ("GET", "/key", b"", []),
        ("GET", "/public", b"", []),
        ("GET", "/throttle", b"", []),
        ("GET", "/break", b"", []),
        ("POST", "/sign-in", b"", [("origin", "null")]),
    ],
)
async def test_a_refusal_that_happens_is_one_that_is_documented(
    method: str, path: str, body: bytes, headers: list[tuple[str, str]]
) -> None:
    surface = Surface()
    document = await document_of(surface)
    template = re.sub(r"\?.*", "", path).replace("%FF", "{id}").replace("none", "{id}")

    answer = await surface.ask(method, path, body, headers=headers)

    assert str(answer.status) in document["paths"][template][method.lower()]["responses"]


def test_a_refusal_has_the_status_of_its_nearest_class() -> None:
    from sessiond.domain import errors  # noqa: PLC0415 - the tree is what this test walks
    from sessiond.domain.errors import Refusal  # noqa: PLC0415

    direct = {kind.__name__: kind for kind in Refusal.__subclasses__() if kind.__module__ == errors.__name__}
    statuses = {
        "InvalidRequest": 400, "Unauthenticated": 401, "Forbidden": 403, "NotFound": 404,
        "StateConflict": 409, "Throttled": 429, "Unavailable": 503,
    }  # fmt: skip

    assert set(direct) == set(statuses)
    for name, status in statuses.items():
        extra = {"retry_after_seconds": 1} if name == "Throttled" else {}
        derived = type("Derived", (direct[name],), {})
        assert status_of(derived("code", "detail", **extra)) == status


def test_an_instant_endpoint_must_be_a_get_of_a_literal_path() -> None:
    async def handler(_request: Request) -> Answer:
        return Answer()

    for method, path, more in (
        ("POST", "/x", {}),
        ("GET", "/x/{id}", {}),
        ("GET", "/x", {"query": NewOddity}),
    ):
        with pytest.raises(ValueError, match="instant"):
            Endpoint(method, path, handler, summary="x", instant=lambda _: b"", **more)  # type: ignore[arg-type]


class _Assets(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inline = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "script":
            self.inline = self.inline or "src" not in values
        self.found += [values[name] or "" for name in ("src", "href") if values.get(name)]
        self.inline = (
            self.inline
            or tag == "style"
            or "style" in values
            or any(name.startswith("on") for name in values)
        )


async def test_the_documentation_page_is_served_with_its_assets_and_asks_nobody_else() -> None:
    surface = Surface()
    page = await surface.ask("GET", "/docs")
    assets = _Assets()
    assets.feed(page.body.decode())

    assert page.header("content-type") == "text/html; charset=utf-8"
    assert "script-src 'self'" in (page.header("content-security-policy") or "")
    assert "unsafe" not in (page.header("content-security-policy") or "")
    assert not assets.inline
    for path in assets.found:
        assert path.startswith("/")
        answer = await surface.ask("GET", path)
        assert answer.status == 200
        assert b"http:" not in answer.body.replace(b"http://localhost", b"")
    script = await surface.ask("GET", "/docs/docs.js")
    assert b"innerHTML" not in script.body
    assert script.header("content-type") == "text/javascript; charset=utf-8"
