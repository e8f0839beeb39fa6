"""The limit: nginx answering texts of the same sizes from its configuration, to the same requests on the same core.

And an anchor beside it: nginx reading a verify's answer from a file, which is what most mean by a static answer.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from bench import ours
from bench.contender import Client, Contender, Running, running
from bench.processes import free_port
from bench.wrk import Call

_TOKEN = "a" * 91
_VERIFY_SIZE = 409


FILE = "nginx, static file"


def nginx() -> Contender:
    """Return nginx with texts in its configuration."""
    return Contender(
        name="nginx, static answer",
        version=_version(),
        notes="the limit: a text in its memory; no session, no storage, no log",
        start=lambda folder: _started(folder, _LOCATIONS, _calls),
    )


def nginx_file() -> Contender:
    """Return nginx with a verify's answer in a file."""
    return Contender(
        name=FILE,
        version=_version(),
        notes="a verify's answer opened and read at each request, no `open_file_cache`; no log",
        start=_start_with_file,
    )


def _version() -> str:
    shown = subprocess.run(["nginx", "-v"], check=True, capture_output=True, text=True).stderr
    return shown.strip().rpartition("/")[2]


def _start_with_file(folder: Path) -> AbstractContextManager[Running]:
    (folder / "answer").write_text(_text(_VERIFY_SIZE), encoding="utf-8")
    locations = f"location / {{ return 200 '{{}}'; }} location = /v1/session {{ alias {folder}/answer; }}"
    return _started(folder, locations, lambda client, number: {"verify": _calls(client, number)["verify"]})


@contextlib.contextmanager
def _started(
    folder: Path, locations: str, calls: Callable[[Client, int], Mapping[str, Call]]
) -> Iterator[Running]:
    port = free_port()
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    # Root's workers would be nobody's, who may not look into the folder.
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"{user} worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;"
        "events { worker_connections 1024; }"
        f"http {{ access_log off; keepalive_requests 100000000; {temporary} default_type application/json;"
        f"server {{ listen 127.0.0.1:{port}; {locations} }} }}",
        encoding="utf-8",
    )
    command = ["nginx", "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    with running(command, folder, port, ready="/", calls=calls) as started:
        yield started


def _text(size: int) -> str:
    """Return an answer of *size* bytes, with tokens in it for the scripts that look for them."""
    head = f'{{"access_token":"{_TOKEN}","refresh_token":"{_TOKEN}","more":"'
    return head + "a" * (size - len(head) - 2) + '"}'


_LOCATIONS = f"""
location / {{ return 200 '{{}}'; }}
location = /v1/session {{ if ($request_method = DELETE) {{ return 204; }} return 200 '{_text(_VERIFY_SIZE)}'; }}
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
    tokens = [_TOKEN] * ours.WAITING_TOKENS
    return ours.calls(number, access_token=_TOKEN, refresh_tokens=tokens, lister="lister")
