"""What is not there cannot be attacked: calls to others (row 25), a generator of ours (31), one-time codes (34)."""

from __future__ import annotations

import ast
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

import sessiond
from tests.dialects.native_calls import a_subject, bearer
from tests.server_process import ServerProcess

SOURCE = Path(sessiond.__file__).parent
CLIENTS = {
    "aiohttp",
    "asyncpg",
    "botocore",
    "ftplib",
    "hiredis",
    "http.client",
    "httpx",
    "requests",
    "smtplib",
    "urllib3",
}
CLIENTS |= {"urllib.request", "xmlrpc.client"}
OPENERS = {"connect", "connect_ex", "create_connection", "open_connection", "sock_connect", "start_tls"}
TO_WHOM = {
    "storage/engines/": "the database that the operator named",
    "bootstrap/aws_kms.py": "the operator's key service",
}


def imports_of(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{each.name}" for each in node.names)


def reaches_out(tree: ast.Module) -> bool:
    """Tell whether a module names a client library, or anything by which a connection is opened."""
    named = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return bool(OPENERS & named or CLIENTS.intersection(imports_of(tree)))


def test_row_25_nothing_but_an_engine_and_the_operators_key_service_calls_anybody() -> None:
    modules = {path.relative_to(SOURCE).as_posix(): path for path in SOURCE.rglob("*.py")}

    found = {
        name for name, path in modules.items() if reaches_out(ast.parse(path.read_text(encoding="utf-8")))
    }

    assert "storage/engines/redis/link.py" in found
    assert {name for name in found if not name.startswith(tuple(TO_WHOM))} == set()


def test_row_25_no_address_that_a_client_sends_is_called(http: httpx.Client, server: ServerProcess) -> None:
    with socket.create_server(("127.0.0.1", 0)) as attacker:
        attacker.setblocking(False)
        url = f"http://127.0.0.1:{attacker.getsockname()[1]}/hook"
        body = {
            "subject": a_subject(),
            "metadata": {"webhook": url, "logout_uri": url},
            "client": {"name": url},
        }
        made = http.post("/v1/sessions", headers=server.authorization, json=body)
        token = made.json()["access_token"]
        seen = http.get(
            "/v1/verify",
            headers=bearer(token)
            | {"Referer": url, "X-Forwarded-Host": url, "X-Forwarded-Uri": url, "X-Original-URL": url},
        )
        exchange = http.post(
            "/oauth/token",
            headers=server.authorization,
            data={
                "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
                "subject_token": token,
                "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
                "audience": url,
            },
        )
        ended = http.delete("/v1/session", headers=bearer(token))

        assert [each.status_code for each in (made, seen, exchange, ended)] == [201, 200, 200, 204]
        with pytest.raises(BlockingIOError):
            attacker.accept()


def test_row_34_there_is_no_one_time_code_to_redeem(http: httpx.Client) -> None:
    paths = http.get("/openapi.json").json()["paths"]

    assert [
        path for path in paths if any(word in path for word in ("redeem", "code", "magic", "otp", "qr"))
    ] == []


def test_row_34_of_sixteen_step_ups_of_one_session_at_once_exactly_one_succeeds(
    http: httpx.Client, server: ServerProcess
) -> None:
    for _ in range(4):
        session = http.post(
            "/v1/sessions", headers=server.authorization, json={"subject": a_subject()}
        ).json()["session"]
        start = threading.Barrier(16)

        def step_up(
            path: str = f"/v1/sessions/{session['id']}/authenticate", start: threading.Barrier = start
        ) -> int:
            start.wait()
            return http.post(path, headers=server.authorization, json={}).status_code

        with ThreadPoolExecutor(16) as pool:
            statuses = sorted(each.result() for each in [pool.submit(step_up) for _ in range(16)])

        assert statuses == [201] + [409] * 15


DRAWING = """
import os
from sessiond.bootstrap.machine import SystemEntropy
from sessiond.domain.ids import Partition, mint_id

entropy = SystemEntropy()

def draw():
    ids = [mint_id(now=1_800_000_000_000, partition=Partition(7), entropy=entropy.bytes(8)) for _ in range(50)]
    os.write(1, "".join(each.hex() + "\\n" for each in (*ids, *(entropy.bytes(16) for _ in range(50)))).encode())

draw()
children = []
for _ in range(3):
    child = os.fork()
    if child == 0:
        draw()
        os._exit(0)
    children.append(child)
draw()
for child in children:
    os.waitpid(child, 0)
"""


def test_row_31_processes_that_were_one_draw_nothing_twice() -> None:
    done = subprocess.run(
        [sys.executable, "-c", DRAWING], capture_output=True, text=True, timeout=120, check=True
    )

    drawn = done.stdout.split()

    assert len(drawn) == len(set(drawn)) == 500


def test_row_31_no_module_has_a_generator_of_its_own() -> None:
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in SOURCE.rglob("*.py")]

    assert not {"random", "numpy.random", "uuid.uuid4", "uuid.uuid1"}.intersection(
        name for tree in trees for name in imports_of(tree)
    )
