"""sessiond itself, the whole server as it is installed, on any of its engines."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from bench.contender import Client, Contender, Running, running
from bench.processes import free_port
from bench.wrk import Call
from sessiond import __version__

SERVER_KEY = "bench-server-key-0123456789abcdefghijklmnop"
KEY = {"Authorization": f"Bearer {SERVER_KEY}"}
JSON = {"Content-Type": "application/json"}
_WAITING_TOKENS = 64
_LISTED_SESSIONS = 10


def sessiond(name: str, database: str | None, notes: str) -> Contender:
    """Return sessiond on the engine of *database* (None: SQLite in its data directory)."""
    return Contender(
        name=name, version=__version__, notes=notes, start=lambda folder: serving(folder, database=database)
    )


@contextlib.contextmanager
def serving(
    folder: Path, *, database: str | None = None, environ: Mapping[str, str] | None = None
) -> Iterator[Running]:
    """Run a server whose data directory is `data` in *folder*."""
    port = free_port()
    command = [str(Path(sys.executable).parent / "sessiond"), "serve", "--port", str(port)]
    command += ["--data-dir", str(folder / "data")]
    if database is not None:
        command += ["--database", database]
    secrets = {"SESSIOND_SERVER_KEY": SERVER_KEY, **(environ or {})}
    with running(command, folder, port, environ=secrets, ready="/readyz", calls=_calls) as started:
        yield started


def _calls(client: Client, number: int) -> Mapping[str, Call]:
    def created(subject: str) -> dict[str, str]:
        answer: dict[str, str] = json.loads(client.ask("POST", "/v1/sessions", {"subject": subject}, KEY)[1])
        return answer

    first = created("alice")
    lister = f"lister-{number}"
    for _ in range(_LISTED_SESSIONS):
        created(lister)
    create = Call(
        method="POST",
        path="/v1/sessions",
        headers={**KEY, **JSON},
        body=f'{{"subject":"user-{number}-{{n}}"}}',
    )
    return {
        "verify": Call(path="/v1/session", headers={"Authorization": f"Bearer {first['access_token']}"}),
        "create": create,
        "refresh": Call(
            method="POST",
            path="/v1/session/refresh",
            headers=JSON,
            body='{"refresh_token":"{token}"}',
            tokens=[created(f"refresher-{each}")["refresh_token"] for each in range(_WAITING_TOKENS)],
            next_token='"refresh_token":"([^"]+)"',
        ),
        "sign in and out": msgspec.structs.replace(
            create,
            next_token='"access_token":"([^"]+)"',
            undone_by=Call(method="DELETE", path="/v1/session", headers={"Authorization": "Bearer {token}"}),
        ),
        "list": Call(path=f"/v1/sessions?subject={lister}", headers=KEY),
    }
