"""What is found at a path, and what is said where nothing is."""

from __future__ import annotations

import pytest

from sessiond.http.answer import Answer
from sessiond.http.app import App
from sessiond.http.dialect import Dialect
from sessiond.http.edge import Edge
from sessiond.http.endpoint import Endpoint
from sessiond.http.problems import PROBLEM_MEDIA, refuse_with_problem
from sessiond.http.request import Request
from tests.deployment import SetClock
from tests.http.surface import Surface


async def test_a_literal_path_wins_over_a_template() -> None:
    surface = Surface()

    assert (await surface.ask("GET", "/odd/current")).json["value"] is None
    assert (await surface.ask("GET", "/odd/other")).json["value"] == "other"


async def test_an_alias_and_a_trailing_slash_lead_to_the_same_endpoint() -> None:
    surface = Surface()

    for path in ("/odd/7", "/odd/7/", "/odd/odd/7", "/odd/odd/7/"):
        assert (await surface.ask("GET", path)).json["value"] == "7"
    assert (await surface.ask("GET", "/odd/")).status == 200
    assert (await surface.ask("GET", "/instant/")).status == 200


async def test_a_literal_path_may_be_percent_encoded() -> None:
    assert (await Surface().ask("GET", "/odd/curr%65nt")).json["value"] is None


@pytest.mark.parametrize(
    ("sent", "decoded"),
    [("%2e%2F%20", "./ "), ("%E2%82%AC", "€"), ("a%2Fb", "a/b"), ("current%2F", "current/")],
)
async def test_a_path_parameter_is_percent_decoded_within_its_segment(sent: str, decoded: str) -> None:
    assert (await Surface().ask("GET", f"/odd/{sent}")).json["value"] == decoded


@pytest.mark.parametrize(
    "sent", ["%FF", "%C3%28", "%zz", "%", "%4", "a%00b", "%0d%0a", "%ED%A0%80", "%C2%9B"]
)
async def test_a_path_parameter_that_is_no_clean_utf8_is_refused(sent: str) -> None:
    answer = await Surface().ask("GET", f"/odd/{sent}")

    assert (answer.status, answer.json) == (400, {"oops": "malformed_path"})


@pytest.mark.parametrize("path", ["/odd/a/b/c", "/odd//7", "/raw/x", "/odd/../key/x"])
async def test_an_unknown_path_below_a_dialects_prefix_is_refused_in_its_shape(path: str) -> None:
    answer = await Surface().ask("GET", path)

    assert (answer.status, answer.json) == (404, {"oops": "unknown_path"})


@pytest.mark.parametrize("path", ["/", "/nowhere", "/oddity", "//"])
async def test_an_unknown_path_that_no_dialect_owns_is_refused_with_problem_details(path: str) -> None:
    answer = await Surface().ask("GET", path)

    assert answer.status == 404
    assert answer.header("content-type") == "application/problem+json"
    assert answer.json["code"] == "unknown_path"


async def test_a_wrong_method_is_refused_with_the_methods_there_are() -> None:
    surface = Surface()

    answer = await surface.ask("PUT", "/odd")

    assert (answer.status, answer.json) == (405, {"oops": "method_not_allowed"})
    assert answer.header("allow") == "GET, HEAD, POST"
    assert (await surface.ask("PATCH", "/odd/7")).header("allow") == "DELETE, GET, HEAD"


async def test_a_get_endpoint_answers_head_without_a_body() -> None:
    surface = Surface()

    head = await surface.ask("HEAD", "/odd/7")

    assert (head.status, head.body) == (200, b"")
    assert int(head.header("content-length") or 0) > 0
    assert (await surface.ask("HEAD", "/bodiless")).status == 405


async def test_options_is_answered_only_where_scripts_of_other_sites_are_welcome() -> None:
    surface = Surface()

    refused = await surface.ask("OPTIONS", "/odd", headers=[("origin", "https://elsewhere.example")])
    welcome = await surface.ask("OPTIONS", "/open/plain", headers=[("origin", "https://elsewhere.example")])

    assert refused.status == 405
    assert refused.header("access-control-allow-origin") is None
    assert (welcome.status, welcome.body) == (200, b"")
    assert welcome.header("access-control-allow-origin") == "*"
    assert welcome.header("access-control-allow-methods") == "GET, POST"
    assert welcome.header("access-control-allow-headers") == "content-type, x-odd"
    assert welcome.header("access-control-max-age") == "86400"
    assert welcome.header("access-control-allow-credentials") is None


async def test_every_answer_of_a_dialect_with_cors_carries_it_refusals_too() -> None:
    surface = Surface()

    for answer in (
        await surface.ask("GET", "/open/plain"),
        await surface.ask("GET", "/open/nowhere"),
        await surface.ask("PUT", "/open/plain"),
        await surface.ask("POST", "/open/plain", b"{"),
    ):
        assert answer.header("access-control-allow-origin") == "*"
        assert answer.header("access-control-expose-headers") == "x-odd-request-id"
        assert answer.header("x-odd-request-id") == answer.header("x-request-id")
    assert (await surface.ask("GET", "/odd/1")).header("access-control-allow-origin") is None


def test_two_endpoints_cannot_claim_one_method_of_one_path() -> None:
    async def handler(_request: Request) -> Answer:
        return Answer()

    def dialect(name: str, path: str) -> Dialect:
        return Dialect(
            name=name,
            title=name,
            prefixes=(),
            refuse=refuse_with_problem,
            refusal_media=(PROBLEM_MEDIA,),
            endpoints=(Endpoint("GET", path, handler, summary=name),),
        )

    with pytest.raises(ValueError, match="declared twice"):
        App([dialect("a", "/x/{id}"), dialect("b", "/x/{id}")], edge=Edge(), clock=SetClock())
    with pytest.raises(ValueError, match="differently"):
        App([dialect("a", "/x/{id}"), dialect("b", "/x/{name}")], edge=Edge(), clock=SetClock())
