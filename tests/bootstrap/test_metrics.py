"""What is shown of what was counted: by one process, by several as one, and while the store is away."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import msgspec
import pytest
from prometheus_client.registry import Collector

from sessiond.bootstrap.metrics import Metrics, families
from sessiond.bootstrap.metrics.pages import Page, Pages, Written
from sessiond.bootstrap.metrics.readings import Readings
from sessiond.bootstrap.opening import Opened, open_deployment
from sessiond.bootstrap.serving import build_app
from sessiond.config.loading import load
from sessiond.domain.freshness import Staleness
from sessiond.domain.ids import DEFAULT_PROJECT
from sessiond.domain.keys import KeyKind
from sessiond.domain.refused_attempts import Attempt
from sessiond.services.measures import BOUNDS_NS, Durations
from sessiond.services.ports import Store
from sessiond.storage.engine import Role
from tests.deployment import BY


@contextlib.asynccontextmanager
async def opened_in(data_dir: Path) -> AsyncIterator[Opened]:
    loaded = load(environ={}, flags={"data_dir": str(data_dir), "database": "memory://"})
    deployment = await open_deployment(loaded, Role.SERVER)
    yield deployment
    await deployment.close()


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Opened]:
    async with opened_in(tmp_path / "data") as deployment:
        yield deployment


@pytest.fixture
async def other(tmp_path: Path) -> AsyncIterator[Opened]:
    async with opened_in(tmp_path / "other") as deployment:
        yield deployment


def watching(opened: Opened, page: Page | None = None) -> Metrics:
    metrics = Metrics(opened, page)
    build_app(opened, [], metrics)
    return metrics


def shown(collector: Collector, name: str, **labels: str) -> float | None:
    """Return the value of one sample, None where there is none."""
    values = [
        sample.value
        for metric in collector.collect()
        for sample in metric.samples
        if sample.name == name and sample.labels == labels
    ]
    assert len(values) <= 1
    return values[0] if values else None


def verified(count: float) -> Readings:
    readings = Readings()
    readings.note(families.VERIFIES, count, "memory")
    return readings


def of_verifies(readings: Readings) -> float:
    ((_, (value,)),) = readings.of(families.VERIFIES)
    return value


def an_ended_process() -> int:
    with subprocess.Popen([sys.executable, "-S", "-c", ""]) as process:
        process.wait()
    return process.pid


def test_a_duration_falls_into_the_bucket_whose_bound_it_does_not_pass() -> None:
    durations = Durations()

    for took in (BOUNDS_NS[0], BOUNDS_NS[0] + 1, BOUNDS_NS[-1], BOUNDS_NS[-1] + 1):
        durations.add(took)

    assert (durations.counts[0], durations.counts[1]) == (1, 1)
    assert (durations.counts[-2], durations.counts[-1]) == (1, 1)
    assert durations.total_ns == 2 * (BOUNDS_NS[0] + BOUNDS_NS[-1] + 1)


async def test_what_services_and_the_store_count_is_shown(opened: Opened) -> None:
    metrics = watching(opened)

    opened.counters.count("refresh_twin")
    opened.services.refused_attempts.note(Attempt.PIN, DEFAULT_PROJECT, "192.0.2.1")
    await opened.services.sealer.seal()
    found = await metrics.gather()

    assert shown(found, "sessiond_refreshes_total", token="previous") == 1
    assert shown(found, "sessiond_refused_attempts_total", attempt="pin") == 1
    assert shown(found, "sessiond_events_sealed_total", type="project.created") == 1
    assert shown(found, "sessiond_store_up") == 1
    sealed_at = shown(found, "sessiond_audit_sealed_timestamp_seconds")
    assert sealed_at is None or sealed_at <= opened.clock.now() / 1000


async def test_keys_are_shown_by_kind_and_state_and_when_the_next_takes_over(opened: Opened) -> None:
    metrics = watching(opened)
    before = await metrics.gather()

    await opened.services.rotating.rotate(DEFAULT_PROJECT, KeyKind.ROOT, by=BY, dry_run=False)
    found = await metrics.gather()

    root = opened.services.keys.ring.active_root(DEFAULT_PROJECT)
    assert root.activated_at is not None
    assert shown(found, "sessiond_keys", kind="root", state="active") == 1
    assert (
        shown(found, "sessiond_key_oldest_active_timestamp_seconds", kind="root") == root.activated_at / 1000
    )
    assert shown(before, "sessiond_key_next_activation_timestamp_seconds") is None
    coming = shown(found, "sessiond_key_next_activation_timestamp_seconds")
    assert coming is not None
    assert coming > opened.clock.now() / 1000


async def test_while_the_store_does_not_answer_the_rest_is_shown(opened: Opened) -> None:
    metrics = watching(opened)
    opened.counters.count("verify")

    await opened.store.close()
    found = await metrics.gather()

    assert shown(found, "sessiond_store_up") == 0
    assert shown(found, "sessiond_verifies_total", source="store") == 1


class Following:
    """A store that is another one, but for what it tells of a feed."""

    def __init__(self, store: Store, staleness: Staleness) -> None:
        self._store = store
        self._staleness = staleness

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def staleness(self) -> Staleness:
        return self._staleness


@pytest.mark.parametrize(("measured", "silent"), [(0.5, 0), (2.5, 1), (None, 1)])
async def test_a_feed_that_is_silent_is_shown_so_also_once_its_age_is_not_known(
    opened: Opened, measured: float | None, silent: int
) -> None:
    following = Following(opened.store, Staleness(bound_seconds=2.0, measured_seconds=measured))
    metrics = watching(msgspec.structs.replace(opened, store=cast("Store", following)))

    found = await metrics.gather()

    assert shown(found, "sessiond_feeds_silent") == silent
    assert shown(found, "sessiond_feed_age_seconds") == measured
    assert shown(found, "sessiond_feed_bound_seconds") == 2.0


async def test_whichever_worker_is_asked_the_sum_of_all_is_shown(opened: Opened) -> None:
    pages = Pages(3)
    metrics = watching(opened, pages.page(1))
    opened.counters.count("verify")

    pages.page(0).publish(verified(10))
    found = await metrics.gather()

    assert shown(found, "sessiond_verifies_total", source="memory") == 10
    assert shown(found, "sessiond_verifies_total", source="store") == 1
    assert (shown(found, "sessiond_workers"), shown(found, "sessiond_workers_wanted")) == (1, 3)
    assert shown(found, "process_cpu_seconds_total", worker="1") is not None


async def test_what_one_worker_has_told_the_next_tells_too(opened: Opened, other: Opened) -> None:
    pages = Pages(2)
    first, second = watching(opened, pages.page(0)), watching(other, pages.page(1))
    opened.counters.count("verify")

    told = shown(await first.gather(), "sessiond_verifies_total", source="store")

    assert told == 1
    assert shown(await second.gather(), "sessiond_verifies_total", source="store") == 1


def test_what_a_worker_counted_stays_when_it_ends_and_what_it_held_goes() -> None:
    pages, ended = Pages(2), Readings()
    ended.join(verified(10))
    ended.note(families.IN_FLIGHT, 7)
    pages.write(0, Written(an_ended_process(), time.monotonic(), ended))

    ((place, process, left),) = pages.page(1).others()
    together = Readings()
    together.join(left, ended=process is None)

    assert (place, process) == (0, None)
    assert of_verifies(together) == 10
    assert list(together.of(families.IN_FLIGHT)) == []


def test_a_worker_that_shows_nothing_any_more_does_not_serve() -> None:
    pages = Pages(2)
    asked = Page(pages, 1, now=lambda: 1000.0)

    pages.write(0, Written(os.getpid(), 995.0, verified(10)))
    ((_, process, _),) = asked.others()
    pages.write(0, Written(os.getpid(), 985.0, verified(10)))
    ((_, silent, _),) = asked.others()

    assert (process, silent) == (os.getpid(), None)


def test_a_worker_counts_on_from_the_one_that_it_replaces() -> None:
    pages = Pages(2)
    pages.write(0, Written(an_ended_process(), time.monotonic(), verified(10)))

    successor = pages.page(0)
    successor.publish(verified(1))
    together = successor.publish(verified(2))

    assert of_verifies(together) == 12
    ((_, _, seen_by_others),) = pages.page(1).others()
    assert of_verifies(seen_by_others) == 12


def test_of_several_feeds_the_one_that_lags_most_is_shown() -> None:
    readings = Readings()

    readings.note(families.FEED_AGE, 0.2)
    readings.note(families.FEED_AGE, 1.5)
    readings.note(families.FEED_AGE, 0.1)

    assert list(readings.of(families.FEED_AGE)) == [((), [1.5])]


def test_durations_of_several_workers_are_added_bucket_by_bucket() -> None:
    durations, together = Durations(), Readings()
    durations.add(BOUNDS_NS[0])
    durations.add(BOUNDS_NS[-1] + 1)

    for _ in range(2):
        own = Readings()
        own.note_durations(families.BATCH_DURATION, durations, "write")
        together.join(Readings.unpacked(own.packed()))

    ((labels, (*counts, total)),) = together.of(families.BATCH_DURATION)
    assert labels == ("write",)
    assert (counts[0], counts[-1], sum(counts)) == (2, 2, 4)
    assert total == pytest.approx(2 * durations.total_ns / 1e9)


def test_more_than_a_page_holds_is_refused() -> None:
    readings = Readings()
    readings.note(families.REFUSALS, 1, "x" * 1_100_000)

    with pytest.raises(ValueError, match="do not fit"):
        Pages(1).page(0).publish(readings)
