"""`--workers`: several processes on one port and one shared database."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.server_process import WITHIN_SECONDS, ServerProcess, free_port, sessiond_command
from tests.servers.postgresql import PostgresqlServer
from tests.system.waiting import eventually

WORKERS = 3
MOST_CONNECTIONS = 3000


@contextlib.contextmanager
def started(folder: Path, postgresql: PostgresqlServer) -> Iterator[ServerProcess]:
    """Start a server; it is ready when its first worker is."""
    settings = {"SESSIOND_DATABASE": postgresql.url(), "SESSIOND_WORKERS": str(WORKERS)}
    with ServerProcess.started(folder, settings=settings) as process:
        eventually(lambda: len(children_of(process.process.pid)) == WORKERS)
        yield process


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, postgresql: PostgresqlServer) -> Iterator[ServerProcess]:
    with started(tmp_path_factory.mktemp("workers"), postgresql) as process:
        yield process


@pytest.fixture
def doomed_server(tmp_path: Path, postgresql: PostgresqlServer) -> Iterator[ServerProcess]:
    with started(tmp_path, postgresql) as process:
        yield process


def children_of(pid: int) -> set[int]:
    try:
        return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
    except FileNotFoundError:
        return set()


def is_running(pid: int) -> bool:
    """Tell whether *pid* runs; what nobody waited for is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def answering_worker(answer: httpx.Response) -> str:
    """Return the part of a request id that each process has for itself."""
    return answer.headers["x-request-id"].rpartition("-")[0]


def create(server: ServerProcess, subject: str) -> dict[str, object]:
    answer = httpx.post(f"{server.url}/v1/sessions", json={"subject": subject}, headers=server.authorization)
    found: dict[str, object] = answer.json()
    return found


def metric(server: ServerProcess, name: str, **labels: str) -> float:
    """Return a metric's value, summed over all label sets that have *labels*, as one of the workers tells it."""
    headers = {"Authorization": f"Bearer {server.master_token}"}
    answer = httpx.get(f"{server.url}/metrics", headers=headers)
    return sum(
        sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def counted(server: ServerProcess, path: str) -> float:
    """Return how many requests of *path* all workers have counted."""
    return metric(server, "sessiond_http_requests_total", path=path)


def answering_workers(server: ServerProcess) -> set[str]:
    """Return which workers answer, asked on connections that are all held open meanwhile."""
    seen: set[str] = set()
    held = []
    for _ in range(MOST_CONNECTIONS):
        client = httpx.Client(base_url=server.url)
        held.append(client)
        seen.add(answering_worker(client.get("/healthz")))
        if len(seen) == WORKERS:
            break
    for client in held:
        client.close()
    return seen


def test_connections_are_shared_among_all_workers(server: ServerProcess) -> None:
    assert len(answering_workers(server)) == WORKERS


def test_a_revoke_counts_in_every_worker_at_once(server: ServerProcess) -> None:
    for number in range(4):
        made = create(server, f"alice-{number}")
        bearer = {"Authorization": f"Bearer {made['access_token']}"}
        assert httpx.get(f"{server.url}/v1/session", headers=bearer).status_code == 200

        session = made["session"]
        assert isinstance(session, dict)
        ended = httpx.delete(f"{server.url}/v1/sessions/{session['id']}", headers=server.authorization)

        assert ended.status_code == 204
        after = {httpx.get(f"{server.url}/v1/session", headers=bearer).status_code for _ in range(8)}
        assert after == {401}


def test_a_worker_that_was_killed_is_replaced(server: ServerProcess) -> None:
    before = children_of(server.process.pid)
    victim = min(before)

    os.kill(victim, signal.SIGKILL)
    eventually(lambda: len(children_of(server.process.pid) - {victim}) == WORKERS)

    assert children_of(server.process.pid) - before
    assert '"a worker died"' in server.log()
    assert create(server, "bob")["access_token"]


def test_while_a_worker_cannot_be_replaced_the_others_serve_on(server: ServerProcess) -> None:
    # One that is still starting needs the key, and would not be there to serve on.
    eventually(lambda: len(answering_workers(server)) == WORKERS)
    key = server.data_dir / "secrets" / "key"
    away = key.rename(key.with_name("away"))
    victim = min(children_of(server.process.pid))

    os.kill(victim, signal.SIGKILL)
    eventually(lambda: '"a worker could not be replaced"' in server.log())
    served = create(server, "carol")["access_token"]
    away.rename(key)

    assert served
    assert eventually(lambda: len(children_of(server.process.pid) - {victim}) == WORKERS)
    assert "wrapping key is not in" in server.log()


def test_whichever_worker_is_asked_tells_the_metrics_of_all(server: ServerProcess) -> None:
    for _ in range(9):
        httpx.get(f"{server.url}/docs")
    eventually(lambda: counted(server, "/docs") == 9)

    assert {counted(server, "/docs") for _ in range(9)} == {9}
    assert eventually(lambda: metric(server, "sessiond_workers") == WORKERS)
    assert metric(server, "sessiond_workers_wanted") == WORKERS
    for place in range(WORKERS):
        assert eventually(partial(metric, server, "process_resident_memory_bytes", worker=str(place)))


def test_what_a_killed_worker_has_counted_is_kept(server: ServerProcess) -> None:
    for _ in range(6):
        httpx.get(f"{server.url}/docs/docs.css")
    eventually(lambda: counted(server, "/docs/docs.css") == 6)
    victim = min(children_of(server.process.pid))

    os.kill(victim, signal.SIGKILL)
    eventually(lambda: not is_running(victim))
    while_it_is_gone = counted(server, "/docs/docs.css")
    eventually(lambda: len(children_of(server.process.pid) - {victim}) == WORKERS)
    httpx.get(f"{server.url}/docs/docs.css")

    assert while_it_is_gone == 6
    assert eventually(lambda: counted(server, "/docs/docs.css") == 7)


def test_one_sigterm_ends_all_of_them_well(doomed_server: ServerProcess) -> None:
    workers = children_of(doomed_server.process.pid)

    assert doomed_server.stop() == 0

    assert not any(is_running(pid) for pid in workers)


def test_workers_do_not_outlive_their_parent(doomed_server: ServerProcess) -> None:
    workers = children_of(doomed_server.process.pid)

    doomed_server.kill()

    assert eventually(lambda: not any(is_running(pid) for pid in workers))


def test_a_start_is_announced_once(server: ServerProcess) -> None:
    log = server.log()

    assert log.count("A new installation was made.") == 1
    assert log.count(f" with {WORKERS} workers;") == 1


def test_a_start_that_fails_says_why_once_and_leaves_nobody(tmp_path: Path) -> None:
    nobody = free_port()
    command = [*sessiond_command(), "serve", "--port", str(free_port()), "--data-dir", str(tmp_path / "data")]
    command += ["--workers", "2", "--database", f"postgresql://nobody@127.0.0.1:{nobody}/nothing"]

    done = subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_SECONDS, check=False)

    assert done.returncode == 2
    assert done.stderr.count("the database cannot be opened") == 1
