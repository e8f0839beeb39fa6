"""sessiond itself, the whole server as it is installed, on any of its engines."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec

from bench import engines
from bench.contender import Client, Contender, Running, running
from bench.processes import free_port
from bench.wrk import Call
from sessiond import __version__

SERVER_KEY = "bench-server-key-0123456789abcdefghijklmnop"
KEY = {"Authorization": f"Bearer {SERVER_KEY}"}
JSON = {"Content-Type": "application/json"}
WAITING_TOKENS = 64
_LISTED_SESSIONS = 10
_USERS = 1000
"""Whose sign-ins a create is, in turn."""

_ON = "access log, request ids, limits, events on"
_ELSEWHERE = "the engine runs on whichever core is free, its processor time not counted"


def on_sqlite() -> Contender:
    """Return sessiond on SQLite in its data directory."""
    return Contender(
        name="sessiond, SQLite", version=__version__, notes=f"synchronous=FULL; {_ON}", start=serving
    )


def on_postgresql() -> Contender:
    """Return sessiond on a PostgreSQL of its own."""
    notes = f"fsync and synchronous_commit on; strict: every verify reads; {_ELSEWHERE}; {_ON}"
    return _on_engine("sessiond, PostgreSQL", notes, engines.postgresql)


def on_redis_cluster() -> Contender:
    """Return sessiond on a Redis Cluster of its own."""
    notes = f"appendfsync always, a replica each confirms; strict: every verify reads; {_ELSEWHERE}; {_ON}"
    return _on_engine("sessiond, Redis Cluster", notes, engines.redis_cluster)


def _on_engine(
    name: str, notes: str, engine: Callable[[], AbstractContextManager[engines.Engine]]
) -> Contender:
    @contextlib.contextmanager
    def start(folder: Path) -> Iterator[Running]:
        with engine() as running_engine, serving(folder, database=running_engine.url) as started:
            yield started

    return Contender(name=name, version=__version__, notes=notes, start=start)


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

    lister = f"lister-{number}"
    for _ in range(_LISTED_SESSIONS):
        created(lister)
    return calls(
        number,
        access_token=created("alice")["access_token"],
        refresh_tokens=[created(f"refresher-{each}")["refresh_token"] for each in range(WAITING_TOKENS)],
        lister=lister,
    )


def calls(
    number: int, *, access_token: str, refresh_tokens: Sequence[str], lister: str
) -> Mapping[str, Call]:
    """Return the calls of a round; the tokens are of sessions, *lister* is a subject with some."""
    create = Call(
        method="POST",
        path="/v1/sessions",
        headers={**KEY, **JSON},
        body='{"subject":"user-{n}"}',
        most=_USERS,
    )
    return {
        "verify": Call(path="/v1/session", headers={"Authorization": f"Bearer {access_token}"}),
        "create": create,
        "create, new subject": msgspec.structs.replace(
            create, body=f'{{"subject":"user-{number}-{{n}}"}}', most=10**9
        ),
        "refresh": Call(
            method="POST",
            path="/v1/session/refresh",
            headers=JSON,
            body='{"refresh_token":"{token}"}',
            tokens=refresh_tokens,
            next_token='"refresh_token":"([^"]+)"',
        ),
        "sign in and out": msgspec.structs.replace(
            create,
            next_token='"access_token":"([^"]+)"',
            undone_by=Call(method="DELETE", path="/v1/session", headers={"Authorization": "Bearer {token}"}),
        ),
        "list": Call(path=f"/v1/sessions?subject={lister}", headers=KEY),
    }
