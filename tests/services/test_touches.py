"""Last use, written behind: in portions, and kept while the store refuses."""

from __future__ import annotations

from datetime import timedelta

from sessiond.domain.ids import DEFAULT_PROJECT
from tests.deployment import TestDeployment

GRACE = timedelta(seconds=30)


async def test_what_was_noted_is_written_whole_however_much_it_is(deployment: TestDeployment) -> None:
    sessions = [await deployment.issue() for _ in range(1100)]
    deployment.clock.advance(minutes=2)
    touches = deployment.services.touches
    for session in sessions:
        touches.note(session, now=deployment.clock.now(), grace=GRACE)

    assert await touches.flush() == 1100

    seen = await deployment.services.sessions.get(DEFAULT_PROJECT, sessions[-1].id)
    assert seen.session.last_seen_at == deployment.clock.now()
    assert await touches.flush() == 0


async def test_what_the_store_refuses_now_is_kept_for_later(deployment: TestDeployment) -> None:
    session = await deployment.issue()
    deployment.clock.advance(minutes=2)
    touches = deployment.services.touches
    touches.note(session, now=deployment.clock.now(), grace=GRACE)
    await deployment.services.store.close()

    assert await touches.flush() == 0
    assert touches.quiet_until(session) < deployment.clock.now()
    assert len(touches) == 1
