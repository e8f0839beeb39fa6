"""Every verb, run as an operator runs it: a process of its own beside a server that serves."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from sessiond.cli.root import app
from tests.server_process import ServerProcess, free_port, sessiond_command

pytestmark = pytest.mark.slow

MEMBERS_OF_A_USER = {"id", "name", "project", "created_at", "disabled_at", "locked"}


def run(server: ServerProcess, *arguments: str, stdin: str | None = None) -> Result:
    """Run the command line beside *server*, within this process: that spares half a second of imports."""
    done = CliRunner().invoke(app, arguments, input=stdin, env=server.command_environment)
    assert done.exception is None or isinstance(done.exception, SystemExit), repr(done.exception)
    return done


def answer(server: ServerProcess, *arguments: str, stdin: str | None = None) -> dict[str, Any]:
    """Return what a verb answers in JSON; nothing else may stand on standard output."""
    done = run(server, *arguments, "--json", stdin=stdin)
    assert done.exit_code == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def refusal(server: ServerProcess, *arguments: str, stdin: str | None = None) -> tuple[int, str]:
    """Return the exit code and the refusal's code of a verb that is refused."""
    done = run(server, *arguments, "--json", stdin=stdin)
    assert done.stdout == ""
    code: str = json.loads(done.stderr)["error"]["code"]
    return done.exit_code, code


def test_a_subject_is_found_and_erased(server: ServerProcess) -> None:
    made = open_session(server, "erna-of-the-cli")

    [found] = answer(server, "subjects", "list", "--search", "ERNA-of")["items"]
    assert (found["id"], found["kind"], found["disabled_at"]) == ("erna-of-the-cli", "user", None)
    assert refusal(server, "subjects", "erase", "erna-of-the-cli") == (2, "misconfigured")
    done = answer(server, "subjects", "erase", "erna-of-the-cli", "--yes")

    assert done == {"id": "erna-of-the-cli", "erased": True}
    assert answer(server, "subjects", "list", "--search", "erna-of")["items"] == []
    bearer = {"Authorization": f"Bearer {made['access_token']}"}
    assert httpx.get(f"{server.url}/v1/session", headers=bearer).status_code == 401
    assert refusal(server, "subjects", "erase", "operator", "--yes") == (1, "subject_reserved")
    assert refusal(server, "subjects", "erase", "", "--yes") == (1, "invalid_subject")


def sign_in(server: ServerProcess, name: str, pin: str) -> httpx.Response:
    return httpx.post(f"{server.url}/auth/login", json={"name": name, "pin": pin})


def open_session(server: ServerProcess, subject: str) -> dict[str, Any]:
    response = httpx.post(
        f"{server.url}/v1/sessions", json={"subject": subject}, headers=server.authorization
    )
    assert response.status_code == 201
    found: dict[str, Any] = response.json()
    return found


def verify(server: ServerProcess, session: dict[str, Any]) -> int:
    header = {"Authorization": f"Bearer {session['access_token']}"}
    return httpx.get(f"{server.url}/v1/session", headers=header).status_code


def test_a_user_that_is_added_signs_in_at_once(server: ServerProcess) -> None:
    user = answer(server, "users", "add", "anna", "--pin-stdin", stdin="0471\n")

    assert set(user) == MEMBERS_OF_A_USER
    assert sign_in(server, "anna", "0471").status_code == 200
    assert sign_in(server, "anna", "4710").status_code == 401


def test_users_are_listed(server: ServerProcess) -> None:
    answer(server, "users", "add", "berta", "--pin-stdin", stdin="1234")

    users = answer(server, "users", "list")["items"]

    assert "berta" in {user["name"] for user in users}
    assert "berta" in run(server, "users", "list").stdout


def test_another_pin_ends_the_sessions_and_is_the_only_one_that_counts(server: ServerProcess) -> None:
    answer(server, "users", "add", "carla", "--pin-stdin", stdin="1111")
    cookies = sign_in(server, "carla", "1111").cookies

    answer(server, "users", "set-pin", "carla", "--pin-stdin", stdin="2222")

    assert httpx.post(f"{server.url}/auth/refresh", cookies=cookies).status_code == 401
    assert sign_in(server, "carla", "2222").status_code == 200


def test_a_disabled_user_is_out_until_enabled(server: ServerProcess) -> None:
    answer(server, "users", "add", "dora", "--pin-stdin", stdin="1111")
    cookies = sign_in(server, "dora", "1111").cookies

    assert answer(server, "users", "disable", "dora")["disabled_at"]
    assert httpx.post(f"{server.url}/auth/refresh", cookies=cookies).status_code == 401
    assert sign_in(server, "dora", "1111").status_code == 401

    assert answer(server, "users", "enable", "dora")["disabled_at"] is None
    assert sign_in(server, "dora", "1111").status_code == 200


def test_a_user_is_unlocked(server: ServerProcess) -> None:
    answer(server, "users", "add", "emma", "--pin-stdin", stdin="1111")
    assert 429 in [sign_in(server, "emma", "0000").status_code for _ in range(8)]

    assert answer(server, "users", "unlock", "emma")["locked"] is False

    assert sign_in(server, "emma", "1111").status_code == 200


