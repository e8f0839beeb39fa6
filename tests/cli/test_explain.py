"""`sessiond explain`: why a token passes or not, without showing it."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import httpx
import pytest

from tests.server_process import ServerProcess

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tokens(server: ServerProcess) -> dict[str, Any]:
    """Return what a create answered; its session was revoked since."""
    with httpx.Client(base_url=server.url, headers=server.authorization) as http:
        body: dict[str, Any] = http.post("/v1/sessions", json={"subject": "erin"}).json()
        http.delete(f"/v1/sessions/{body['session']['id']}", params={"reason": "lost phone"})
    return body


def explain(server: ServerProcess, text: str, *options: str) -> subprocess.CompletedProcess[str]:
    return server.run("explain", *options, stdin=f"{text}\n")


def explained(server: ServerProcess, text: str) -> dict[str, Any]:
    done = explain(server, text, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_it_says_of_a_signed_out_user_s_token_what_happened(
    server: ServerProcess, tokens: dict[str, Any]
) -> None:
    found = explained(server, tokens["access_token"])

    assert (found["kind"], found["accepted"], found["code"]) == ("access token", False, "session_revoked")
    assert (found["session"], found["subject"]) == (tokens["session"]["id"], "erin")
    refused = [each for each in found["steps"] if each["passed"] is False]
    assert [each["step"] for each in refused] == ["revoked"]
    assert "lost phone" in refused[0]["fact"]
    last = found["timeline"][-1]
    assert (last["type"], last["reason"]) == ("session.revoked", "lost phone")
    assert found["ended_by"] == last["by"]


def test_people_read_it_as_tables(server: ServerProcess, tokens: dict[str, Any]) -> None:
    done = explain(server, tokens["refresh_token"])

    assert done.returncode == 0
    for text in ("refresh token", "REFUSED", "not reached", "session.revoked", "lost phone"):
        assert text in done.stdout


def test_nothing_of_the_text_is_shown(server: ServerProcess, tokens: dict[str, Any]) -> None:
    texts = (tokens["access_token"], tokens["refresh_token"], server.server_key, server.master_token)

    for text in texts:
        for options in ((), ("--json",)):
            done = explain(server, text, *options)
            assert done.returncode == 0
            assert text[10:] not in done.stdout + done.stderr


def test_it_explains_server_keys_and_the_master_token(server: ServerProcess) -> None:
    assert explained(server, server.server_key)["kind"] == "server key"
    assert explained(server, server.master_token)["accepted"]
    assert explained(server, "nothing of ours")["kind"] == "unknown text"


def test_a_token_as_an_argument_is_refused_and_not_repeated(
    server: ServerProcess, tokens: dict[str, Any]
) -> None:
    done = server.run("explain", tokens["access_token"])

    assert done.returncode == 1
    assert "standard input" in done.stderr
    assert tokens["access_token"] not in done.stdout + done.stderr


def test_an_empty_line_is_refused(server: ServerProcess) -> None:
    done = explain(server, "", "--json")

    assert done.returncode == 1
    assert json.loads(done.stderr)["error"]["code"] == "token_required"
