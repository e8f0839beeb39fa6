"""Rows 15 and 23 by the clock: what must look alike takes alike long. These are statistics, so `make soak` runs them.

Two cases are measured in turn, in an order that is drawn, very often. *Told apart* is how often a sample of the first
is longer than one of the second: half of the time, where nothing shows.
"""

from __future__ import annotations

import gc
import random
import statistics
import time
from base64 import urlsafe_b64decode
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence

import httpx
import pytest

from sessiond.crypto import checksum
from sessiond.crypto.tokens import TokenKind
from sessiond.domain.errors import Unauthenticated
from tests.crypto.forging import segment
from tests.deployment import NOON, TestDeployment
from tests.dialects.native_calls import Holder
from tests.pin_door import Door
from tests.server_process import ServerProcess

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]

Record = Callable[[str, object], None]
Samples = Sequence[float]


def told_apart(one: Samples, other: Samples) -> float:
    """Return how often a sample of *one* is above one of *other*; equal ones count half (Mann and Whitney's U)."""
    ranked = sorted(other)
    above = sum((bisect_left(ranked, each) + bisect_right(ranked, each)) / 2 for each in one)
    return above / (len(one) * len(other))


def judged(record: Record, one: Samples, other: Samples, *, within: float) -> None:
    """Fail unless the two are told apart no more than *within* of a half."""
    share = told_apart(one, other)
    medians = [f"{statistics.median(each) * 1e6:.1f} µs" for each in (one, other)]
    record("samples of each", len(one))
    record("medians", " and ".join(medians))
    record("told apart", f"{share:.3f} (0.5 ± {within} allowed)")
    assert abs(share - 0.5) <= within


DRAWN = random.Random(20261121)


def in_turn(cases: Iterable[str]) -> list[str]:
    """Return the cases in an order that is drawn: whoever is always first is always slower."""
    names = list(cases)
    DRAWN.shuffle(names)
    return names


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Leave the collector out of what is measured."""
    gc.disable()
    yield
    gc.enable()


async def test_row_23_a_wrong_pin_takes_as_long_as_an_unknown_name(record_property: Record) -> None:
    took: dict[str, list[float]] = {"alice": [], "nobody": []}
    door = await Door.with_alice()
    for number in range(400):
        if number % 50 == 49:
            door = await Door.with_alice()  # before so many failures close the account
        for name in in_turn(took):
            door.clock.advance(days=2)  # nothing waits for a former failure
            began = time.process_time()
            assert await door.knock(name, "9999") == "invalid_credentials"
            took[name].append(time.process_time() - began)

    judged(record_property, took["alice"], took["nobody"], within=0.15)


async def test_row_23_a_mac_is_compared_in_constant_time(record_property: Record) -> None:
    deployment = await TestDeployment.born()
    session = await deployment.issue()
    good = deployment.services.keys.ring.mint(session.kid, TokenKind.ACCESS).token(
        session=session.id, nonce=session.nonce, generation=0, exp=NOON // 1000 + 600
    )
    # Many texts of each case: one text alone may be told from any other, by where it lies in memory.
    places = {
        place: [_with_another_tag_byte(good, place, by) for by in range(1, 256)]
        for place in ("first", "last")
    }
    took: dict[str, list[float]] = {place: [] for place in places}
    for number in range(40_000):
        for place in in_turn(places):
            text = places[place][number % 255]
            began = time.perf_counter()
            try:
                deployment.services.tokens.recognise(text)
            except Unauthenticated as refusal:
                took[place].append(time.perf_counter() - began)
                refusal.forget_where()

    assert [len(samples) for samples in took.values()] == [40_000, 40_000]
    judged(record_property, took["first"], took["last"], within=0.05)


def _with_another_tag_byte(token: str, place: str, by: int) -> str:
    """Return the token with the first or last byte of its 16-byte tag changed *by* some bits, and a check that fits."""
    raw = bytearray(urlsafe_b64decode(token[5:85]))
    raw[44 if place == "first" else 59] ^= by
    text = f"{token[:5]}{segment(bytes(raw))}"
    return text + checksum.checksum(text.encode()).decode()


def test_row_15_anothers_session_takes_as_long_as_an_unknown_one(
    server: ServerProcess, record_property: Record
) -> None:
    with httpx.Client(base_url=server.url) as http:
        mine, anothers = Holder(http, server), Holder(http, server)
        unknown = anothers.id[:-12] + f"{int(anothers.id[-12:], 16) ^ 1:012x}"
        took: dict[str, list[float]] = {anothers.id: [], unknown: []}
        for _ in range(3_000):
            for name in in_turn(took):
                began = time.perf_counter()
                answer = http.get(f"/v1/me/sessions/{name}", headers=mine.headers)
                took[name].append(time.perf_counter() - began)
                assert answer.status_code == 404

    judged(record_property, took[anothers.id], took[unknown], within=0.1)
