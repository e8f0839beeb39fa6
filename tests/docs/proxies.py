"""Real reverse proxies, each run with the configuration that its page under `docs/forward-auth/` shows."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tests.docs.pages import ROOT
from tests.server_process import WITHIN_SECONDS, free_port

PAGES = ROOT / "docs" / "forward-auth"
SESSIOND = "127.0.0.1:8000"
APPLICATION = "127.0.0.1:3000"


def blocks(name: str, language: str) -> list[str]:
    """Return the code blocks in *language* of the page about the proxy *name*."""
    return re.findall(
        rf"^```{language}\n(.*?)^```$", (PAGES / f"{name}.md").read_text(), re.MULTILINE | re.DOTALL
    )


def program(name: str) -> str:
    """Return the path of a proxy's program, or fail with the line that installs it."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    assert found, f"{name} is missing: apt-get install --no-install-recommends {name}"
    return found


def _nginx(folder: Path, port: int, moved: Callable[[str], str]) -> list[str]:
    outer, inner = blocks("nginx", "nginx")[:2]
    temporary = "".join(
        f"{each}_temp_path {folder}/{each};\n"
        for each in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user nobody nogroup;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"{user}\npid {folder}/pid;\nerror_log stderr warn;\nevents {{ }}\nhttp {{\naccess_log off;\n{temporary}"
        f"client_max_body_size 8m;\nclient_body_buffer_size 8m;\n"
        f"{moved(outer)}\nserver {{\nlisten 127.0.0.1:{port};\n{moved(inner)}\n}}\n}}\n"
    )
    return [program("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", "daemon off;"]


def _caddy(folder: Path, port: int, moved: Callable[[str], str]) -> list[str]:
    (site,) = blocks("caddy", "caddyfile")
    assert site.startswith("app.example.org {")
    text = moved(site).replace("app.example.org {", f"http://:{port} {{\nbind 127.0.0.1", 1)
    (folder / "Caddyfile").write_text(f"{{\nadmin off\nauto_https off\n}}\n{text}")
    return [program("caddy"), "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


def _haproxy(folder: Path, port: int, moved: Callable[[str], str]) -> list[str]:
    (script,), (configuration,) = blocks("haproxy", "lua"), blocks("haproxy", "haproxy")
    (folder / "sessiond.lua").write_text(moved(script))
    text = moved(configuration).replace("/etc/haproxy/sessiond.lua", str(folder / "sessiond.lua"))
    assert "bind :8080" in text
    (folder / "haproxy.cfg").write_text(text.replace("bind :8080", f"bind 127.0.0.1:{port}"))
    return [program("haproxy"), "-db", "-f", str(folder / "haproxy.cfg")]


_PROXIES: Mapping[str, Callable[[Path, int, Callable[[str], str]], list[str]]] = {
    "nginx": _nginx,
    "caddy": _caddy,
    "haproxy": _haproxy,
}
RUN = tuple(_PROXIES)


@contextlib.contextmanager
def proxied(
    name: str, folder: Path, *, sessiond: int, application: int, changes: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Run the proxy *name* as its page says, but for ports and *changes*; yield its URL."""
    folder.mkdir()
    port = free_port()
    (folder / "home").mkdir()

    def moved(text: str) -> str:
        for shown, meant in (changes or {}).items():
            text = text.replace(shown, meant)
        return text.replace(SESSIOND, f"127.0.0.1:{sessiond}").replace(
            APPLICATION, f"127.0.0.1:{application}"
        )

    command = _PROXIES[name](folder, port, moved)
    log = folder / "log"
    environment = os.environ | {"HOME": str(folder / "home"), "XDG_DATA_HOME": str(folder / "home")}
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdout=output, stderr=output, env=environment, cwd=folder) as process,
    ):
        try:
            _wait_until_open(process, port, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _wait_until_open(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + WITHIN_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.02)
    raise AssertionError(f"the proxy did not start:\n{log.read_text()}")
