"""Lists of a subject's sessions: filters, and pages over more sessions than one look takes in."""

from __future__ import annotations

from sessiond.domain.callers import OperatorCaller
from sessiond.domain.endings import Ended, Ending
from sessiond.domain.ids import DEFAULT_PROJECT, SessionId, SubjectId
from sessiond.domain.session_filters import Filter, Span, State
from sessiond.domain.sessions import Actor, SessionKind
from sessiond.domain.subjects import SubjectKind
from sessiond.services.orders import Order
from tests.deployment import ALICE, BY, NOON, TestDeployment

OPERATOR = OperatorCaller(project=DEFAULT_PROJECT)


async def test_rare_sessions_are_found_behind_many_others(deployment: TestDeployment) -> None:
    old = await deployment.issue()
    await deployment.services.changing.rename(old, "The old Laptop", by=BY)
    for _ in range(450):
        await deployment.issue()
    found: list[SessionId] = []
    before: SessionId | None = None
    pages = 0

    while pages < 10:
        page, before = await deployment.services.listing.page(
            OPERATOR, Filter(subject=ALICE, client="laptop"), limit=5, before=before
        )
        found += [session.id for session, _ in page]
        pages += 1
        if before is None:
            break

    assert (found, pages) == ([old.id], 3)


async def test_ended_sessions_say_why(deployment: TestDeployment) -> None:
    swept = await deployment.issue()
    await deployment.services.subjects.revoke_sessions(DEFAULT_PROJECT, ALICE, reason="moved", by=BY)
    revoked = await deployment.issue()
    await deployment.services.sessions.revoke(revoked, reason="revoked", by=BY)
    live = await deployment.issue()

    page, following = await deployment.services.listing.page(
        OPERATOR, Filter(subject=ALICE, state=State.ALL), limit=10
    )

    assert following is None
    assert {session.id: why for session, why in page} == {
        live.id: None,
        revoked.id: Ended(Ending.REVOKED, NOON, "revoked"),
        swept.id: Ended(Ending.SUBJECT_EPOCH, NOON, "moved"),
    }


async def test_a_project_s_sessions_are_listed_across_its_subjects(deployment: TestDeployment) -> None:
    services = deployment.services
    made = []
    for n in range(6):
        deployment.clock.advance(seconds=1)
        made.append(await deployment.issue(SubjectId(f"user-{n}")))
    elsewhere = (await services.projects.add("elsewhere", by=BY)).id
    await services.issuing.issue(
        Order(
            project=elsewhere,
            subject=ALICE,
            session_kind=SessionKind.TOKENS,
            by=BY,
            create=SubjectKind.USER,
        )
    )
    await services.subjects.disable(DEFAULT_PROJECT, SubjectId("user-1"), by=BY)
    await services.subjects.revoke_sessions(DEFAULT_PROJECT, SubjectId("user-3"), by=BY)
    await services.sessions.revoke(made[5], reason="revoked", by=BY)

    assert await listed(deployment, Filter(), limit=2) == [made[n].id for n in (4, 2, 0)]
    assert await listed(deployment, Filter(state=State.ENDED), limit=2) == [made[n].id for n in (5, 3, 1)]
    assert await listed(deployment, Filter(state=State.ALL), limit=4) == [each.id for each in reversed(made)]


async def test_pages_of_a_project_stay_while_sessions_come_and_go(deployment: TestDeployment) -> None:
    made = [(await deployment.issue(SubjectId(f"user-{n}"))).id for n in range(7)]
    newest_first = sorted(made, reverse=True)
    listing, everybody = deployment.services.listing, Filter(state=State.ALL)

    first, before = await listing.page(OPERATOR, everybody, limit=3)
    deployment.clock.advance(seconds=1)
    await deployment.issue(SubjectId("user-9"))
    rest, _ = await listing.page(OPERATOR, everybody, limit=9, before=before)

    assert [session.id for session, _ in [*first, *rest]] == newest_first


async def test_a_page_looks_at_so_many_sessions_and_no_more(deployment: TestDeployment) -> None:
    rare = await deployment.issue(SubjectId("rare"))
    for n in range(450):
        deployment.clock.advance(milliseconds=1)
        await deployment.issue(SubjectId(f"user-{n}"))

    page, before = await deployment.services.listing.page(OPERATOR, Filter(text="rare"), limit=5)

    assert (list(page), before is None) == ([], False)
    assert await listed(deployment, Filter(text="RARE"), limit=5) == [rare.id]


async def test_a_range_of_creation_is_found_without_looking_at_what_is_newer(
    deployment: TestDeployment,
) -> None:
    early = deployment.clock.now()
    old = await deployment.issue(SubjectId("old"))
    deployment.clock.advance(seconds=1)
    late = deployment.clock.now()
    for n in range(250):
        await deployment.issue(SubjectId(f"user-{n}"))
    deployment.clock.advance(seconds=1)
    new = await deployment.issue(SubjectId("new"))

    for wanted, expected in (
        (Filter(created=Span(early, late)), old),
        (Filter(created=Span(deployment.clock.now(), None)), new),
        (Filter(created=Span(None, late), subject=SubjectId("old")), old),
    ):
        page, following = await deployment.services.listing.page(OPERATOR, wanted, limit=5)
        assert ([session.id for session, _ in page], following) == ([expected.id], None)


async def test_impersonations_are_found_by_who_acts(deployment: TestDeployment) -> None:
    await deployment.issue()
    order = Order(
        project=DEFAULT_PROJECT,
        subject=ALICE,
        session_kind=SessionKind.TOKENS,
        by=BY,
        actor=Actor(name="Sue of support", reason="ticket 7"),
    )
    acted = (await deployment.services.issuing.issue(order)).session

    assert await listed(deployment, Filter(actor="Sue of support"), limit=5) == [acted.id]
    assert await listed(deployment, Filter(actor="Sue"), limit=5) == []


async def listed(deployment: TestDeployment, wanted: Filter, *, limit: int) -> list[SessionId]:
    """Return the ids of all pages of at most *limit*."""
    found: list[SessionId] = []
    before: SessionId | None = None
    for _ in range(20):
        page, before = await deployment.services.listing.page(OPERATOR, wanted, limit=limit, before=before)
        assert len(page) <= limit
        found += [session.id for session, _ in page]
        if before is None:
            return found
    raise AssertionError("the pages do not end")
