"""A verify that asks for assurance, over TCP: the challenge of RFC 9470 where the session falls short."""

from __future__ import annotations

import httpx
import pytest

from tests.dialects.native_calls import Holder, assert_problem
from tests.server_process import ServerProcess

GOLD = {"acr": "urn:example:gold", "amr": ["pwd", "otp"]}
LONG_AGO = "2001-01-01T00:00:00Z"


both = pytest.mark.parametrize("path", ["/v1/session", "/v1/verify"])


@both
@pytest.mark.parametrize(
    "query",
    [
        "acr=urn:example:gold",
        "acr=urn:example:silver%20urn:example:gold",
        "amr=otp",
        "amr=otp+pwd",
        "max_age=3600",
        "acr=urn:example:gold&amr=pwd&max_age=3600",
    ],
)
def test_a_session_of_enough_assurance_passes(
    http: httpx.Client, server: ServerProcess, path: str, query: str
) -> None:
    holder = Holder(http, server, **GOLD)

    assert holder.ask("GET", f"{path}?{query}").status_code == 200


@both
@pytest.mark.parametrize(
    "query",
    ["acr=urn:example:platinum", "acr=URN:EXAMPLE:GOLD", "amr=pwd%20hwk", "acr=urn:example:gold&amr=hwk"],
)
def test_what_falls_short_is_refused_after_a_plain_verify_was_answered(
    http: httpx.Client, server: ServerProcess, path: str, query: str
) -> None:
    holder = Holder(http, server, **GOLD)
    assert holder.ask("GET", path).status_code == 200
    assert holder.ask("GET", path).status_code == 200

    assert_problem(holder.ask("GET", f"{path}?{query}"), 403, "insufficient_user_authentication")

    assert holder.ask("GET", path).status_code == 200


@both
def test_a_long_past_authentication_is_not_fresh_in_a_new_session(
    http: httpx.Client, server: ServerProcess, path: str
) -> None:
    holder = Holder(http, server, authenticated_at=LONG_AGO)

    assert_problem(holder.ask("GET", f"{path}?max_age=300"), 403, "insufficient_user_authentication")


def test_the_challenge_is_rfc_9470s(http: httpx.Client, server: ServerProcess) -> None:
    holder = Holder(http, server, authenticated_at=LONG_AGO)

    answer = holder.ask("GET", "/v1/session?acr=urn:a%20urn:b&max_age=300&amr=otp")

    assert answer.headers["www-authenticate"] == (
        'Bearer error="insufficient_user_authentication", error_description="Another authentication level is '
        'required; another authentication method is required; a more recent authentication is required.", '
        'acr_values="urn:a urn:b", max_age="300"'
    )
    body = answer.json()
    assert (body["acr_values"], body["amr_values"], body["max_age"]) == ("urn:a urn:b", "otp", 300)


@both
def test_every_fault_of_the_query_is_named(http: httpx.Client, server: ServerProcess, path: str) -> None:
    holder = Holder(http, server)

    answer = holder.ask("GET", f'{path}?acr=a"b&amr=&max_age=-1&level=9')

    assert_problem(answer, 400, "invalid_query")
    pointers = {error["pointer"] for error in answer.json()["errors"]}
    assert pointers == {"/acr", "/amr", "/max_age", "/level"}


@pytest.mark.parametrize(
    "query",
    [
        "acr=a&acr=b",
        "acr=a%20%20b",
        "acr=%20a",
        "acr=caf%C3%A9",
        "acr=%FF",
        "max_age=soon",
        "acr=a%5Cb",
    ],
)
def test_a_parameter_that_cannot_be_meant_is_refused_and_asks_nothing_less(
    http: httpx.Client, server: ServerProcess, query: str
) -> None:
    assert Holder(http, server).ask("GET", f"/v1/session?{query}").status_code == 400


def test_who_has_no_session_is_told_so_first(http: httpx.Client, server: ServerProcess) -> None:
    assert_problem(http.get("/v1/session?acr=gold"), 401, "credential_required")
