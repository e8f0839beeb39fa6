"""Claims templates over the native API: declared by the operator, filled in for each JWT, never in the way of one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import jwt
import pytest

from tests.dialects.native_calls import Holder, a_subject, assert_problem, bearer, created
from tests.server_process import ServerProcess

PATH = "/v1/claims"


@pytest.fixture
def operator(server: ServerProcess, http: httpx.Client) -> Iterator[dict[str, str]]:
    headers = bearer(server.master_token)
    yield headers
    http.put(PATH, headers=headers, json={"claims": {}})


def declared(http: httpx.Client, operator: dict[str, str], **claims: object) -> None:
    answer = http.put(PATH, headers=operator, json={"claims": claims})
    assert (answer.status_code, answer.json()) == (200, {"claims": claims}), answer.text


def claims_of(http: httpx.Client, token: str) -> dict[str, Any]:
    """Return the claims as another service reads them: with the public keys."""
    keys = jwt.PyJWKSet.from_dict(http.get("/.well-known/jwks.json").json())
    key = keys[jwt.get_unverified_header(token)["kid"]]
    found: dict[str, Any] = jwt.decode(token, key, algorithms=["ES256"], options={"verify_aud": False})
    return found


def test_a_project_adds_nothing_at_first(http: httpx.Client, server: ServerProcess) -> None:
    assert http.get(PATH, headers=server.authorization).json() == {"claims": {}}


def test_what_is_declared_stands_in_the_next_jwt_and_the_server_takes_it(
    http: httpx.Client, server: ServerProcess, operator: dict[str, str]
) -> None:
    declared(
        http,
        operator,
        tenant={"value": "acme"},
        plan={"from": "session.metadata.plan"},
        acr={"from": "session.acr"},
        missing={"from": "session.metadata.nothing"},
    )

    holder = Holder(http, server, format="jwt", metadata={"plan": "pro"}, acr="urn:mfa")
    token = holder.headers["Authorization"].removeprefix("Bearer ")

    claims = claims_of(http, token)
    assert {"tenant": "acme", "plan": "pro", "acr": "urn:mfa"}.items() <= claims.items()
    assert "missing" not in claims
    assert claims["sub"] == holder.subject
    assert holder.state() == "live"
    renewed = http.post("/v1/session/refresh", json={"refresh_token": holder.refresh_token}).json()
    assert claims_of(http, renewed["access_token"])["plan"] == "pro"
    assert claims_of(http, by_oauth(http, renewed["refresh_token"]))["plan"] == "pro"


def by_oauth(http: httpx.Client, refresh_token: str) -> str:
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
    return str(http.post("/oauth/token", data=form).json()["access_token"])


def test_what_the_subject_says_is_read_when_the_token_is_minted(
    http: httpx.Client, server: ServerProcess, operator: dict[str, str]
) -> None:
    declared(http, operator, email={"from": "subject.profile.email"}, name={"from": "subject.name"})
    subject = a_subject()
    http.post("/v1/subjects", headers=server.authorization, json={"id": subject, "name": "Alice"})

    first = created(http, server, subject=subject, format="jwt").json()
    http.patch(
        f"/v1/subjects/{subject}", headers=server.authorization, json={"profile": {"email": "a@example.org"}}
    )
    second = http.post("/v1/session/refresh", json={"refresh_token": first["refresh_token"]}).json()

    assert claims_of(http, first["access_token"])["name"] == "Alice"
    assert "email" not in claims_of(http, first["access_token"])
    assert claims_of(http, second["access_token"])["email"] == "a@example.org"


def test_nothing_is_too_long_for_a_token(
    http: httpx.Client, server: ServerProcess, operator: dict[str, str]
) -> None:
    many = {f"claim{number}": {"from": f"session.metadata.m{number}"} for number in range(5)}
    declared(http, operator, **many, last={"value": 1})
    metadata = {f"m{number}": "x" * 700 for number in range(5)}

    made = created(http, server, subject="\U0001f600" * 60, format="jwt", metadata=metadata).json()

    claims = claims_of(http, made["access_token"])
    assert len(made["access_token"]) <= 4096
    assert claims["last"] == 1
    assert [name for name in many if name in claims] == ["claim0", "claim1", "claim2"]
    assert http.get("/v1/session", headers=bearer(made["access_token"])).status_code == 200


@pytest.mark.parametrize("value", [1.5, -1, 10**15, {"deep": [2**64]}])
def test_a_number_that_no_jwt_can_say_is_left_out_and_the_token_passes(
    http: httpx.Client, server: ServerProcess, operator: dict[str, str], value: object
) -> None:
    declared(http, operator, score={"from": "session.metadata.score"}, plan={"value": 10**15 - 1})

    token = created(http, server, format="jwt", metadata={"score": value}).json()["access_token"]

    found = claims_of(http, token)
    assert ("score" in found, found["plan"]) == (False, 10**15 - 1)
    assert http.get("/v1/session", headers=bearer(token)).status_code == 200


def test_tokens_of_a_former_template_still_pass(
    http: httpx.Client, server: ServerProcess, operator: dict[str, str]
) -> None:
    declared(http, operator, tenant={"value": "acme"})
    holder = Holder(http, server, format="jwt")

    declared(http, operator)

    assert holder.state() == "live"


def test_opaque_and_exchanged_tokens_say_nothing_of_it(
    http: httpx.Client, server: ServerProcess, operator: dict[str, str]
) -> None:
    declared(http, operator, tenant={"value": "acme"})
    holder = Holder(http, server, format="jwt")
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": holder.headers["Authorization"].removeprefix("Bearer "),
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "audience": "https://billing.example",
    }

    exchanged = http.post("/oauth/token", headers=server.authorization, data=form).json()["access_token"]

    assert "tenant" not in claims_of(http, exchanged)
    assert created(http, server).json()["access_token"].startswith("sda1_")


def test_every_fault_of_a_template_is_named_and_nothing_is_changed(
    http: httpx.Client, server: ServerProcess, operator: dict[str, str]
) -> None:
    wrong = {
        "sub": {"value": "mallory"},
        "https://example.org/x": {"from": "session.nonce"},
        "both": {"value": 1, "from": "subject.name"},
        "acr": {"value": "urn:mfa"},
        "half": {"value": {"of": 0.5}},
    }

    answer = http.put(PATH, headers=operator, json={"claims": wrong})

    assert_problem(answer, 400, "invalid_body")
    assert [error["pointer"] for error in answer.json()["errors"]] == [
        "/claims/sub",
        "/claims/https:~1~1example.org~1x/from",
        "/claims/both",
        "/claims/acr/value",
        "/claims/half/value",
    ]
    assert http.get(PATH, headers=server.authorization).json() == {"claims": {}}


@pytest.mark.parametrize(
    "body", [{}, {"claims": None}, {"claims": {"a": 1}}, {"claims": {"a": {"code": "x"}}}]
)
def test_what_is_no_template_is_refused(
    http: httpx.Client, operator: dict[str, str], body: dict[str, object]
) -> None:
    assert_problem(http.put(PATH, headers=operator, json=body), 400, "invalid_body")


def test_a_change_that_is_meant_for_another_template_is_refused(
    http: httpx.Client, operator: dict[str, str]
) -> None:
    seen = http.get(PATH, headers=operator).headers["etag"]
    declared(http, operator, tenant={"value": "acme"})

    stale = http.put(PATH, headers=operator | {"If-Match": seen}, json={"claims": {}})

    assert_problem(stale, 412, "precondition_failed")


def test_an_application_reads_the_template_and_does_not_change_it(
    http: httpx.Client, server: ServerProcess
) -> None:
    answer = http.put(PATH, headers=server.authorization, json={"claims": {}})

    assert_problem(answer, 403, "operator_required")
    assert_problem(http.get(PATH), 401, "credential_required")
