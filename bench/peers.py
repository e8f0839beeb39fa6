"""What one would use instead, each as its documentation recommends for production, and as durable as it can be."""

from __future__ import annotations

import contextlib
import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from bench.contender import PEERS, Client, Contender, Running, cookie_of, node_modules, python_peers, running
from bench.processes import Process, free_port
from bench.wrk import Call

_JSON = {"Content-Type": "application/json"}
_BEARER = {"Authorization": f"Bearer {'a' * 91}"}
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_WAITING_TOKENS = 64
_PASSWORD = "password-0123456789"


def plain_asgi() -> Contender:
    """Return the server software that sessiond stands on, with an application that does nothing."""

    @contextlib.contextmanager
    def start(folder: Path) -> Iterator[Running]:
        port = free_port()
        command = [sys.executable, "-m", "uvicorn", "plain_asgi:app", "--port", str(port), "--no-access-log"]
        command += ["--loop", "uvloop", "--http", "httptools", "--lifespan", "off"]
        with running(
            command,
            folder,
            port,
            environ={"PYTHONPATH": str(PEERS)},
            ready="/",
            calls=lambda _client, _number: {"verify": Call(path="/session", headers=_BEARER)},
        ) as started:
            yield started

    return Contender(
        name="uvicorn, plain ASGI callable",
        version=importlib.metadata.version("uvicorn"),
        notes="a fixed answer of a verify's size, on this interpreter, uvloop and httptools; no log",
        start=start,
    )


def better_auth(workplace: Path) -> Contender:
    """Return Better Auth on better-sqlite3."""

    @contextlib.contextmanager
    def start(folder: Path) -> Iterator[Running]:
        port = free_port()
        modules = node_modules(workplace)
        command = ["node", str(modules / "better_auth.mjs")]
        with running(
            command, folder, port, environ={"PORT": str(port)}, ready="/api/auth/ok", calls=_better_auth_calls
        ) as started:
            yield started

    return Contender(
        name="Better Auth, better-sqlite3",
        version=_npm_version("better-auth"),
        notes="WAL, synchronous=FULL; password hash stubbed; rate limit and logger off",
        start=start,
    )


def _better_auth_calls(client: Client, number: int) -> Mapping[str, Call]:
    account = {"email": f"a{number}@example.com", "password": _PASSWORD}
    headers, _ = client.ask("POST", "/api/auth/sign-up/email", {**account, "name": "a"})
    cookie = {"Cookie": cookie_of(headers)}
    body = f'{{"email":"{account["email"]}","password":"{_PASSWORD}"}}'
    create = Call(method="POST", path="/api/auth/sign-in/email", headers=_JSON, body=body)
    origin = {"Origin": client.base_url, "Cookie": "{token}"}
    return {
        "verify": Call(path="/api/auth/get-session", headers=cookie),
        "create": create,
        "sign in and out": msgspec.structs.replace(
            create,
            next_token="(better%-auth%.session_token=[^;]+)",
            next_in_header="set-cookie",
            undone_by=Call(method="POST", path="/api/auth/sign-out", headers={**_JSON, **origin}, body="{}"),
        ),
        "refresh": Call(path="/api/renewing/get-session", headers=cookie),
    }


