"""`GET /v1/verify` over TCP: what a proxy is told, whom it is told of, and where a browser is sent."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.dialects.native_calls import a_subject, assert_problem, bearer, created
from tests.dialects.oauth_calls import another_project
from tests.server_process import ServerProcess

PAGE = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
LOGIN = "https://login.example.org/in"
ASKED = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "app.example.org", "X-Forwarded-Uri": "/a?b=c"}
RETURNING = f"{LOGIN}?return_to=https%3A%2F%2Fapp.example.org%2Fa%3Fb%3Dc"
DEFAULT = "00000000-0000-4000-8000-000000000001"


@pytest.fixture(scope="module")
def sending(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that sends browsers to sign in, and believes what stands before it."""
    settings = {
        "SESSIOND_TRUSTED_PROXIES": "127.0.0.1",
        "SESSIOND_LOGIN_URL": LOGIN,
        "SESSIOND_RETURN_TO": "https://app.example.org,https://shop.example.org/cart",
    }
    with ServerProcess.started(tmp_path_factory.mktemp("sending"), settings=settings) as process:
        yield process


def verified(http: httpx.Client, token: str, **query: str) -> httpx.Response:
    return http.get("/v1/verify", headers=bearer(token), params=query)


def identity(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("x-session-")}


def test_every_header_is_there_also_where_there_is_nothing_to_say(
    http: httpx.Client, server: ServerProcess
) -> None:
    body = created(http, server, subject="anna").json()

    answer = verified(http, body["access_token"])

    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["cache-control"] == "no-store"
    assert identity(answer) == {
        "x-session-id": body["session"]["id"],
        "x-session-subject": "anna",
        "x-session-project": DEFAULT,
        "x-session-kind": "tokens",
        "x-session-acr": "",
        "x-session-amr": "",
        "x-session-actor": "",
        "x-session-authenticated-at": body["session"]["authenticated_at"],
        "x-session-expires-at": body["session"]["expires_at"],
    }


def test_texts_are_percent_encoded_and_methods_told_apart(http: httpx.Client, server: ServerProcess) -> None:
    body = created(http, server, subject="käthe, a/b: ü%", acr="urn:x:gold", amr=["pwd", "o t p", "ü"]).json()

    told = identity(verified(http, body["access_token"]))

    assert told["x-session-subject"] == "k%C3%A4the%2C%20a%2Fb%3A%20%C3%BC%25"
    assert told["x-session-acr"] == "urn%3Ax%3Agold"
    assert told["x-session-amr"] == "pwd o%20t%20p %C3%BC"


def test_who_acts_is_told_by_its_id_or_else_by_its_name(http: httpx.Client, server: ServerProcess) -> None:
    desk = created(http, server, subject="desk/ü").json()["session"]
    customer = created(http, server).json()["session"]["subject"]
    by_session, by_name = (
        created(http, server, subject=customer, actor=actor, reason="a call").json()["access_token"]
        for actor in ({"session": desk["id"]}, {"name": "night shift"})
    )

    assert identity(verified(http, by_session))["x-session-actor"] == "desk%2F%C3%BC"
    assert identity(verified(http, by_name))["x-session-actor"] == "night%20shift"


def test_both_ways_of_answering_tell_the_same(http: httpx.Client, server: ServerProcess) -> None:
    """From memory at once, and from a read where there is a query."""
    token = created(http, server, acr="gold").json()["access_token"]
    verified(http, token)

    assert identity(verified(http, token)) == identity(verified(http, token, acr="gold"))


def test_a_cookie_shows_the_session_too(http: httpx.Client, server: ServerProcess) -> None:
    answer = created(http, server, delivery="cookie")
    cookie = answer.headers["set-cookie"].partition(";")[0]
    http.cookies.clear()

    told = http.get("/v1/verify", headers={"Cookie": cookie})

    assert told.headers["x-session-id"] == answer.json()["session"]["id"]
    assert told.headers["x-session-kind"] == "browser"


def test_more_can_be_asked_than_a_live_session(http: httpx.Client, server: ServerProcess) -> None:
    token = created(http, server, acr="silver").json()["access_token"]

    assert verified(http, token, acr="silver", max_age="3600").status_code == 200
    refused = verified(http, token, acr="gold")
    assert_problem(refused, 403, "insufficient_user_authentication")
    assert 'acr_values="gold"' in refused.headers["www-authenticate"]


