"""Attack row 24: a proxy that caches all it may keeps nothing that is somebody's, and hands out nobody's cookie."""

from __future__ import annotations

import json

import pytest

from tests.browser.visitor import Visitor, ask

pytestmark = [pytest.mark.slow, pytest.mark.real("chromium"), pytest.mark.real("nginx")]

PERSONAL = ("/v1/session", "/v1/session/accounts", "/v1/me/sessions", "/who")


def test_the_proxy_does_cache_what_is_everybodys(visitor: Visitor, neighbour: Visitor) -> None:
    page = visitor.open()
    visitor.sign_in(page)

    first, second = (ask(each, "GET", "/.well-known/jwks.json") for each in (page, neighbour.open()))

    assert (second.status, second.text, second.cache) == (200, first.text, "HIT")


def test_each_visitor_gets_their_own_answers(visitor: Visitor, neighbour: Visitor) -> None:
    page, next_door = visitor.open(), neighbour.open()
    strangers = {path: ask(next_door, "GET", path) for path in PERSONAL}
    mine, theirs = visitor.sign_in(page), neighbour.sign_in(next_door)

    for path in PERSONAL:
        answers = [ask(each, "GET", path) for each in (page, next_door, page, next_door)]
        for answer, user, other in zip(answers, (mine, theirs) * 2, (theirs, mine) * 2, strict=True):
            assert (answer.status, answer.cache) == (200, "MISS")
            assert other not in answer.text
            assert user in answer.text

    visitor.context.clear_cookies()
    for path, stranger in strangers.items():
        signed_out = ask(page, "GET", path)
        assert (signed_out.status, stranger.cache, signed_out.cache) == (stranger.status, "MISS", "MISS")
        assert mine not in signed_out.text


def test_a_refusal_is_not_kept_for_who_signs_in_next(visitor: Visitor) -> None:
    page = visitor.open()
    refused = [ask(page, "GET", "/v1/session").status for _ in range(2)]

    user = visitor.sign_in(page)

    assert refused == [401, 401]
    assert json.loads(ask(page, "GET", "/v1/session").text)["session"]["subject"] == user


def test_each_sign_in_and_switch_has_a_cookie_of_its_own(visitor: Visitor, neighbour: Visitor) -> None:
    cookies: list[str | None] = []
    for each in (visitor, neighbour):
        page = each.open()
        for _ in range(2):
            each.sign_in(page)
            cookies.append(each.session_cookie)
        items = json.loads(ask(page, "GET", "/v1/session/accounts").text)["items"]
        assert ask(page, "POST", "/v1/session/switch", {"session": items[1]["session"]}).cache != "HIT"
        cookies.append(each.session_cookie)

    assert None not in cookies
    assert len(set(cookies)) == 6


def test_no_cookie_lies_in_the_cache(visitor: Visitor) -> None:
    page = visitor.open()
    user = visitor.sign_in(page)
    for path in (*PERSONAL, "/v1/verify", "/.well-known/jwks.json"):
        ask(page, "GET", path)

    kept = b"".join(file.read_bytes() for file in visitor.site.cache.rglob("*") if file.is_file())

    assert b"/.well-known/jwks.json" in kept
    assert not [secret for secret in (b"sdb1_", user.encode()) if secret in kept]