def express_session(workplace: Path) -> Contender:
    """Return express-session with connect-redis, and a Redis of its own on the same core."""

    @contextlib.contextmanager
    def start(folder: Path) -> Iterator[Running]:
        port, redis_port = free_port(), free_port()
        modules = node_modules(workplace)
        store = folder / "redis"
        store.mkdir()
        redis = Process(
            ["redis-server", "--port", str(redis_port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes",
             "--appendfsync", "always", "--dir", str(store)],
            folder=store,
        )  # fmt: skip
        environ = {"PORT": str(port), "REDIS_URL": f"redis://127.0.0.1:{redis_port}"}
        try:
            with running(
                ["node", str(modules / "express_session.mjs")], folder, port,
                environ=environ, ready="/session", calls=_express_calls,
            ) as started:  # fmt: skip
                yield started
        finally:
            redis.stop()

    return Contender(
        name="express-session, connect-redis",
        version=f"{_npm_version('express-session')}, {_npm_version('connect-redis')}",
        notes="Redis with appendfsync always on the same core, its processor time not counted; no password",
        start=start,
    )


def _express_calls(client: Client, _number: int) -> Mapping[str, Call]:
    cookies = [
        cookie_of(client.ask("POST", "/login", {"subject": "alice"})[0]) for _ in range(_WAITING_TOKENS)
    ]
    create = Call(method="POST", path="/login", headers=_JSON, body='{"subject":"user-{n}"}')
    return {
        "verify": Call(path="/session", headers={"Cookie": cookies.pop()}),
        "create": create,
        "sign in and out": _signed_out(create, "(connect%.sid=[^;]+)"),
        "refresh": Call(
            method="POST",
            path="/refresh",
            headers={"Cookie": "{token}"},
            tokens=cookies,
            next_token="(connect%.sid=[^;]+)",
            next_in_header="set-cookie",
        ),
    }


def django(workplace: Path) -> Contender:
    """Return Django's database sessions under granian."""

    @contextlib.contextmanager
    def start(folder: Path) -> Iterator[Running]:
        port = free_port()
        binaries = python_peers(workplace)
        environ = {"BENCH_FOLDER": str(folder), "PYTHONPATH": str(PEERS)}
        subprocess.run(
            [str(binaries / "python"), str(PEERS / "django_site.py")],
            check=True,
            env={"PATH": str(binaries), **environ},
        )
        command = [
            str(binaries / "granian"),
            "--interface",
            "wsgi",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
        ]
        command += ["--no-log", "django_site:application"]
        with running(
            command, folder, port, environ=environ, ready="/session", calls=_django_calls
        ) as started:
            yield started

    return Contender(
        name="Django sessions, SQLite, granian",
        version=_pip_version("Django"),
        notes="WAL, synchronous=FULL; no password",
        start=start,
    )


def _django_calls(client: Client, _number: int) -> Mapping[str, Call]:
    cookies = [cookie_of(client.ask("POST", f"/login?subject=u{n}")[0]) for n in range(_WAITING_TOKENS)]
    create = Call(method="POST", path="/login?subject=alice")
    return {
        "verify": Call(path="/session", headers={"Cookie": cookies.pop()}),
        "create": create,
        "sign in and out": _signed_out(create, "(sessionid=%w+)"),
        "refresh": Call(
            method="POST",
            path="/refresh",
            headers={"Cookie": "{token}"},
            tokens=cookies,
            next_token="(sessionid=%w+)",
            next_in_header="set-cookie",
        ),
    }


def fastapi_users(workplace: Path) -> Contender:
    """Return fastapi-users with its database strategy under uvicorn."""

    @contextlib.contextmanager
    def start(folder: Path) -> Iterator[Running]:
        port = free_port()
        binaries = python_peers(workplace)
        command = [
            str(binaries / "uvicorn"),
            "fastapi_users_site:app",
            "--port",
            str(port),
            "--no-access-log",
        ]
        with running(
            command,
            folder,
            port,
            environ={"PYTHONPATH": str(PEERS)},
            ready="/session",
            calls=_fastapi_users_calls,
        ) as started:
            yield started

    return Contender(
        name="fastapi-users, SQLite",
        version=_pip_version("fastapi-users"),
        notes="WAL, synchronous=FULL; password hash stubbed; it has no refresh",
        start=start,
    )


def _fastapi_users_calls(client: Client, number: int) -> Mapping[str, Call]:
    client.ask("POST", "/register", {"email": f"a{number}@example.com", "password": _PASSWORD})
    form = f"username=a{number}%40example.com&password={_PASSWORD}"
    _, text = client.ask("POST", "/login", form, _FORM)
    token = text.partition('"access_token":"')[2].partition('"')[0]
    create = Call(method="POST", path="/login", headers=_FORM, body=form)
    return {
        "verify": Call(path="/session", headers={"Authorization": f"Bearer {token}"}),
        "create": create,
        "sign in and out": msgspec.structs.replace(
            create,
            next_token='"access_token":"([^"]+)"',
            undone_by=Call(method="POST", path="/logout", headers={"Authorization": "Bearer {token}"}),
        ),
    }


def _signed_out(create: Call, cookie: str) -> Call:
    """Return *create*, each time undone by `POST /logout` with the cookie that it set."""
    undo = Call(method="POST", path="/logout", headers={"Cookie": "{token}"})
    return msgspec.structs.replace(create, next_token=cookie, next_in_header="set-cookie", undone_by=undo)


def _npm_version(package: str) -> str:
    return _version(rf'"{package}": "([^"]+)"', PEERS / "package.json")


def _pip_version(package: str) -> str:
    return _version(rf"{package}(?:\[.*?\])?==(\S+)", PEERS / "requirements.txt")


def _version(pattern: str, file: Path) -> str:
    match = re.search(pattern, file.read_text(encoding="utf-8"))
    if match is None:
        raise ValueError(f"{file.name} names no such package")
    return match[1]
