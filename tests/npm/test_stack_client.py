"""The unmodified npm client `@stackframe/js` against a real server: the test that counts for Stack Auth.

Each version is installed once per user, outside the repository; its script is `stack_client.cjs` beside this file.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.dialects.stack_calls import PROJECT
from tests.histories.nodes import own_clock
from tests.server_process import ServerProcess

VERSIONS = ("2.8.77", "2.8.102", "2.8.108")
SCRIPT = Path(__file__).with_name("stack_client.cjs")
ME, TOKEN = "GET /api/v1/users/me", "POST /api/v1/auth/oauth/token"

pytestmark = [pytest.mark.slow, pytest.mark.real("npm"), pytest.mark.timeout(1200)]

Seen = dict[str, Any]


def installed(version: str) -> Path:
    """Return the folder in which the client of *version* is installed; it appears there whole or not at all."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sessiond-tests" / "npm"
    folder = cache / f"stackframe-js-{version}"
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=cache))
    (scratch / "package.json").write_text('{"private": true}')
    install = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", f"@stackframe/js@{version}"]
    done = subprocess.run(install, cwd=scratch, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    try:
        scratch.rename(folder)
    except OSError:  # another test process was faster
        shutil.rmtree(scratch)
    return folder


@pytest.fixture(scope="module", params=VERSIONS)
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """What the client of each version saw, at a server whose clock it sets: none of its sessions ends too early."""
    client, folder = installed(request.param), tmp_path_factory.mktemp("server") / "node"
    with ServerProcess.started(folder, settings=own_clock(folder)) as server:
        environment = {
            **os.environ,
            "CLIENT_DIR": str(client),
            "URL": server.url,
            "PROJECT": PROJECT,
            "SERVER_KEY": server.server_key,
            "CLOCK": server.command_environment["TEST_CLOCK"],
        }
        done = subprocess.run(
            ["node", str(SCRIPT)], env=environment, capture_output=True, text=True, timeout=300, check=False
        )
    results = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    assert len(results) == 1, done.stdout + done.stderr
    result: Seen = json.loads(results[0].removeprefix("RESULT "))
    assert "error" not in result, result["error"]
    return result


def test_users_are_created_and_found(seen: Seen) -> None:
    users = seen["users"]

    assert users["created"] == {
        "displayName": "Bob",
        "primaryEmail": "bob@example.com",
        "clientMetadata": {"seats": 3},
        "isAnonymous": False,
    }
    assert users["read"] == {"same": True, "displayName": "Bob"}
    assert users["unknown"] is None


def test_a_wrong_server_key_is_a_known_error(seen: Seen) -> None:
    assert seen["users"]["wrongKey"]["code"] == "INVALID_SECRET_SERVER_KEY"


def test_sessions_are_created_with_and_without_options_and_sign_the_user_in(seen: Seen) -> None:
    sessions = seen["sessions"]

    assert sessions["tokens"] == [["accessToken", "refreshToken"]] * 3
    assert sessions["me"] == {"same": True, "displayName": "Bob"}
    assert (sessions["keyless"], sessions["impersonated"]) == (True, True)


def test_a_server_reads_the_user_of_a_request(seen: Seen) -> None:
    sessions = seen["sessions"]

    assert (sessions["byServer"], sessions["byRequest"]) == (True, True)
    assert sessions["partial"] == {"value": True, "requests": []}


def test_active_sessions_are_listed_without_impersonations(seen: Seen) -> None:
    sessions = seen["sessions"]

    assert [item["isCurrentSession"] for item in sessions["listedByClient"]] == [False, True]
    assert [item["isCurrentSession"] for item in sessions["listedByServer"]] == [False, False]
    assert not any(item["isImpersonation"] for item in sessions["listedByServer"])


def test_the_client_refreshes_when_its_access_token_will_not_do(seen: Seen) -> None:
    refreshing = seen["refreshing"]

    assert refreshing["fresh"] == {"value": True, "requests": [f"{ME} 200"]}
    for why in ("expired", "short", "absent", "lackingClaims", "stillFresh"):
        assert refreshing[why] == {"value": True, "requests": [f"{TOKEN} 200", f"{ME} 200"]}


def test_the_client_refreshes_when_the_server_refuses_its_access_token(seen: Seen) -> None:
    assert seen["refreshing"]["forged"] == {
        "value": True,
        "requests": [f"{ME} 401", f"{TOKEN} 200", f"{ME} 200"],
    }


def test_eight_clients_refresh_one_token_at_once(seen: Seen) -> None:
    assert seen["refreshing"]["parallel"] == {"same": 8, "refreshes": [f"{TOKEN} 200"] * 8}


def test_a_user_ends_another_session_and_not_the_current_one(seen: Seen) -> None:
    revoking = seen["revoking"]

    assert revoking["current"]["code"] == "CANNOT_DELETE_CURRENT_SESSION"
    assert revoking["other"] == {}
    assert "404 Session not found." in revoking["again"]["message"]
    assert [item["isCurrentSession"] for item in revoking["left"]] == [True]
    assert revoking["revokedUser"] is None


def test_a_server_ends_a_session(seen: Seen) -> None:
    revoking = seen["revoking"]

    assert revoking["byServer"] == {}
    assert "404 Session not found." in revoking["unknownByServer"]["message"]
    assert revoking["endedElsewhere"] == {"user": None}


def test_after_signing_out_there_is_no_user(seen: Seen) -> None:
    signing_out = seen["signingOut"]

    assert signing_out["signOut"]["requests"] == ["DELETE /api/v1/auth/sessions/current 200"]
    assert (signing_out["after"], signing_out["afterByTokens"]) == (None, None)


def test_signing_out_of_a_session_that_was_ended_elsewhere_is_no_error(seen: Seen) -> None:
    assert "message" not in seen["signingOut"]["lateSignOut"]


def test_an_anonymous_user_is_signed_up_and_stays_the_same(seen: Seen) -> None:
    assert seen["anonymous"] == {
        "nobody": None,
        "user": {"isAnonymous": True, "displayName": None},
        "same": True,
        "hidden": None,
        "byServer": True,
    }


def test_a_deleted_user_is_gone(seen: Seen) -> None:
    deleting = seen["deleting"]

    assert (deleting["found"], deleting["signedIn"]) == (None, None)
    assert deleting["createSession"]["code"] == "USER_ID_DOES_NOT_EXIST"


def test_a_session_shorter_than_the_clients_patience_works_until_it_ends(seen: Seen) -> None:
    assert seen["shortSession"] == {"alive": True, "refreshed": True, "ended": True, "endedByToken": None}
