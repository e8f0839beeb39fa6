"""The limit: nginx answering texts of the same sizes from its configuration, to the same requests on the same core."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.contender import Client, Contender, Running, running
from bench.ours import WAITING_TOKENS, calls
from bench.processes import free_port
from bench.wrk import Call

_TOKEN = "a" * 91


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
    (folder / "nginx.conf").write_text(
        f"worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;"
        "events { worker_connections 1024; }"
        f"http {{ access_log off; keepalive_requests 100000000; {temporary} default_type application/json;"
        f"server {{ listen 127.0.0.1:{port}; {_LOCATIONS} }} }}",
        encoding="utf-8",
    )
    command = ["nginx", "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    with running(command, folder, port, ready="/", calls=_calls) as started:
        yield started


def _text(size: int) -> str:
    """Return an answer of *size* bytes, with tokens in it for the scripts that look for them."""
    head = f'{{"access_token":"{_TOKEN}","refresh_token":"{_TOKEN}","more":"'
    return head + "a" * (size - len(head) - 2) + '"}'


_LOCATIONS = f"""
location / {{ return 200 '{{}}'; }}
location = /v1/session {{ if ($request_method = DELETE) {{ return 204; }} return 200 '{_text(409)}'; }}
location = /v1/session/refresh {{ return 200 '{_text(279)}'; }}
location = /v1/sessions {{
    set $half '{_text(2371)}';
    if ($request_method = GET) {{ return 200 '$half$half'; }}
    return 201 '{_text(687)}';
}}
"""
"""Of the sizes that sessiond's answers have."""


def _calls(_client: Client, number: int) -> Mapping[str, Call]:
    """Return sessiond's own calls: both answer the same requests, made by the same scripts."""
    return calls(number, access_token=_TOKEN, refresh_tokens=[_TOKEN] * WAITING_TOKENS, lister="lister")
