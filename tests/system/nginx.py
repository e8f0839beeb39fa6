"""A real nginx before a server, on a free loopback port, ended by its own id."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.server_process import free_port

START_WITHIN_SECONDS = 120

_CONFIGURATION = """
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_buffer_size 1m;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass {upstream};
            {more}
        }}
    }}
}}
"""


def nginx_command() -> str:
    """Return the path of nginx, or fail with the line that installs it."""
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    assert found, "nginx is missing: apt-get install --no-install-recommends nginx-light"
    return found


@contextlib.contextmanager
def nginx_before(upstream: str, folder: Path, *lines: str, own_user: bool = False) -> Iterator[str]:
    """Run nginx with a plain `proxy_pass` to *upstream* and *lines* beside it; yield its URL.

    Started by root, its workers are another user, as Debian has it, unless *own_user*.
    """
    folder.mkdir()
    port = free_port()
    configuration = _CONFIGURATION.format(
        user=user_line(own_user=own_user),
        folder=folder,
        port=port,
        upstream=upstream,
        more="\n            ".join(lines),
    )
    with nginx_running(folder, port, configuration):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def nginx_running(folder: Path, port: int, configuration: str) -> Iterator[None]:
    """Run nginx with this *configuration*, which listens on *port*, its files in *folder*."""
    file, log = folder / "nginx.conf", folder / "nginx.log"
    file.write_text(configuration)
    command = [nginx_command(), "-p", str(folder), "-c", str(file), "-g", "daemon off;"]
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            _wait_until_open(process, port, log)
            yield
        finally:
            process.terminate()


def user_line(*, own_user: bool) -> str:
    """Return which user nginx' workers are to be, started by root."""
    if os.geteuid() != 0:
        return ""  # nginx knows no other user then than the one that starts it
    return "user root root;" if own_user else "user nobody nogroup;"


def _wait_until_open(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_WITHIN_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise AssertionError(f"nginx did not start:\n{log.read_text()}")