def test_a_deleted_user_is_gone(server: ServerProcess) -> None:
    answer(server, "users", "add", "frida", "--pin-stdin", stdin="1111")

    assert refusal(server, "users", "delete", "frida") == (2, "misconfigured")
    assert answer(server, "users", "delete", "frida", "--yes")["deleted"]

    assert sign_in(server, "frida", "1111").status_code == 401
    assert refusal(server, "users", "delete", "frida", "--yes")[0] == 3


@pytest.mark.parametrize(
    ("arguments", "stdin", "code"),
    [
        (("users", "add", "gina", "--pin-stdin"), "12", 1),
        (("users", "add", "gina", "--pin-stdin"), "", 1),
        (("users", "add", "gina"), "1234", 2),
        (("users", "add", "gina", "--pin-stdin", "--project", "none"), "1234", 3),
        (("users", "set-pin", "nobody", "--pin-stdin"), "1234", 3),
        (("users", "disable", "nobody"), None, 3),
        (("users", "unlock", "nobody"), None, 3),
        (("sessions", "show", "nonsense"), None, 1),
        (("sessions", "show", "00000000-0000-7000-8000-000000000000"), None, 3),
        (("sessions", "revoke"), None, 1),
        (("sessions", "revoke", "--subject", "nobody"), None, 3),
        (("server-keys", "revoke", "nothing"), None, 3),
        (("recover",), "", 2),
        (("config", "check", "--set", "policy.grace=1h"), None, 2),
        (("config", "check", "--config", "/nonexistent"), None, 2),
        (("users", "list", "--data-dir", "/proc/nothing"), None, 2),
    ],
)
def test_what_is_refused_has_its_exit_code_and_no_traceback(
    server: ServerProcess, arguments: tuple[str, ...], stdin: str | None, code: int
) -> None:
    assert refusal(server, *arguments, stdin=stdin)[0] == code


def test_a_second_user_of_one_name_is_refused(server: ServerProcess) -> None:
    answer(server, "users", "add", "hanna", "--pin-stdin", stdin="1111")

    assert refusal(server, "users", "add", "HANNA", "--pin-stdin", stdin="1111") == (1, "user_exists")


def test_an_unknown_option_is_wrong_usage(server: ServerProcess) -> None:
    assert run(server, "users", "list", "--nothing").exit_code == 2
    assert run(server, "user").exit_code == 2


def test_sessions_are_listed_shown_and_revoked(server: ServerProcess) -> None:
    session = open_session(server, "ida")
    identifier = session["session"]["id"]

    listed = answer(server, "sessions", "list", "--subject", "ida")["items"]
    assert [(each["id"], each["state"]) for each in listed] == [(identifier, "live")]
    assert answer(server, "sessions", "revoke", identifier, "--reason", "lost laptop") == {
        "revoked": [identifier]
    }

    assert verify(server, session) == 401
    assert answer(server, "sessions", "list", "--subject", "ida") == {"items": []}
    shown = answer(server, "sessions", "show", identifier)
    assert (shown["state"], shown["ended_reason"]) == ("session_revoked", "lost laptop")
    assert "lost laptop" in run(server, "sessions", "show", identifier).stdout
    assert len(answer(server, "sessions", "list", "--subject", "ida", "--ended")["items"]) == 1


def test_all_sessions_of_a_subject_are_revoked(server: ServerProcess) -> None:
    sessions = [open_session(server, "jana") for _ in range(3)]
    assert {verify(server, session) for session in sessions} == {200}

    answer(server, "sessions", "revoke", "--subject", "jana")

    assert {verify(server, session) for session in sessions} == {401}


def test_a_server_key_works_until_it_is_revoked(server: ServerProcess) -> None:
    key = answer(server, "server-keys", "add", "billing")
    header = {"Authorization": f"Bearer {key['server_key']}"}
    assert httpx.get(f"{server.url}/v1/sessions?subject=x", headers=header).status_code == 200

    listed = run(server, "server-keys", "list", "--json").stdout
    assert key["server_key"] not in listed
    answer(server, "server-keys", "revoke", "billing")

    assert httpx.get(f"{server.url}/v1/sessions?subject=x", headers=header).status_code == 401


def test_the_keys_are_listed_without_any_secret(server: ServerProcess) -> None:
    keys = answer(server, "keys", "list")["items"]

    assert {key["kind"] for key in keys} == {"root", "signing", "vault"}
    assert not any("secret" in key for key in keys)


def test_projects_are_added_and_listed(server: ServerProcess) -> None:
    project = answer(server, "projects", "add", "shop")

    assert project["id"] in {each["id"] for each in answer(server, "projects", "list")["items"]}
    assert refusal(server, "projects", "add", "shop") == (1, "project_exists")
    assert answer(server, "server-keys", "add", "web", "--project", "shop")["project"] == project["id"]


