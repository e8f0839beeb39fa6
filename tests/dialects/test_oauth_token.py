"""The token endpoint over TCP against a real server: the refresh grant of RFC 6749."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.dialects.oauth_calls import DEFAULT, Calls, assert_error, bearer


@pytest.mark.parametrize(("form", "start"), [("opaque", "sda1_"), ("jwt", "eyJ")])
def test_a_refresh_token_gets_the_next_tokens(oauth: Calls, form: str, start: str) -> None:
    tokens = oauth.tokens(format=form)

    answer = oauth.refresh(tokens.refresh)
    body = answer.json()

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
    assert list(body) == ["access_token", "token_type", "expires_in", "refresh_token", "refresh_after"]
    assert body["access_token"].startswith(start)
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 600)
    assert body["refresh_token"] != tokens.refresh
    assert oauth.introspect(body["access_token"]).json()["sid"] == tokens.session


def test_a_lost_answer_is_repeated_and_both_endpoints_have_one_lineage(oauth: Calls) -> None:
    first = oauth.tokens().refresh

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: oauth.refresh(first), range(8)))
    native = oauth.http.post("/v1/session/refresh", json={"refresh_token": first})

    texts = {answer.json()["refresh_token"] for answer in (*answers, native)}
    assert len(texts) == 1


def test_an_old_refresh_token_ends_the_session(oauth: Calls) -> None:
    first = oauth.tokens().refresh
    second = oauth.refresh(first).json()["refresh_token"]
    third = oauth.refresh(second).json()

    assert_error(oauth.refresh(first), 400, "invalid_grant", "refresh_token_superseded")

    assert oauth.state(third["access_token"]) == "session_revoked"
    assert_error(oauth.refresh(third["refresh_token"]), 400, "invalid_grant", "session_revoked")


def test_nothing_but_a_native_refresh_token_is_a_grant(oauth: Calls) -> None:
    kinds = oauth.every_kind()
    del kinds["refresh"]

    for kind, text in kinds.items():
        answer = oauth.refresh(text)
        assert_error(answer, 400, "invalid_grant")
        assert answer.json()["code"] in {"invalid_token", "wrong_token_kind"}, kind
        assert "access" not in answer.json()["error_description"]
        assert "www-authenticate" not in answer.headers
    assert oauth.active(kinds["access"])


@pytest.mark.parametrize(
    ("form", "error", "code"),
    [
        ({}, "invalid_request", "invalid_body"),
        ({"grant_type": ""}, "invalid_request", "invalid_body"),
        ({"grant_type": "refresh_token"}, "invalid_request", "invalid_body"),
        ({"grant_type": "refresh_token", "refresh_token": ""}, "invalid_request", "invalid_body"),
        ({"grant_type": "refresh_token", "refresh_token": "ä"}, "invalid_grant", "invalid_token"),
        ({"grant_type": "authorization_code"}, "unsupported_grant_type", None),
        ({"grant_type": "client_credentials"}, "unsupported_grant_type", None),
        ({"grant_type": "password", "username": "a", "password": "b"}, "unsupported_grant_type", None),
        ({"grant_type": "Refresh_Token"}, "unsupported_grant_type", None),
        ({"grant_type": "x" * 5000}, "unsupported_grant_type", None),
    ],
)
def test_what_is_no_grant_is_refused(
    oauth: Calls, form: dict[str, str], error: str, code: str | None
) -> None:
    answer = oauth.http.post("/oauth/token", data={"more": "ignored"} | form)

    assert_error(answer, 400, error, code)


def test_more_than_the_session_has_is_not_given(oauth: Calls) -> None:
    tokens = oauth.tokens()

    assert_error(oauth.refresh(tokens.refresh, scope="admin"), 400, "invalid_scope")

    answer = oauth.refresh(tokens.refresh, scope="", client_id="", expires_in="9999999", subject="root")
    assert answer.json()["expires_in"] == 600


def test_a_client_refreshes_for_its_own_project_only(oauth: Calls, other_project: tuple[str, str]) -> None:
    project, key = other_project
    tokens, own = oauth.tokens(), oauth.server.authorization

    foreign = [
        oauth.refresh(tokens.refresh, client_id=project),
        oauth.refresh(tokens.refresh, client_id="junk"),
        oauth.refresh(tokens.refresh, bearer(key)),
        oauth.refresh(tokens.refresh, bearer(key), client_id=DEFAULT),
        oauth.refresh(tokens.refresh, own, client_id=project),
    ]

    for answer in foreign:
        assert_error(answer, 400, "invalid_grant", "invalid_token")
    first = oauth.refresh(tokens.refresh, own, client_id=DEFAULT)
    assert first.status_code == 200
    assert oauth.refresh(first.json()["refresh_token"], client_id=DEFAULT).status_code == 200


def test_a_refresh_token_of_another_project_needs_no_name_of_it(
    oauth: Calls, other_project: tuple[str, str]
) -> None:
    _, key = other_project

    assert oauth.refresh(oauth.tokens(key).refresh).status_code == 200
