"""Explaining: a text is judged by the walk that refuses it, step by step, and nothing comes of it."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from sessiond.crypto.tokens import Mint, TokenKind
from sessiond.domain.errors import Refusal
from sessiond.domain.ids import DEFAULT_PROJECT
from sessiond.domain.initiators import Initiator
from sessiond.domain.policies import Policy, Preset
from sessiond.domain.rules import Rules
from sessiond.domain.sessions import Session
from sessiond.domain.steps import Step
from sessiond.services.explaining import Explanation
from sessiond.services.token_forms import Form
from tests.deployment import ALICE, BY, MASTER_TOKEN, SERVER_KEY, TestDeployment


async def explained(deployment: TestDeployment, text: str) -> Explanation:
    return await deployment.services.explaining.explain(text)


def refused_at(explanation: Explanation) -> tuple[str, Step]:
    """Return the code, and the step; those before it passed, those after it were not reached."""
    assert isinstance(explanation.refusal, Refusal)
    outcomes = [each.passed for each in explanation.steps]
    place = outcomes.index(False)
    assert outcomes == [True] * place + [False] + [None] * (len(Step) - place - 1)
    return explanation.refusal.code, explanation.steps[place].step


async def rotated(deployment: TestDeployment, session: Session) -> Session:
    token = deployment.refresh_token(session)
    return (await deployment.services.sessions.refresh(token, Form.REFRESH)).session


async def test_a_good_token_passes_every_step_in_the_order_of_admission(deployment: TestDeployment) -> None:
    session = await deployment.issue()

    found = await explained(deployment, deployment.access_token(session))

    assert (found.kind, found.refusal, found.project) == ("access token", None, DEFAULT_PROJECT)
    assert [each.step for each in found.steps] == list(Step)
    assert all(each.passed for each in found.steps)
    facts = {each.step: each.fact for each in found.steps}
    assert facts[Step.KEY].endswith("active")
    assert facts[Step.GENERATION] == "the token's 0, the session's 0; the current one"
    assert found.standing is not None
    assert found.standing.session == session


def minted(session: Session, *, key: bytes, kid: int) -> str:
    """Return an access token that was minted with another key than the session's."""
    return Mint(TokenKind.ACCESS, kid, key).token(
        session=session.id, nonce=session.nonce, generation=0, exp=session.expires_at // 1000
    )


async def test_what_is_no_token_of_ours_fails_before_anything_it_says_is_believed(
    deployment: TestDeployment,
) -> None:
    session = await deployment.issue()
    good = deployment.access_token(session)
    mistyped = await explained(deployment, good[:20] + ("A" if good[20] != "A" else "B") + good[21:])
    unknown = await explained(deployment, minted(session, key=bytes(32), kid=7))
    forged = await explained(deployment, minted(session, key=bytes(32), kid=session.kid))

    assert refused_at(mistyped) == ("invalid_token", Step.TEXT)
    assert refused_at(unknown) == ("invalid_token", Step.KEY)
    assert refused_at(forged) == ("invalid_token", Step.SIGNATURE)
    assert {each.kind for each in (mistyped, unknown, forged)} == {"access token, by its looks"}
    assert not any(each.presented or each.standing or each.timeline for each in (mistyped, unknown, forged))


async def test_a_jwt_is_walked_like_any_other_token(deployment: TestDeployment) -> None:
    session = await deployment.issue()
    now = deployment.clock.now()
    text = deployment.services.tokens.jwt(
        Form.NATIVE_JWT, session, now=now, expires_at=now + 60_000, first={"client_id": session.project}
    )
    head, body, signature = text.split(".")

    good = await explained(deployment, text)
    cut = await explained(deployment, f"{head}.{body}")
    other = "A" if signature[0] != "A" else "B"
    forged = await explained(deployment, f"{head}.{body}.{other}{signature[1:]}")

    assert (good.kind, good.refusal) == ("access token (JWT)", None)
    assert refused_at(cut) == ("invalid_token", Step.TEXT)
    assert refused_at(forged) == ("invalid_token", Step.SIGNATURE)


async def test_another_nonce_is_refused_as_not_the_session_s(deployment: TestDeployment) -> None:
    session = await deployment.issue()
    restored = deployment.access_token(msgspec.structs.replace(session, nonce=bytes(16)))

    assert refused_at(await explained(deployment, restored)) == ("invalid_token", Step.NONCE)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "unknown text"),
        ("hello", "unknown text"),
        ("sdk1_short", "server key, by its looks"),
        ("sda1_short", "access token, by its looks"),
        ("session:1800000000:zz", "operator token, by its looks"),
        ("eyJ.x.y", "JWT, by its looks"),
        ("x" * 9000, "unknown text"),
    ],
)
async def test_junk_is_told_by_its_looks(deployment: TestDeployment, text: str, kind: str) -> None:
    found = await explained(deployment, text)

    assert found.kind == kind
    assert found.refusal is not None
    assert found.refusal.code == "invalid_token"


async def test_an_expired_token_is_refused_at_its_expiry_while_its_session_lives(
    deployment: TestDeployment,
) -> None:
    token = deployment.access_token(await deployment.issue())
    deployment.clock.advance(minutes=11)

    found = await explained(deployment, token)

    assert refused_at(found) == ("token_expired", Step.EXPIRY)
    assert found.timeline is not None
    assert found.timeline.ended is None


