"""What takes part in the bench: how it is installed and started, and what each operation is in its own terms."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from bench.processes import Process
from bench.wrk import Call, revoking

PEERS = Path(__file__).parent / "peers"

OPERATIONS = ("verify", "create", "create, new subject", "refresh", "list", "revoke", "sign in and out")


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """A contender that answers at *base_url*. *prepare* returns, for a round's number, the operations that it has."""

    server: Process
    base_url: str
    prepare: Callable[[int], Mapping[str, Call]]


class Contender(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table. *start* gets an empty folder; *notes* say what is stubbed and how durable it is."""

    name: str
    version: str
    notes: str
    start: Callable[[Path], AbstractContextManager[Running]]


@contextlib.contextmanager
def all_started(
    contenders: Iterable[Contender],
) -> Iterator[tuple[Path, list[tuple[Contender, Running]]]]:
    """Start all of *contenders* beside each other, each in a folder of its own below the one that is given."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        started = []
        for number, contender in enumerate(contenders):
            own = folder / str(number)
            own.mkdir()
            print(f"starting {contender.name} {contender.version}", flush=True)
            started.append((contender, stack.enter_context(contender.start(own))))
        yield folder, started


@contextlib.contextmanager
def running(
    command: Sequence[str],
    folder: Path,
    port: int,
    *,
    environ: Mapping[str, str] | None = None,
    ready: str,
    calls: Callable[[Client, int], Mapping[str, Call]],
) -> Iterator[Running]:
    """Start *command* and wait until the path *ready* answers; *calls* makes what a round needs."""
    base_url = f"http://127.0.0.1:{port}"
    server = Process(command, folder=folder, environ=environ)
    try:
        server.wait_for(base_url + ready)
        yield Running(
            server=server,
            base_url=base_url,
            prepare=lambda number: _with_revokes(calls(Client(base_url), number)),
        )
    finally:
        server.stop()


def _with_revokes(calls: Mapping[str, Call]) -> Mapping[str, Call]:
    signing = calls.get("sign in and out")
    return calls if signing is None else {**calls, "revoke": revoking(signing)}


class Client:
    """Makes the requests that prepare a round."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self._connection = http.client.HTTPConnection(urlsplit(base_url).netloc, timeout=60)

    def ask(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> tuple[Mapping[str, str], str]:
        """Return the answer's headers (lower case) and body. Raises `RuntimeError` for a refusal."""
        sent = dict(headers or {})
        data = None
        if body is not None:
            data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        self._connection.request(method, path, data, sent)
        answer = self._connection.getresponse()
        text = answer.read().decode()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path} answered {answer.status}: {text[:500]}")
        return {name.lower(): value for name, value in answer.getheaders()}, text


def cookie_of(headers: Mapping[str, str]) -> str:
    """Return the `name=value` of the first cookie that was set."""
    return headers["set-cookie"].partition(";")[0]


def node_modules(workplace: Path) -> Path:
    """Return the folder with the peers' npm packages, installed at the versions of `peers/package.json`."""
    folder = workplace / "node"
    wanted = (PEERS / "package.json").read_text(encoding="utf-8")
    if not (folder / "done").exists() or (folder / "package.json").read_text(encoding="utf-8") != wanted:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text(wanted, encoding="utf-8")
        subprocess.run(["npm", "install", "--no-audit", "--no-fund"], cwd=folder, check=True)
        (folder / "done").touch()
    for source in PEERS.glob("*.mjs"):
        (folder / source.name).write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    return folder


def python_peers(workplace: Path) -> Path:
    """Return the `bin` of a virtual environment of this interpreter with `peers/requirements.txt`."""
    folder = workplace / "python"
    wanted = f"{sys.base_prefix} {sys.version}\n{(PEERS / 'requirements.txt').read_text(encoding='utf-8')}"
    done = folder / "done"
    if not done.exists() or done.read_text(encoding="utf-8") != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        pip = [str(folder / "bin" / "pip"), "install", "--quiet", "-r", str(PEERS / "requirements.txt")]
        subprocess.run(pip, check=True)
        done.write_text(wanted, encoding="utf-8")
    return folder / "bin"
