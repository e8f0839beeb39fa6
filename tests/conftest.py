"""What holds for every test: a real server process, and that no test fails by chance or for a slow machine."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, settings

from tests.attacks.index import mark
from tests.left_out import LeftOut
from tests.server_process import ServerProcess, databases
from tests.servers.patience import be_patient
from tests.servers.postgresql import PostgresqlServer
from tests.servers.redis import RedisCluster, RedisServer
from tests.soaking import KeptResults

_PATIENCE_SECONDS = 120.0
_MILLISECOND_NS = 1_000_000
_CLIENTS: tuple[Callable[..., Any], ...] = (
    httpx.Client.__init__,
    httpx.AsyncClient.__init__,
    httpx.request,
    httpx.get,
    httpx.post,
    httpx.put,
    httpx.patch,
    httpx.delete,
)

# One set of examples for all runs: a suite that draws new ones fails a change for what the change has not done.
settings.register_profile(
    "sessiond", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("sessiond")

# httpx gives up after five seconds, which a busy machine may take for an answer. And each of its clients reads all
# certificate authorities anew, 40 ms of processor time, which thousands of clients need not.
_AUTHORITIES = httpx.create_ssl_context()
_DEFAULTS = {"timeout": httpx.Timeout(_PATIENCE_SECONDS), "verify": _AUTHORITIES}
for _call in _CLIENTS:
    _call.__kwdefaults__ = (_call.__kwdefaults__ or {}) | _DEFAULTS
for _opened in (httpx.HTTPTransport.__init__, httpx.AsyncHTTPTransport.__init__):
    assert inspect.getfullargspec(_opened).args[:2] == ["self", "verify"]
    _opened.__defaults__ = (_AUTHORITIES, *(_opened.__defaults__ or ())[1:])

_send = httpx.HTTPTransport.handle_request


def _send_in_the_next_millisecond(transport: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
    """Send *request* when the millisecond is over in which the answer before it came.

    What two requests make one after the other is ordered by milliseconds; made within one, by chance.
    """
    time.sleep((_MILLISECOND_NS - time.time_ns() % _MILLISECOND_NS) / 1e9)
    return _send(transport, request)


httpx.HTTPTransport.handle_request = _send_in_the_next_millisecond  # type: ignore[method-assign, assignment]

_OVER_TCP = frozenset({"attacks", "dialects", "fuzzing"})
_FAST_DIALECT = frozenset({"test_native.py", "test_native_refusals.py"})
_ON_A_SERVER = frozenset({"postgresql", "redis_server", "redis_cluster"})
_LONG_MACHINES = "invariants", "test_engines_agree.py"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let `--engine=postgresql` run servers on another engine than SQLite, and machines on one, not in memory."""
    choices = ("sqlite", *sorted(_ON_A_SERVER))
    parser.addoption("--engine", choices=choices, help=pytest_addoption.__doc__)
    parser.addoption("--keep-results", metavar="PAGE", type=Path, help="Write what soak tests did into PAGE.")


def pytest_configure(config: pytest.Config) -> None:
    """Keep the results of soak tests where `--keep-results` says so, and tell which slow tests were left out."""
    if "not slow" in config.option.markexpr:
        config.pluginmanager.register(LeftOut(config))
    page = config.getoption("--keep-results")
    if page is not None:
        config.pluginmanager.register(KeptResults(page))


@pytest.fixture(scope="session", autouse=True)
def engine(request: pytest.FixtureRequest) -> Iterator[None]:
    """Give every server of this run a database of its own on the engine that `--engine` names."""
    name = request.config.getoption("--engine")
    if name in _ON_A_SERVER:
        databases.append(request.getfixturevalue(name).url)
    yield
    databases.clear()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave to `make test` engines that need a server, and what is long: over TCP, fuzzing, state machines."""
    if config.getoption("--engine") in _ON_A_SERVER:
        in_files = [item for item in items if item.get_closest_marker("in_files")]
        config.hook.pytest_deselected(items=in_files)
        items[:] = [item for item in items if item not in in_files]
    mark(items)
    for item in items:
        over_tcp = item.path.parent.name in _OVER_TCP and item.path.name not in _FAST_DIALECT
        long_machine = item.path.parent.name in _LONG_MACHINES or item.path.name in _LONG_MACHINES
        on_a_server = _ON_A_SERVER.intersection(getattr(item, "fixturenames", ()))
        if over_tcp or on_a_server or long_machine:
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores of this process that wait for a busy server as long as a test may."""
    be_patient(monkeypatch)


@pytest.fixture(autouse=True)
def _patient_with_servers_of_all(request: pytest.FixtureRequest) -> None:
    """Be patient with a server that all tests share: none of them harms it."""
    parameters = getattr(request.node, "callspec", None)
    asked = {*request.fixturenames, *(map(str, parameters.params.values()) if parameters is not None else ())}
    if _ON_A_SERVER & asked:
        request.getfixturevalue("patient")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A real server of its own for each test module, on a free port, with SQLite in a fresh data directory."""
    with ServerProcess.started(tmp_path_factory.mktemp("server")) as process:
        yield process


@pytest.fixture
def fresh_server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A real server for one test alone."""
    with ServerProcess.started(tmp_path) as process:
        yield process


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    """A PostgreSQL server for all tests; each asks it for a URL, whose namespace is its own."""
    with PostgresqlServer.started() as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A Redis server for all tests; each asks it for a URL, whose namespace is its own."""
    with RedisServer.started() as server:
        yield server


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[RedisCluster]:
    """A Redis Cluster for all tests that do it no harm."""
    with RedisCluster.started() as cluster:
        yield cluster