async def test_each_way_to_end_is_told_at_its_step() -> None:
    policy = Policy(
        preset=Preset.AAL2, absolute_timeout=timedelta(hours=2), idle_timeout=timedelta(minutes=5)
    )
    deployment = await TestDeployment.born(Rules(policy=policy))
    services = deployment.services
    revoked, idle, epoch = [await deployment.issue() for _ in range(3)]
    tokens = [deployment.refresh_token(each) for each in (revoked, idle, epoch)]
    await services.sessions.revoke(revoked, reason="lost phone", by=Initiator("operator"))

    first = await explained(deployment, tokens[0])
    await services.subjects.revoke_sessions(DEFAULT_PROJECT, ALICE, by=Initiator("operator"))
    second = await explained(deployment, tokens[2])
    deployment.clock.advance(minutes=6)
    third = await explained(deployment, tokens[1])

    assert refused_at(first) == ("session_revoked", Step.REVOKED)
    assert "lost phone" in first.steps[list(Step).index(Step.REVOKED)].fact
    assert first.timeline is not None
    assert first.timeline.by == "operator"
    assert refused_at(second) == ("subject_sessions_revoked", Step.EPOCHS)
    assert refused_at(third) == ("session_idle", Step.IDLE)


async def test_a_session_that_was_purged_is_refused_at_its_row_and_its_story_is_told(
    deployment: TestDeployment,
) -> None:
    session = await deployment.issue()
    token = deployment.access_token(session)
    await deployment.services.sessions.revoke(session, reason="lost", by=Initiator("operator"))
    now = deployment.clock.now()
    await deployment.services.store.purge(ended_before=now + 1, due_before=now, limit=10)

    found = await explained(deployment, token)

    assert refused_at(found) == ("invalid_token", Step.ROW)
    assert found.timeline is not None
    assert found.timeline.by == "operator"


async def test_generations_are_told_for_access_tokens(deployment: TestDeployment) -> None:
    session = await deployment.issue()
    first = deployment.access_token(session)
    session = await rotated(deployment, session)

    previous = await explained(deployment, first)
    deployment.clock.advance(seconds=31)
    superseded = await explained(deployment, first)

    assert previous.refusal is None
    assert previous.steps[-1].fact == "the token's 0, the session's 1; the previous one, still tolerated"
    assert refused_at(superseded) == ("token_superseded", Step.GENERATION)


async def test_a_refresh_token_is_told_what_it_would_get_and_ends_nothing(deployment: TestDeployment) -> None:
    session = await deployment.issue()
    first = deployment.refresh_token(session)
    session = await rotated(deployment, session)
    second = deployment.refresh_token(session)

    current, repeated = await explained(deployment, second), await explained(deployment, first)
    deployment.clock.advance(minutes=5)
    lost = await explained(deployment, first)

    assert (current.kind, current.refusal, repeated.refusal) == ("refresh token", None, None)
    assert current.steps[-1].fact.endswith("it gets the next tokens")
    assert repeated.steps[-1].fact.endswith("it gets the present tokens again")
    assert refused_at(lost) == ("refresh_token_superseded", Step.GENERATION)
    assert (await explained(deployment, second)).refusal is None  # the session lives, and was not rotated


async def test_a_token_newer_than_its_row_raises_no_alarm(deployment: TestDeployment) -> None:
    session = await deployment.issue()
    newer = deployment.access_token(msgspec.structs.replace(session, generation=3))
    newest = deployment.refresh_token(msgspec.structs.replace(session, generation=3))
    before = await deployment.services.store.newest_event()

    for token in (newer, newest):
        assert refused_at(await explained(deployment, token)) == ("store_rollback", Step.GENERATION)
    assert await deployment.services.store.newest_event() == before


async def test_to_explain_is_no_use_of_the_session(deployment: TestDeployment) -> None:
    session = await deployment.issue()
    token = deployment.access_token(session)
    deployment.clock.advance(minutes=5)

    await explained(deployment, token)
    await deployment.services.touches.flush()

    standing = await deployment.services.store.find_session(session.project, session.id)
    assert standing is not None
    assert standing.session.last_seen_at == session.last_seen_at
    assert deployment.observer["verify"] == 0


async def test_server_keys_and_the_master_token_are_told_too(deployment: TestDeployment) -> None:
    services = deployment.services
    record, secret = await services.server_keys.add(DEFAULT_PROJECT, "app", by=BY)

    live = await explained(deployment, secret.reveal())
    seeded, master = await explained(deployment, SERVER_KEY), await explained(deployment, MASTER_TOKEN)
    await services.server_keys.revoke(DEFAULT_PROJECT, record.id, by=BY)
    revoked = await explained(deployment, secret.reveal())

    assert (live.kind, live.name, live.refusal) == ("server key", "app", None)
    assert (seeded.kind, seeded.refusal) == ("server key", None)
    assert (master.kind, master.refusal) == ("master token", None)
    assert revoked.refusal is not None
    assert "revoked at 2027" in revoked.refusal.detail


async def test_no_explanation_holds_the_text(deployment: TestDeployment) -> None:
    session = await deployment.issue()
    texts = [deployment.access_token(session), deployment.refresh_token(session), SERVER_KEY, MASTER_TOKEN]

    shown = "".join([repr(await explained(deployment, text)) for text in texts])

    assert not any(text in shown for text in texts)
