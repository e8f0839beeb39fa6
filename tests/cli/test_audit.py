"""`sessiond audit` on what a server has told: it seals at its end, so nothing here waits."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from sessiond.cli.root import app
from tests.dialects.vault_calls import PATH, TOKEN, saved
from tests.server_process import ServerProcess

pytestmark = pytest.mark.slow

WRONG = "wrong-server-key-that-nobody-has-0123456789"


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Return a server that has ended, after sign-ins, a read of the vault and refused attempts."""
    with ServerProcess.started(tmp_path_factory.mktemp("audit")) as server:
        with httpx.Client(base_url=server.url, headers=server.authorization, timeout=120) as http:
            for name in ("ada", "bob"):
                assert http.post("/v1/sessions", json={"subject": name}).status_code == 201
            entry = saved(http, "ada")
            assert http.get(f"{PATH}/{entry['id']}").status_code == 200
            for _ in range(5):
                wrong = {"Authorization": f"Bearer {WRONG}"}
                assert http.get("/v1/sessions", params={"subject": "x"}, headers=wrong).status_code == 401
                assert http.get("/v1/session", headers=wrong).status_code == 401
            assert http.post("/api/auth/session", headers={"Authorization": "Bearer x"}).status_code == 401
        assert server.stop() == 0
        yield server


def run(server: ServerProcess, *arguments: str) -> Result:
    done = CliRunner().invoke(app, ("audit", *arguments), env=server.command_environment)
    assert done.exception is None or isinstance(done.exception, SystemExit), repr(done.exception)
    return done


def exported(server: ServerProcess, *arguments: str) -> list[dict[str, Any]]:
    done = run(server, "export", *arguments)
    assert done.exit_code == 0
    return [json.loads(line) for line in done.stdout.splitlines()]


def verified(server: ServerProcess, *arguments: str) -> tuple[int, dict[str, Any]]:
    done = run(server, "verify", "--json", *arguments)
    return done.exit_code, json.loads(done.stdout)


def heads(server: ServerProcess) -> list[str]:
    """Return the heads that the log tells, in their order."""
    lines = [json.loads(line) for line in server.log().splitlines() if line.startswith("{")]
    return [line["head"] for line in lines if line["event"] == "the audit was sealed"]


def test_a_server_seals_everything_and_logs_its_head(lived: ServerProcess) -> None:
    code, told = verified(lived)

    assert (code, told["sound"], told["unsealed"], told["faults"]) == (0, True, 0, [])
    assert told["sealed"] == len(exported(lived)) > 8
    assert heads(lived)[-1] == told["head"]


def test_a_head_from_the_log_is_found_in_the_chain_and_another_is_not(lived: ServerProcess) -> None:
    head = heads(lived)[-1]
    number, _, digest = head.partition(":")

    assert verified(lived, "--head", head)[0] == 0
    code, told = verified(lived, "--head", f"{number}:{digest[::-1]}")
    assert (code, [each["fault"] for each in told["faults"]]) == (1, ["head_other"])


def test_an_export_is_one_object_a_line_without_any_secret(lived: ServerProcess) -> None:
    rows = exported(lived)

    assert all(
        set(row) == {"sequence", "partition", "at", "type", "project", "session", "subject", "by", "data"}
        for row in rows
    )
    assert [row["sequence"] for row in rows] == sorted(row["sequence"] for row in rows)
    text = json.dumps(rows)
    for secret in (lived.server_key, lived.master_token, WRONG, TOKEN, "sda1_", "sdr1_"):
        assert secret not in text


def test_events_are_chosen_by_subject_type_and_time(lived: ServerProcess) -> None:
    assert {row["type"] for row in exported(lived, "--subject", "ada")} == {
        "subject.created",
        "session.issued",
        "vault.saved",
        "vault.read",
    }
    [read] = exported(lived, "--type", "vault.read")
    assert (read["subject"], read["by"].partition(":")[0]) == ("ada", "server_key")
    assert read["data"]["by_address"] == "127.0.0.1"
    assert exported(lived, "--since", "2999-01-01T00:00:00Z") == []
    assert exported(lived, "--until", "2001-01-01T00:00:00Z") == []
    assert len(exported(lived, "--since", read["at"], "--type", "vault.read")) == 1


def test_the_newest_are_listed(lived: ServerProcess) -> None:
    rows = exported(lived)

    done = run(lived, "list", "--limit", "3", "--json")
    assert json.loads(done.stdout)["items"] == rows[-3:]
    assert "vault.read" in run(lived, "list", "--type", "vault.read").stdout


def test_refused_keys_and_master_tokens_are_counted_and_refused_sessions_are_not(
    lived: ServerProcess,
) -> None:
    counts: Counter[tuple[str, str]] = Counter()
    for row in exported(lived, "--type", "attempts.refused"):
        counts[row["data"]["attempt"], row["data"]["network"]] += row["data"]["count"]

    assert counts == {("server_key", "127.0.0.0/24"): 5, ("master_token", "127.0.0.0/24"): 1}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("list", "--type", "nothing.happened"), "invalid_type"),
        (("export", "--since", "yesterday"), "invalid_time"),
        (("verify", "--head", "12"), "invalid_head"),
        (("verify", "--project", "nobody"), "project_unknown"),
    ],
)
def test_what_cannot_be_asked_is_refused(lived: ServerProcess, arguments: tuple[str, ...], code: str) -> None:
    done = run(lived, *arguments, "--json")

    assert (done.stdout, json.loads(done.stderr)["error"]["code"]) == ("", code)


def test_a_tampered_event_is_named_and_the_exit_code_tells(lived: ServerProcess, tmp_path: Path) -> None:
    [read] = exported(lived, "--type", "vault.read")
    database = lived.data_dir / "sessiond.db"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE events SET by = 'nobody' WHERE sequence = ?", (read["sequence"],))

    code, told = verified(lived)
    shown = run(lived, "verify").stdout
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE events SET by = ? WHERE sequence = ?", (read["by"], read["sequence"]))

    [fault] = told["faults"]
    assert (code, told["sound"], fault["fault"]) == (1, False, "event_changed")
    assert (fault["sequence"], fault["type"]) == (read["sequence"], "vault.read")
    assert "event_changed" in shown
    assert verified(lived)[0] == 0