def test_a_session_of_another_project_does_not_count(http: httpx.Client, server: ServerProcess) -> None:
    project, key = another_project(server)
    theirs = http.post("/v1/sessions", headers=bearer(key), json={"subject": a_subject()}).json()
    ours = created(http, server).json()

    assert verified(http, theirs["access_token"]).headers["x-session-project"] == project
    assert verified(http, theirs["access_token"], project=project).status_code == 200
    assert verified(http, ours["access_token"], project=DEFAULT).status_code == 200
    assert_problem(verified(http, theirs["access_token"], project=DEFAULT), 401, "invalid_token")
    assert_problem(verified(http, ours["access_token"], project=project), 401, "invalid_token")


@pytest.mark.parametrize("query", ["project=shop", "project=", "login=no", "return_to=/x", "max_age=x"])
def test_a_query_that_means_nothing_is_refused(http: httpx.Client, server: ServerProcess, query: str) -> None:
    token = created(http, server).json()["access_token"]

    assert http.get(f"/v1/verify?{query}", headers=bearer(token)).status_code == 400
    assert http.get(f"/v1/verify?{query}").status_code == 400


def test_without_a_login_page_everybody_gets_401(http: httpx.Client) -> None:
    for query in ("", "?login=header"):
        answer = http.get(f"/v1/verify{query}", headers=PAGE)
        assert_problem(answer, 401, "credential_required")
        assert "location" not in answer.headers


def test_a_browser_is_sent_to_sign_in_and_told_where_to_return(sending: ServerProcess) -> None:
    wrong = bearer("sda1_nothing")
    with httpx.Client(base_url=sending.url, headers=PAGE | ASKED) as http:
        answers = [http.get("/v1/verify"), http.get("/v1/verify", headers=wrong)]
        foreign = http.get("/v1/verify", headers={"X-Forwarded-Host": "evil.example"})
        exact = http.get(
            "/v1/verify", headers={"X-Forwarded-Host": "shop.example.org", "X-Forwarded-Uri": "/cart"}
        )
        near = http.get(
            "/v1/verify", headers={"X-Forwarded-Host": "shop.example.org", "X-Forwarded-Uri": "/cart/"}
        )

    assert [(answer.status_code, answer.headers["location"]) for answer in answers] == [(302, RETURNING)] * 2
    assert (foreign.status_code, foreign.headers["location"]) == (302, LOGIN)
    assert exact.headers["location"] == f"{LOGIN}?return_to=https%3A%2F%2Fshop.example.org%2Fcart"
    assert near.headers["location"] == LOGIN


def test_a_proxy_that_passes_no_redirect_on_finds_it_in_the_refusal(sending: ServerProcess) -> None:
    answer = httpx.get(f"{sending.url}/v1/verify?login=header", headers=PAGE | ASKED)

    assert_problem(answer, 401, "credential_required")
    assert answer.headers["location"] == RETURNING
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_session_of_another_project_is_none_for_a_browser_either(sending: ServerProcess) -> None:
    with httpx.Client(base_url=sending.url, headers=PAGE) as http:
        token = created(http, sending).json()["access_token"]
        answer = verified(http, token, project="11111111-1111-4111-8111-111111111111")

    assert (answer.status_code, answer.headers["location"]) == (302, LOGIN)


@pytest.mark.parametrize(
    "headers", [{"Accept": "*/*"}, PAGE | {"Sec-Fetch-Mode": "cors"}, {"Accept": "application/json"}]
)
@pytest.mark.parametrize("query", ["", "?login=header"])
def test_a_script_is_not_sent_anywhere(sending: ServerProcess, headers: dict[str, str], query: str) -> None:
    answer = httpx.get(f"{sending.url}/v1/verify{query}", headers=headers)

    assert_problem(answer, 401, "credential_required")
    assert "location" not in answer.headers


def test_what_was_asked_for_is_believed_from_a_trusted_proxy_only(sending: ServerProcess) -> None:
    elsewhere = httpx.HTTPTransport(local_address="127.0.0.9")
    with httpx.Client(base_url=sending.url, transport=elsewhere, headers=PAGE | ASKED) as http:
        answer = http.get("/v1/verify")

    assert (answer.status_code, answer.headers["location"]) == (302, LOGIN)
