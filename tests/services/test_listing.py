"""Lists of a subject's sessions: filters, and pages over more sessions than one look takes in."""

from __future__ import annotations

from sessiond.domain.endings import Ended, Ending
from sessiond.domain.ids import DEFAULT_PROJECT, SessionId
from sessiond.domain.session_filters import Filter, State
from tests.deployment import ALICE, NOON, TestDeployment


async def test_rare_sessions_are_found_behind_many_others(deployment: TestDeployment) -> None:
    old = await deployment.issue()
    await deployment.services.changing.rename(old, "The old Laptop", by="test")
    for _ in range(450):
        await deployment.issue()
    found: list[SessionId] = []
    before: SessionId | None = None
    pages = 0

    while pages < 10:
        page, before = await deployment.services.listing.page(
            DEFAULT_PROJECT, ALICE, Filter(client="laptop"), limit=5, before=before
        )
        found += [session.id for session, _ in page]
        pages += 1
        if before is None:
            break

    assert (found, pages) == ([old.id], 3)


async def test_ended_sessions_say_why(deployment: TestDeployment) -> None:
    swept = await deployment.issue()
    await deployment.services.subjects.revoke_sessions(DEFAULT_PROJECT, ALICE, reason="moved", by="test")
    revoked = await deployment.issue()
    await deployment.services.sessions.revoke(revoked, reason="revoked", by="test")
    live = await deployment.issue()

    page, following = await deployment.services.listing.page(
        DEFAULT_PROJECT, ALICE, Filter(state=State.ALL), limit=10
    )

    assert following is None
    assert {session.id: why for session, why in page} == {
        live.id: None,
        revoked.id: Ended(Ending.REVOKED, NOON, "revoked"),
        swept.id: Ended(Ending.SUBJECT_EPOCH, NOON, "moved"),
    }
