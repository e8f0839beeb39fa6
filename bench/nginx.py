"""The limit: nginx answering a text of the same size from its configuration, on the same core."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from bench.contender import OPERATIONS, Client, Contender, Running, running
from bench.processes import free_port
from bench.wrk import Call

_BODY_BYTES = 620
"""About what `GET /v1/session` answers."""


def nginx() -> Contender:
    """Return nginx."""
    shown = subprocess.run(["nginx", "-v"], check=True, capture_output=True, text=True).stderr
    return Contender(
        name="nginx, static answer",
        version=shown.strip().rpartition("/")[2],
        notes="the limit: no session, no storage, no log",
        start=_start,
    )


@contextlib.contextmanager
def _start(folder: Path) -> Iterator[Running]:
    port = free_port()
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    text = "a" * (_BODY_BYTES - 2)
    (folder / "nginx.conf").write_text(
        f"worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;"
        "events { worker_connections 1024; }"
        f"http {{ access_log off; keepalive_requests 100000000; {temporary}"
        f"server {{ listen 127.0.0.1:{port};"
        f"location / {{ default_type application/json; return 200 '\"{text}\"'; }} }} }}",
        encoding="utf-8",
    )
    command = ["nginx", "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    with running(command, folder, port, ready="/", calls=_calls) as started:
        yield started


def _calls(_client: Client, _number: int) -> dict[str, Call]:
    return dict.fromkeys(OPERATIONS, Call(path="/"))
