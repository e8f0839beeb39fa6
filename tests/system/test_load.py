"""Clients that take and do not give: slow, idle, many, greedy. Memory stays bounded, and others are answered meanwhile.

`make test` does it small; `make soak` with ten thousand connections, and says how long a verify took meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import resource
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.server_process import WITHIN_SECONDS, ServerProcess
from tests.till import NAME, with_user

pytestmark = pytest.mark.slow

Say = Callable[[str, object], None]

LITTLE = 32 * 1024
"""Bytes of the server's memory that a connection may take which has sent less than a request."""
MUCH = 128 * 1024
"""And one that sends or asks for much; what it sends is read 64 KiB at a time. It sends three times as much in all."""
SLACK = 24 * 1024 * 1024
"""Bytes that the server's memory may grow by anyhow, e.g. for caches."""
PIN_MEMORY = 256 * 1024 * 1024
"""Bytes that the hashing of PINs takes while it goes on."""
SMALL, LARGE = 200, 10_000
AGAIN = 20


class Kind(NamedTuple):
    """A way to be a bad client: what it sends at first and again, and how much memory each may take."""

    name: str
    first: bytes
    again: bytes = b""
    most: int = LITTLE


GET = b"GET %s HTTP/1.1\r\nHost: a\r\n"
POST = b"POST /v1/session/refresh HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
KINDS = [
    Kind("silent", b""),
    Kind("idle after a request", GET % b"/healthz" + b"\r\n"),
    Kind("a slow head", GET % b"/v1/session" + b"X-A: ", b"a"),
    Kind("a slow body", POST + b"Content-Length: 5000\r\n\r\n{", b" "),
    Kind("chunks without end", POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    Kind("a head that is too large", GET % b"/" + b"X-A: " + 40_000 * b"a", 100_000 * b"a", MUCH),
    Kind(
        "a body that is too large",
        POST + b"Content-Length: 9999999\r\n\r\n" + 60_000 * b" ",
        100_000 * b" ",
        MUCH,
    ),
    Kind("does not read its answers", 40 * (GET % b"/openapi.json" + b"\r\n"), most=MUCH),
]


class Server:
    """A server, its memory, and a client that verifies all the time."""

    def __init__(self, process: ServerProcess) -> None:
        self.process = process
        headers = process.authorization
        made = httpx.post(f"{process.url}/v1/sessions", headers=headers, json={"subject": "alice"})
        self.token = made.json()["access_token"]
        self.seconds: list[float] = []

    @property
    def memory(self) -> int:
        """How many bytes the server has in memory now."""
        status = Path(f"/proc/{self.process.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) * 1024

    @contextlib.asynccontextmanager
    async def verifying(self) -> AsyncIterator[None]:
        """Verify one time after the other meanwhile; each must be answered."""
        enough = asyncio.Event()
        self._verifying = asyncio.create_task(self._verify(enough))
        try:
            yield
        finally:
            enough.set()
            await self._verifying

    async def _verify(self, enough: asyncio.Event) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.process.port)
        request = (
            f"GET /v1/session HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {self.token}\r\n\r\n".encode()
        )
        while not enough.is_set():
            began = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            self.seconds.append(time.perf_counter() - began)
            assert head.startswith(b"HTTP/1.1 200"), head
            length = re.search(rb"content-length: (\d+)", head)
            assert length is not None
            await reader.readexactly(int(length[1]))
            await asyncio.sleep(0)
        writer.close()

    async def verified_again(self) -> None:
        """Return when some more verifies are answered: the server has had its turn, and time goes by."""
        enough = len(self.seconds) + AGAIN
        async with asyncio.timeout(WITHIN_SECONDS):
            while len(self.seconds) < enough:  # each verify is answered by the server, not by this loop
                assert not self._verifying.done(), "a verify failed"
                await asyncio.sleep(0)

    def report(self, say: Say) -> None:
        """Say how long the verifies took meanwhile."""
        say("verifies meanwhile", len(self.seconds))
        say("their p99", f"{statistics.quantiles(self.seconds, n=100)[98] * 1000:.1f} ms")


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """Start a server that as many may connect to as this process may have files open."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
    outlives = {"SESSIOND_POLICY_ACCESS_TOKEN_LIFETIME": "24h"}  # what is verified, however long it takes
    with ServerProcess.started(folder, settings=outlives) as process:
        yield Server(with_user(process))
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("loaded")) as server:
        yield server


@pytest.fixture
def apart(tmp_path: Path) -> Iterator[Server]:
    """A server whose memory holds nothing of other tests, and which shares no core with its clients if there are two.

    On one core, how long a verify takes would tell of the clients.
    """
    cores = os.sched_getaffinity(0)
    mine = set(sorted(cores)[1:]) or cores
    with serving(tmp_path) as server:
        for thread in Path(f"/proc/{server.process.process.pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), cores - mine or cores)
        os.sched_setaffinity(0, mine)
        yield server
        os.sched_setaffinity(0, cores)


async def connect(server: Server, kind: Kind) -> asyncio.StreamWriter:
    """Open a connection that sends what is of its kind, and reads at most a few bytes."""
    _, writer = await asyncio.open_connection("127.0.0.1", server.process.port, limit=1)
    writer.write(kind.first)
    return writer


async def burden(server: Server, kind: Kind, count: int) -> int:
    """Hold *count* bad connections, verify meanwhile, and return by how much the server's memory grew."""
    before = most = server.memory
    async with server.verifying():
        writers: list[asyncio.StreamWriter] = []
        while len(writers) < count:
            portion = min(100, count - len(writers))
            writers += await asyncio.gather(*(connect(server, kind) for _ in range(portion)))
            most = max(most, server.memory)
        for _ in range(3):
            for writer in writers:
                if not writer.is_closing():
                    writer.write(kind.again)
            await server.verified_again()
            most = max(most, server.memory)
        for writer in writers:
            writer.transport.abort()
    return most - before


async def flood(server: Server, count: int) -> int:
    """Open and leave so many connections, with and without a request, and return by how much memory grew."""
    before = server.memory
    request = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"

    async def come_and_go(numbers: Iterator[int]) -> None:
        for number in numbers:
            _, writer = await asyncio.open_connection("127.0.0.1", server.process.port)
            writer.write(request if number % 2 else b"")
            if number % 3:
                writer.transport.abort()
            writer.close()

    numbers = iter(range(count))
    async with server.verifying():
        await asyncio.gather(*(come_and_go(numbers) for _ in range(50)))
    return server.memory - before


async def guess(server: Server, count: int) -> Counter[int]:
    """Guess the PIN of one user, and of others that there are not, each time from another address."""
    answers: Counter[int] = Counter()

    async def try_some(numbers: Iterator[int]) -> None:
        for number in numbers:
            address = f"127.{9 + number // 65_536}.{number // 256 % 256}.{number % 256}"
            transport = httpx.AsyncHTTPTransport(local_address=address)
            async with httpx.AsyncClient(base_url=server.process.url, transport=transport) as client:
                name = NAME if number % 2 else f"nobody-{number}"
                answer = await client.post(
                    "/auth/login", json={"name": name, "pin": f"{number % 9999 + 1:04}"}
                )
                answers[answer.status_code] += 1

    numbers = iter(range(count))
    async with server.verifying():
        await asyncio.gather(*(try_some(numbers) for _ in range(16)))
    return answers


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_bad_clients_take_little_and_others_are_answered(loaded: Server, kind: Kind) -> None:
    grown = await burden(loaded, kind, SMALL)

    assert grown < SLACK + SMALL * kind.most


async def test_connections_that_come_and_go_leave_nothing(loaded: Server) -> None:
    assert await flood(loaded, 5 * SMALL) < SLACK


async def test_guessing_from_many_addresses_finds_nothing_and_keeps_nobody_out(loaded: Server) -> None:
    before = loaded.memory

    answers = await guess(loaded, 16)

    assert set(answers) <= {401, 429, 503}
    assert loaded.memory - before < SLACK + PIN_MEMORY


@pytest.mark.soak
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_ten_thousand_bad_clients_take_little(apart: Server, kind: Kind, record_property: Say) -> None:
    grown = await burden(apart, kind, LARGE)

    record_property("connections", LARGE)
    record_property("bytes of memory each", grown // LARGE)
    apart.report(record_property)
    assert grown < SLACK + LARGE * kind.most


@pytest.mark.soak
async def test_a_hundred_thousand_connections_come_and_go(apart: Server, record_property: Say) -> None:
    grown = await flood(apart, 10 * LARGE)

    record_property("connections", 10 * LARGE)
    record_property("bytes of memory in all", grown)
    apart.report(record_property)
    assert grown < SLACK


@pytest.mark.soak
async def test_thousands_of_addresses_guess_one_pin(apart: Server, record_property: Say) -> None:
    before = apart.memory

    answers = await guess(apart, LARGE // 2)

    for status, count in sorted(answers.items()):
        record_property(f"answers {status}", count)
    record_property("bytes of memory in all", apart.memory - before)
    apart.report(record_property)
    assert set(answers) <= {401, 429, 503}
    assert apart.memory - before < SLACK + PIN_MEMORY
