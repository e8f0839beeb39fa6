"""Nothing secret at rest on PostgreSQL: not in a table, not among the arguments of a statement, not in any log."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.server_process import WITHIN_SECONDS, ServerProcess
from tests.servers.postgresql import PostgresqlServer, program
from tests.system.canary import Run, files_at_rest, found

pytestmark = pytest.mark.slow

LOG_EVERYTHING = {"log_statement": "all", "log_parameter_max_length": "-1", "log_min_duration_statement": "0"}


@pytest.fixture(scope="module")
def talkative() -> Iterator[PostgresqlServer]:
    """A server that logs every statement with its arguments."""
    with PostgresqlServer.started(settings=LOG_EVERYTHING) as server:
        yield server


@pytest.fixture(scope="module")
def run(talkative: PostgresqlServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    settings = {"SESSIOND_DATABASE": talkative.url("kept")}
    with ServerProcess.started(tmp_path_factory.mktemp("canary"), settings=settings) as server:
        run = Run(server)
        run.drive()
        yield run


def dumped(server: PostgresqlServer) -> bytes:
    """Return everything that lies in the database."""
    return subprocess.run(
        [program("pg_dump"), "--schema=kept", server.admin_url],
        capture_output=True,
        timeout=WITHIN_SECONDS,
        check=True,
    ).stdout


def test_no_secret_is_in_the_database_in_a_statement_or_in_a_log(
    run: Run, talkative: PostgresqlServer
) -> None:
    statements = talkative.log_path.read_bytes()
    places = {
        "the database": dumped(talkative),
        "the log of the database": statements,
        "our log": run.server.log_path.read_bytes(),
        **files_at_rest(run.server.data_dir),
    }

    assert b"usr_canary" in places["the database"]
    assert b"write_changes" in statements
    assert b"usr_canary" in statements
    assert found(run, places) == []


def test_the_password_of_the_database_is_in_no_file_and_no_log(run: Run, talkative: PostgresqlServer) -> None:
    places = {**files_at_rest(run.server.data_dir), "our log": run.server.log_path.read_bytes()}

    assert [name for name, content in places.items() if talkative.password.encode() in content] == []