def test_purge_says_how_much_went(server: ServerProcess) -> None:
    assert answer(server, "purge")["removed"] >= 0


def test_what_a_client_sent_cannot_reach_the_terminal(server: ServerProcess) -> None:
    header = server.authorization | {"User-Agent": "evil\x1b[31m"}
    body = {"subject": "kim", "client": {"name": "a\u009b31m"}}
    httpx.post(f"{server.url}/v1/sessions", json=body, headers=header)

    shown = run(server, "sessions", "list", "--subject", "kim").stdout

    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", shown)


def test_the_settings_show_where_they_come_from_and_never_a_secret(server: ServerProcess) -> None:
    done = run(server, "config", "show", "--json", "--set", "policy.grace=9s")
    shown = json.loads(done.stdout)

    assert shown["policy.grace"] == {"value": "9s", "origin": "flag --set policy.grace"}
    assert shown["data_dir"] == {"value": str(server.data_dir), "origin": "environment SESSIOND_DATA_DIR"}
    assert server.server_key not in done.stdout
    assert server.master_token not in done.stdout


def test_a_verb_in_a_process_of_its_own_answers_alike(server: ServerProcess) -> None:
    done = server.run("users", "add", "olga", "--pin-stdin", "--json", stdin="1234\n")
    refused = server.run("users", "add", "olga", "--pin-stdin", "--json", stdin="1234\n")

    assert (done.returncode, done.stderr, json.loads(done.stdout)["name"]) == (0, "", "olga")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert json.loads(refused.stderr)["error"]["code"] == "user_exists"


def test_the_master_token_is_replaced(fresh_server: ServerProcess) -> None:
    server = fresh_server
    assert refusal(server, "master-token", "show") == (3, "master_token_not_kept")

    rotated = answer(server, "master-token", "rotate")["master_token"]

    assert answer(server, "master-token", "show") == {"master_token": rotated}
    for token, status in ((rotated, 200), (server.master_token, 401)):
        header = {"Authorization": f"Bearer {token}"}
        assert httpx.post(f"{server.url}/api/auth/session", headers=header).status_code == status


def test_recovery_ends_every_session_of_a_running_server(fresh_server: ServerProcess) -> None:
    session = open_session(fresh_server, "lea")
    assert verify(fresh_server, session) == 200

    answer(fresh_server, "recover", "--yes")

    assert verify(fresh_server, session) == 401
    assert verify(fresh_server, open_session(fresh_server, "lea")) == 200


def test_a_port_in_use_is_refused_in_one_sentence_before_anything_is_made(
    server: ServerProcess, tmp_path: Path
) -> None:
    done = server.run("serve", "--port", str(server.port), "--data-dir", str(tmp_path / "new"))

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"Port {server.port}" in done.stderr
    assert not (tmp_path / "new").exists()


def test_a_second_server_on_one_database_is_refused(server: ServerProcess) -> None:
    done = server.run("serve", "--port", str(free_port()))

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("--workers", "2"), "SQLite is served by one process"),
        (("--set", "nothing=1"), "is no setting"),
        (("--public-url", "nonsense"), "must be a scheme and a host"),
    ],
)
def test_a_start_that_is_refused_says_why_in_one_sentence(
    server: ServerProcess, arguments: tuple[str, ...], part: str
) -> None:
    done = server.run("serve", *arguments)

    assert done.returncode == 2
    assert part in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_first_start_says_where_things_are_and_shows_no_secret(tmp_path: Path) -> None:
    with ServerProcess.started(tmp_path) as server:
        first = server.log()
        server.stop()
        server.restart()
        again = server.log()[len(first) :]

    assert "A new installation was made" in first
    assert str(server.data_dir / "secrets" / "key") in first
    assert f"http://127.0.0.1:{server.port}" in first
    assert "Public access is open" in first
    assert server.server_key not in first + again
    assert server.master_token not in first + again
    assert "A new installation was made" not in again


def typed(server: ServerProcess, *lines: str) -> tuple[int, str]:
    """Run `users add paula` on a terminal of its own; return the exit code and all that the terminal showed."""
    outer, inner = pty.openpty()
    command = [*sessiond_command(), "users", "add", "paula"]
    environment = server.command_environment
    with subprocess.Popen(
        command, stdin=inner, stdout=inner, stderr=inner, env=environment, start_new_session=True
    ) as process:
        os.close(inner)
        shown = b""
        for line in lines:
            while not shown.endswith(b": "):
                shown += os.read(outer, 1024)
            os.write(outer, line.encode() + b"\n")
            shown += b"\n"
        with contextlib.suppress(OSError):
            while piece := os.read(outer, 1024):
                shown += piece
    os.close(outer)
    return process.returncode, shown.decode()


def test_a_pin_is_asked_twice_and_never_shown(server: ServerProcess) -> None:
    differing, shown = typed(server, "4711", "4712")
    assert differing == 1
    assert "The two PINs differ" in shown

    added, shown = typed(server, "4711", "4711")
    assert added == 0
    assert "4711" not in shown
    assert sign_in(server, "paula", "4711").status_code == 200
