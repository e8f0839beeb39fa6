"""Guessing PINs over TCP, and what the operator does beside the server about users."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.server_process import ServerProcess
from tests.till import NAME, REFUSED, claims_of, login, logout, refresh, shown, signed_in, with_user

CLOSES_AFTER_FIVE = {"SESSIOND_PIN_ACCOUNT_CLOSES_AFTER": "5"}
"""The account is closed for an hour then; what five failures cost without it is over in half a minute."""


# -- guessing


def test_an_unknown_name_and_a_wrong_pin_are_answered_alike(till: ServerProcess) -> None:
    wrong, unknown = login(till, pin="9999"), login(till, "nobody")
    volatile = {"date", "x-request-id"}

    assert (wrong.status_code, wrong.json()) == (401, REFUSED)
    assert (unknown.status_code, unknown.content) == (401, wrong.content)
    assert {k: v for k, v in wrong.headers.items() if k not in volatile} == {
        k: v for k, v in unknown.headers.items() if k not in volatile
    }


def test_too_many_failures_are_a_429_that_says_how_long_to_wait(till: ServerProcess) -> None:
    failures = [login(till, pin="9999", address="127.0.4.1").status_code for _ in range(5)]

    answer = login(till, address="127.0.4.1")

    assert failures == [401] * 5
    assert answer.status_code == 429
    assert answer.json() == {"retryAfter": int(answer.headers["retry-after"])}
    assert 1 <= answer.json()["retryAfter"] <= 30
    assert "set-cookie" not in answer.headers
    assert login(till, address="127.0.4.2").status_code == 200


@pytest.mark.slow
def test_a_crash_forgives_no_failure(tmp_path: Path) -> None:
    with ServerProcess.started(tmp_path, settings=CLOSES_AFTER_FIVE) as server:
        with_user(server)
        for _ in range(5):
            assert login(server, pin="9999").status_code == 401

        server.kill()
        server.restart()

        assert login(server).status_code == 429


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that closes accounts after five failures in a row, with two users."""
    with ServerProcess.started(tmp_path_factory.mktemp("strict"), settings=CLOSES_AFTER_FIVE) as server:
        yield with_user(with_user(server), "owner")


@pytest.mark.slow
def test_strangers_cannot_lock_out_who_was_here_before(strict: ServerProcess) -> None:
    known = signed_in(strict, "owner")["knownClient"]
    for host in range(5):
        assert login(strict, "owner", "9999", address=f"127.0.2.{host}").status_code == 401

    stranger = login(strict, "owner", address="127.0.3.1")
    browser = login(strict, "owner", address="127.0.3.1", headers={"Cookie": f"knownClient={known}"})

    assert stranger.status_code == 429
    assert 3000 <= stranger.json()["retryAfter"] <= 3600  # an hour from the last failure
    assert browser.status_code == 200


@pytest.mark.slow
def test_the_operator_unlocks_an_account_beside_the_running_server(strict: ServerProcess) -> None:
    for _ in range(5):
        assert login(strict, pin="9999").status_code == 401
    closed = [login(strict, address=address).status_code for address in ("127.0.0.1", "127.0.3.2")]
    listed = json.loads(strict.run("users", "list", "--json").stdout)["items"]

    unlocked = strict.run("users", "unlock", NAME)

    assert closed == [429, 429]
    assert {user["name"] for user in listed if user["locked"]} == {NAME}
    assert unlocked.returncode == 0, unlocked.stderr
    assert login(strict).status_code == 200


# -- the operator beside the server


@pytest.mark.slow
def test_another_pin_ends_the_sessions_at_once(till: ServerProcess) -> None:
    tokens = signed_in(with_user(till, "carol"), "carol")

    changed = till.run("users", "set-pin", "carol", "--pin-stdin", stdin="4711\n")

    assert changed.returncode == 0, changed.stderr
    assert shown(till, tokens["accessToken"]).status_code == 401
    assert refresh(till, tokens["refreshToken"]).status_code == 401
    assert login(till, "carol").json() == REFUSED
    assert login(till, "carol", "4711").status_code == 200


@pytest.mark.slow
def test_a_disabled_user_is_out_until_it_is_enabled(till: ServerProcess) -> None:
    tokens = signed_in(with_user(till, "dave"), "dave")

    till.run("users", "disable", "dave")
    out = [shown(till, tokens["accessToken"]).status_code, login(till, "dave").status_code]
    till.run("users", "enable", "dave")

    assert out == [401, 401]
    assert login(till, "dave").status_code == 200
    assert refresh(till, tokens["refreshToken"]).status_code == 401


@pytest.mark.slow
def test_a_deleted_user_is_unknown(till: ServerProcess) -> None:
    tokens = signed_in(with_user(till, "erin"), "erin")

    deleted = till.run("users", "delete", "erin", "--yes")

    assert deleted.returncode == 0, deleted.stderr
    assert shown(till, tokens["accessToken"]).status_code == 401
    assert login(till, "erin").json() == REFUSED


def test_a_session_is_ended_from_the_native_api_like_any_other(till: ServerProcess) -> None:
    tokens = signed_in(till)
    session = claims_of(tokens["accessToken"])["sid"]

    ended = httpx.delete(f"{till.url}/v1/sessions/{session}", headers=till.authorization)

    assert ended.status_code == 204
    assert refresh(till, tokens["refreshToken"]).status_code == 401
    assert logout(till, accessToken=tokens["accessToken"]).status_code == 401


# -- what is kept


@pytest.mark.slow
@pytest.mark.in_files
def test_no_pin_token_or_guessed_name_is_in_any_file_or_in_the_log(fresh_server: ServerProcess) -> None:
    pin, wrong, mistyped = "canary-pin-31415926", "canary-wrong-27182818", "canary-name-16180339"
    tokens = signed_in(with_user(fresh_server, pin=pin), pin=pin)
    assert login(fresh_server, pin=wrong).status_code == 401
    assert login(fresh_server, mistyped, wrong).status_code == 401
    assert login(fresh_server, NAME, pin + " " * 60).status_code == 400
    assert refresh(fresh_server, tokens["refreshToken"]).status_code == 200
    secrets = [pin, wrong, mistyped, *(text[-40:] for text in tokens.values())]

    files = [fresh_server.log_path, *(each for each in fresh_server.data_dir.rglob("*") if each.is_file())]

    assert len(files) > 3
    assert [(path, s) for path in files for s in secrets if s.encode() in path.read_bytes()] == []
