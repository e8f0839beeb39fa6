"""A throw-away PostgreSQL server on a free port of loopback, ended by its own id.

`initdb` and `postgres` refuse root, so as root they run as the user `postgres` that Debian's package made.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.server_process import WITHIN_SECONDS, free_port
from tests.system.waiting import eventually

INSTALL = "apt-get install --no-install-recommends postgresql"
USER = "sessiond"
_DEBIAN = Path("/usr/lib/postgresql")
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",  # a kill takes nothing that was written; who syncs waits for whatever else the disk does
    "max_connections": "60",
    "shared_buffers": "64MB",
    "autovacuum_naptime": "5s",
    "log_min_messages": "warning",
}

_numbers = itertools.count(1)


def program(name: str) -> str:
    """Return the path of one of PostgreSQL's programs, the newest version that is there."""
    versions = sorted(_DEBIAN.glob("*/bin"), key=lambda path: float(path.parent.name))
    paths = [str(path) for path in reversed(versions)]
    found = shutil.which(name, path=os.pathsep.join([*paths, os.environ.get("PATH", "")]))
    if found is None:
        raise AssertionError(f"PostgreSQL's {name} is not on this machine: {INSTALL}")
    return found


def as_its_user(*command: str) -> list[str]:
    """Return *command* as whoever may run it: as root, the user postgres."""
    if os.geteuid() != 0:
        return list(command)
    identity = ("--reuid=postgres", "--regid=postgres", "--init-groups", "--reset-env")
    return ["setpriv", *identity, *command]


def _children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class PostgresqlServer:
    """A server with a database and a user of one name, who has a password."""

    def __init__(self, folder: Path, *, settings: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.log_path = folder / "log"
        self.password = secrets.token_hex(16)
        self.port = free_port()
        self._settings = _SETTINGS | dict(settings or {})
        self.process: subprocess.Popen[bytes] | None = None

    @classmethod
    @contextlib.contextmanager
    def started(cls, *, settings: Mapping[str, str] | None = None) -> Iterator[PostgresqlServer]:
        """Make and start a server, and remove it in the end."""
        with _folder() as folder:
            server = cls(folder, settings=settings)
            server.make()
            server.start()
            try:
                server.run_sql(f"CREATE DATABASE {USER}", database="postgres")
                yield server
            finally:
                server.kill()

    @contextlib.contextmanager
    def followed(self) -> Iterator[PostgresqlServer]:
        """Start a synchronous standby of this server, of the same user and password, and remove it in the end."""
        primary = f"host=127.0.0.1 port={self.port} user={USER} password={self.password}"
        follows = {
            "primary_conninfo": f"{primary} application_name=standby",
            "wal_retrieve_retry_interval": "200ms",
        }
        with _folder() as folder:
            standby = PostgresqlServer(folder, settings=follows)
            standby.password = self.password
            copy = (f"--pgdata={standby.data}", f"--dbname={primary}", "--checkpoint=fast", "--no-sync")
            _run(program("pg_basebackup"), *copy, "--write-recovery-conf")
            standby.start()
            try:
                # Only now, as every commit waits for it from here on.
                self.run_sql("ALTER SYSTEM SET synchronous_standby_names = 'standby'")
                self.run_sql("SELECT pg_reload_conf()")
                eventually(lambda: self.run_sql("SELECT sync_state FROM pg_stat_replication") == "sync")
                yield standby
            finally:
                standby.kill()

    @property
    def connections(self) -> int:
        """How many connections it takes of us."""
        return int(self._settings["max_connections"])

    def make(self) -> None:
        """Make the data directory."""
        password = self.folder / "password"
        password.write_text(self.password)
        _give(password)
        options = (f"--username={USER}", f"--pwfile={password}", "--auth=scram-sha-256", "--no-sync")
        _run(program("initdb"), f"--pgdata={self.data}", "--encoding=UTF8", "--locale=C", *options)

    def start(self, **settings: str) -> None:
        """Start it and wait until it answers; *settings* go before those it was made with."""
        self._settings |= settings
        options = [f"--{name}={value}" for name, value in self._settings.items()]
        command = as_its_user(program("postgres"), "-D", str(self.data), "-p", str(self.port), *options)
        deadline = time.monotonic() + WITHIN_SECONDS
        while time.monotonic() < deadline:
            with self.log_path.open("ab") as log:
                self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)
            while self.process.poll() is None and time.monotonic() < deadline:
                if self._answers():
                    return
                time.sleep(0.02)
            # After a kill the memory of the former server is in use until the last of its processes has gone.
            if "shared memory" not in self.log_path.read_text():
                break
            time.sleep(0.1)
        raise AssertionError(f"PostgreSQL did not start:\n{self.log_path.read_text()}")

    def stop(self) -> None:
        """End it as an operator does, ending every connection."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End it as a crash does, with every process of it: one that is left could still answer once."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGSTOP)
            for child in _children_of(self.process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
        self._end(signal.SIGKILL)

    def url(self, namespace: str | None = None, **parameters: str) -> str:
        """Return the URL of a namespace, one of its own where none is named."""
        chosen = {"namespace": namespace or f"n{os.getpid()}_{next(_numbers)}", **parameters}
        query = "&".join(f"{name}={value}" for name, value in chosen.items())
        return f"{self.admin_url}?{query}"

    @property
    def admin_url(self) -> str:
        """The URL of the database, for a test's own statements."""
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{self.port}/{USER}"

    def run_sql(self, sql: str, *, database: str = USER) -> str:
        """Run *sql* and return what it answers, a line for each row."""
        environment = {**os.environ, "PGPASSWORD": self.password}
        where = ("--host=127.0.0.1", f"--port={self.port}", f"--username={USER}", f"--dbname={database}")
        done = subprocess.run(
            [program("psql"), "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", *where, "-c", sql],
            env=environment,
            capture_output=True,
            text=True,
            timeout=WITHIN_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def _answers(self) -> bool:
        with contextlib.suppress(AssertionError, OSError):
            # What pg_ctl reads, too: a psql every moment takes more than the start itself.
            if not {"ready", "standby"}.intersection((self.data / "postmaster.pid").read_text().split()):
                return False
            return self.run_sql("SELECT 1", database="postgres") == "1"
        return False

    def _end(self, how: signal.Signals) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(how)
            self.process.wait(timeout=WITHIN_SECONDS)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="sessiond-pg-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        _give(folder)
        yield folder


def _give(path: Path) -> None:
    if os.geteuid() == 0:
        shutil.chown(path, "postgres", "postgres")


def _run(*command: str) -> None:
    done = subprocess.run(
        as_its_user(*command), capture_output=True, text=True, timeout=WITHIN_SECONDS, check=False, cwd="/"
    )
    assert done.returncode == 0, f"{command[0]}: {done.stderr}{done.stdout}"
