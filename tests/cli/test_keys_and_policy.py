"""Keys and policies on the command line, beside a server that is running."""

from __future__ import annotations

import httpx
import pytest

from tests.cli.test_beside_a_server import answer, open_session, refusal, run, verify
from tests.server_process import ServerProcess

pytestmark = pytest.mark.slow

NONE_REFUSED = {"sessions": 0, "access_tokens": 0, "pins": 0, "vault_entries": 0, "complete": True}


def one(server: ServerProcess, kind: str, state: str) -> str:
    keys = answer(server, "keys", "list")["items"]
    return str(next(key["kid"] for key in keys if (key["kind"], key["state"]) == (kind, state)))


def test_a_rotation_waits_until_everybody_knows_the_successor(server: ServerProcess) -> None:
    foreseen = answer(server, "keys", "rotate", "signing", "--dry-run")
    done = answer(server, "keys", "rotate", "signing")

    assert (foreseen["dry_run"], foreseen["refused"]) == (True, NONE_REFUSED)
    assert done["refused"] == NONE_REFUSED
    assert len(done["keys"]) == 4
    assert all(key["activates_at"] for key in done["keys"])
    assert "Refused are 0 sessions" in run(server, "keys", "rotate", "signing").stdout


def test_a_key_that_others_may_know_is_refused_at_once_by_the_running_server(server: ServerProcess) -> None:
    session, kid = open_session(server, "mallory"), one(server, "root", "active")

    foreseen = answer(server, "keys", "compromised", kid, "--dry-run")
    asked = refusal(server, "keys", "compromised", kid)
    before = verify(server, session)
    done = answer(server, "keys", "compromised", kid, "--yes")

    assert foreseen["refused"]["sessions"] >= 1
    assert asked == (2, "misconfigured")
    assert (before, verify(server, session)) == (200, 401)
    assert done["refused"] == foreseen["refused"]
    assert verify(server, open_session(server, "mallory")) == 200
    assert refusal(server, "keys", "compromised", "nothing", "--yes") == (3, "key_unknown")


def test_a_new_wrapping_key_ends_nothing_and_the_running_server_goes_on(server: ServerProcess) -> None:
    session = open_session(server, "walter")

    first = answer(server, "keys", "rewrap")
    second = answer(server, "keys", "rewrap")

    assert first["present"] == second["former"] != second["present"]
    assert verify(server, session) == 200
    assert httpx.get(f"{server.url}/readyz").status_code == 200
    server.stop()
    server.restart()
    assert verify(server, session) == 200


def test_when_every_key_is_known_everything_begins_anew(server: ServerProcess) -> None:
    session = open_session(server, "oscar")

    answer(server, "keys", "compromised", "--yes")

    assert verify(server, session) == 401
    assert verify(server, open_session(server, "oscar")) == 200
    server.stop()
    server.restart()
    assert verify(server, open_session(server, "oscar")) == 200


def test_there_may_be_nothing_to_seal_anew(server: ServerProcess) -> None:
    assert answer(server, "keys", "reseal") == {"resealed": 0, "unreadable": 0}


def test_a_policy_is_shown_changed_and_returned(server: ServerProcess) -> None:
    configured = answer(server, "policy", "show")

    changed = answer(server, "policy", "set", "--preset", "aal2", "--grace", "5s", "--max-sessions", "3")
    again = answer(server, "policy", "set", "--max-sessions", "none")

    assert configured["source"] == "configuration"
    assert changed["source"] == "project"
    assert changed["policy"] == configured["policy"] | {
        "preset": "aal2",
        "absolute_timeout": "1d",
        "idle_timeout": "1h",
        "grace": "5s",
        "max_sessions": 3,
    }
    assert again["policy"] == changed["policy"] | {"max_sessions": None}
    assert open_session(server, "paula")["session"]["idle_timeout_seconds"] == 3600
    assert answer(server, "policy", "reset") == configured


def test_what_is_no_policy_is_refused(server: ServerProcess) -> None:
    assert refusal(server, "policy", "set", "--absolute-timeout", "31d") == (1, "invalid_policy")
    assert refusal(server, "policy", "set", "--grace", "soon") == (2, "misconfigured")
    assert refusal(server, "policy", "show", "--project", "nothing") == (3, "project_unknown")
