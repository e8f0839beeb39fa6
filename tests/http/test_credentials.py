"""Where a credential is read from, and which of several counts."""

from __future__ import annotations

import pytest

from tests.http.oddities import MASTER, SERVER_KEY
from tests.http.surface import Surface


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER ", "Bearer   "])
async def test_a_server_key_is_a_bearer_in_any_case(scheme: str) -> None:
    answer = await Surface().ask("GET", "/key", headers=[("authorization", scheme + SERVER_KEY)])

    assert (answer.status, answer.json["caller"]) == (200, "server_key:tests")


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Bearer {SERVER_KEY} more",
        f"Bearer\t{SERVER_KEY}",
        f"Basic {SERVER_KEY}",
        SERVER_KEY,
        f"Bearer{SERVER_KEY}",
        "Bearer é",
        "Bearer \x80\xff",
        "Bearer " + "a" * 8192,
        "Bearer " + "a" * 100_000,
        f"Bearer {SERVER_KEY},Bearer {SERVER_KEY}",
    ],
)
async def test_anything_else_in_the_header_is_401(header: str) -> None:
    answer = await Surface().ask("GET", "/key", headers=[("authorization", header)])

    assert (answer.status, answer.json["oops"]) in {(401, "invalid_token"), (401, "credential_required")}


async def test_each_credential_takes_its_own_kind_only() -> None:
    surface = Surface()
    accepted = {
        (path, text): (await surface.ask("GET", path, headers=[("authorization", f"Bearer {text}")])).status
        == 200
        for path in ("/key", "/master", "/session")
        for text in (SERVER_KEY, MASTER, "alice-token")
    }

    assert {pair for pair, passed in accepted.items() if passed} == {
        ("/key", SERVER_KEY),
        ("/key", MASTER),  # the operator acts as any project's server key
        ("/master", MASTER),
        ("/session", "alice-token"),
    }


@pytest.mark.parametrize("cookie", ["__Host-sid", "sid", "pocketpaw_session", "accessToken"])
async def test_a_session_may_be_shown_by_any_dialects_cookie(cookie: str) -> None:
    answer = await Surface().ask("GET", "/session", headers=[("cookie", f"{cookie}=alice-token")])

    assert (answer.status, answer.json["caller"]) == (200, "subject:alice")


async def test_no_credential_at_all_is_told_from_a_wrong_one() -> None:
    surface = Surface()

    assert (await surface.ask("GET", "/session")).json == {"oops": "credential_required"}
    assert (await surface.ask("GET", "/session", headers=[("cookie", "sid=x")])).json == {
        "oops": "invalid_token"
    }
    assert (await surface.ask("GET", "/session?access_token=alice-token&token=alice-token")).status == 401


@pytest.mark.parametrize(
    ("cookie", "status"),
    [
        ("sid=alice-token", 200),
        ("sid=bob-token", 400),
        ("__Host-sid=bob-token", 400),
        ("sid=stale", 200),
        ("accessToken=bob-token", 200),
    ],
)
async def test_a_header_and_a_session_cookie_may_not_name_different_sessions(
    cookie: str, status: int
) -> None:
    answer = await Surface().ask(
        "GET", "/session", headers=[("authorization", "Bearer alice-token"), ("cookie", cookie)]
    )

    assert answer.status == status


async def test_a_wrong_bearer_is_not_saved_by_a_cookie() -> None:
    answer = await Surface().ask(
        "GET", "/session", headers=[("authorization", "Bearer wrong"), ("cookie", "sid=alice-token")]
    )

    assert answer.status == 401


async def test_a_constant_refusal_gathers_no_frames() -> None:
    from sessiond.domain.sessions import INVALID  # noqa: PLC0415 - what this test is about

    surface = Surface()

    for _ in range(3):
        await surface.ask("GET", "/key", headers=[("authorization", "Bearer wrong")])

    assert INVALID.__traceback__ is None
    assert INVALID.__context__ is None
