"""Instant endpoints that wait for the store: without a task, and still whole answers, in order, bounded."""

from __future__ import annotations

import asyncio

import pytest

from tests.http.surface import Surface, Wire

LATER = b"GET /later HTTP/1.1\r\nHost: a\r\n\r\n"
PLAIN = b"GET /odd/7 HTTP/1.1\r\nHost: a\r\n\r\n"


async def opened(surface: Surface, number: int) -> None:
    """Wait until so many gates were waited at, and open the last."""
    async with asyncio.timeout(120):
        while len(surface.world.gates) < number:  # noqa: ASYNC110  it passes by itself
            await asyncio.sleep(0)
    surface.world.gates[number - 1].set_result(None)


@pytest.mark.parametrize("waits", [0, 1, 2, 3])
async def test_an_answer_after_any_number_of_waits_is_a_whole_answer(waits: int) -> None:
    surface = Surface()

    async with surface.served() as server, Wire.to(server) as wire:
        wire.get("/later", f"X-Waits: {waits}", "X-Request-Id: given-from-outside")
        for number in range(waits):
            await opened(surface, number + 1)
        answer = await wire.answer()

    assert (answer.status, answer.json) == (200, {"at": "once"})
    assert answer.header("x-request-id") == "given-from-outside"
    assert answer.header("cache-control") == "no-store"
    (line,) = surface.log_lines()
    assert (line["path"], line["status"]) == ("/later", 200)
    assert surface.app.in_flight == 0


@pytest.mark.parametrize("waits", [0, 1, 2])
@pytest.mark.parametrize(
    ("want", "status", "shape"),
    [
        ("answer", 203, {"at": "once"}),
        ("refusal", 404, {"oops": "oddity_not_found"}),
        ("defect", 500, {"oops": "internal_error"}),
    ],
)
async def test_it_may_answer_refuse_or_fail_after_its_waits(
    waits: int, want: str, status: int, shape: object
) -> None:
    surface = Surface()

    async with surface.served() as server, Wire.to(server) as wire:
        wire.get("/later", f"X-Waits: {waits}", f"X-Want: {want}")
        for number in range(waits):
            await opened(surface, number + 1)
        answer = await wire.answer()

    assert (answer.status, answer.json) == (status, shape)
    assert surface.app.in_flight == 0
    assert len(surface.log_lines()) == 1


async def test_from_its_second_wait_on_timeouts_work_in_it() -> None:
    surface = Surface()

    async with surface.served() as server, Wire.to(server) as wire:
        wire.get("/later", "X-Waits: 2", "X-Timeout: 1")
        await opened(surface, 1)
        await opened(surface, 2)
        answer = await wire.answer()

    assert answer.status == 200


async def test_what_is_pipelined_behind_one_that_waits_is_answered_after_it() -> None:
    surface = Surface()

    async with surface.served() as server, Wire.to(server) as wire:
        wire.send(LATER, PLAIN, LATER)
        await opened(surface, 1)
        first, second = (await wire.answer()).json, (await wire.answer()).json
        third = (await wire.answer()).json

    assert (first, second["value"]) == ({"at": "once"}, "7")
    assert third["method"] == "GET", "one that waits its turn is its handler's"


async def test_as_many_wait_at_once_as_may_be_worked_on() -> None:
    surface = Surface(max_in_flight=1)

    async with surface.served() as server, Wire.to(server) as first, Wire.to(server) as second:
        first.get("/later")
        async with asyncio.timeout(120):
            await surface.world.arrived.wait()
        second.get("/later")
        refused = await second.answer()
        await opened(surface, 1)
        answered = await first.answer()

    assert (refused.status, refused.json["oops"]) == (503, "overloaded")
    assert refused.header("retry-after")
    assert answered.status == 200
    assert surface.app.in_flight == 0


async def test_a_client_that_goes_away_while_it_waits_spoils_nothing() -> None:
    surface = Surface()

    async with surface.served() as server:
        async with Wire.to(server) as gone:
            gone.get("/later")
            async with asyncio.timeout(120):
                await surface.world.arrived.wait()
        await opened(surface, 1)
        async with Wire.to(server) as wire:
            wire.get("/odd/7")
            answer = await wire.answer()

    assert answer.status == 200
    assert surface.app.in_flight == 0


async def test_stopping_finishes_one_that_waits_and_closes_its_connection() -> None:
    surface = Surface()

    async with surface.served(drain_seconds=600) as server, Wire.to(server) as wire:
        wire.get("/later")
        async with asyncio.timeout(120):
            await surface.world.arrived.wait()
        server.stop()
        await opened(surface, 1)
        answer = await wire.answer()
        assert await wire.ended() == b""

    assert answer.status == 200


async def test_a_client_whose_answer_cannot_be_made_does_not_wait_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    surface = Surface()

    async with surface.served() as server, Wire.to(server) as wire:
        wire.get("/later")
        async with asyncio.timeout(120):
            await surface.world.arrived.wait()
        monkeypatch.setattr(surface.app.access_log, "record", None)
        await opened(surface, 1)
        assert await wire.ended() == b""

    assert surface.app.in_flight == 0
