"""A throw-away PgBouncer in its transaction mode: each statement may go to another connection of the database."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.server_process import WITHIN_SECONDS, free_port
from tests.servers.postgresql import USER, PostgresqlServer, as_its_user

INSTALL = "apt-get install --no-install-recommends pgbouncer"
BACKENDS = 3


class PgBouncer:
    """A pooler with fewer connections than a store would make."""

    def __init__(self, server: PostgresqlServer, port: int) -> None:
        self._server = server
        self._port = port

    @classmethod
    @contextlib.contextmanager
    def started(cls, server: PostgresqlServer) -> Iterator[PgBouncer]:
        """Start one before *server*, and end it by its own id."""
        program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        assert program is not None, f"pgbouncer is not on this machine: {INSTALL}"
        port = free_port()
        settings = _written(server, port)
        with (server.folder / "pgbouncer.log").open("wb") as log:
            process = subprocess.Popen(as_its_user(program, str(settings)), stdout=log, stderr=log)
        try:
            _wait_for(port, process)
            yield cls(server, port)
        finally:
            process.kill()
            process.wait()

    def url(self) -> str:
        """Return the URL of a namespace of its own, through the pooler and without prepared statements."""
        return self._server.url(prepared="false").replace(f":{self._server.port}/", f":{self._port}/")


def _written(server: PostgresqlServer, port: int) -> Path:
    users, settings = server.folder / "users", server.folder / "pgbouncer.ini"
    users.write_text(f'"{USER}" "{server.password}"\n')
    settings.write_text(
        f"[databases]\n{USER} = host=127.0.0.1 port={server.port}\n"
        "[pgbouncer]\nlisten_addr = 127.0.0.1\nunix_socket_dir =\nauth_type = scram-sha-256\n"
        f"listen_port = {port}\nauth_file = {users}\npool_mode = transaction\ndefault_pool_size = {BACKENDS}\n"
    )
    for path in (users, settings):
        path.chmod(0o644)  # below a folder that only its user may enter
    return settings


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + WITHIN_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise AssertionError("pgbouncer did not start")
