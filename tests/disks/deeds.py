"""Deeds on a store whose every outcome can be told apart afterwards: done, not done, or half.

Each session goes through the same four deeds. What is found of it (its row, its subject's row, the events told of it)
says which of them are done; anything else is half of one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from sessiond.domain.errors import Unavailable
from sessiond.domain.ids import SubjectId, mint_id
from sessiond.domain.sessions import Session
from sessiond.domain.subjects import Subject
from sessiond.services.ports import Change, Store
from sessiond.testing import samples

DEEDS = ("issue", "renew", "revoke", "forget")
SESSIONS = 12
AT_ONCE = 4


def session_of(number: int, generation: int = 0) -> Session:
    """Return the session of that number as it is after its issue, or its renewal."""
    at = samples.NOW + number * 10
    identifier = mint_id(now=at, partition=samples.PARTITION, entropy=number.to_bytes(8))
    return samples.session(
        id=identifier,
        subject=SubjectId(f"subject-{number}"),
        created_at=at,
        generation=generation,
        version=generation + 1,
    )


def subject_of(number: int, epoch: int | None = None) -> Subject:
    """Return its subject, which changes together with it."""
    plain = samples.subject(SubjectId(f"subject-{number}"))
    return plain if epoch is None else samples.renewed(plain, epoch)


async def do(store: Store, number: int, deed: str) -> None:
    """Do one deed to one session."""
    told = (samples.event(at=samples.NOW + number * 10 + DEEDS.index(deed)),)
    match deed:
        case "issue":
            await store.apply(samples.put(session_of(number), subject_of(number), events=told))
        case "renew":
            await store.apply(samples.put(session_of(number, 1), subject_of(number, 99), events=told))
        case "revoke":
            of = session_of(number, 1)
            revocation = samples.revocation(of)
            await store.revoke([msgspec.structs.replace(revocation, event=told[0])])
        case _:
            found = await store.get(session_of(number).key)
            assert found is not None
            subject = subject_of(number, 99)
            change = Change(
                partition=samples.PARTITION,
                expects={found.key: found.version, subject.key: subject.version},
                deletes=[found.key, subject.key],
                events=told,
            )
            await store.apply(change)


async def do_all(store: Store, say: Callable[[str], None], first: int = 0) -> None:
    """Do every deed to every session, several at once; say `done N M` for the M-th deed of session N, or `refused N M`.

    A session to which one deed was refused is left as it is.
    """

    async def one(number: int) -> None:
        for count, deed in enumerate(DEEDS, 1):
            try:
                await do(store, number, deed)
            except Unavailable:
                say(f"refused {number} {count}")
                return
            say(f"done {number} {count}")
            if deed == "revoke" and number % 3:
                return

    for begin in range(first, first + SESSIONS, AT_ONCE):
        waiting: list[Awaitable[None]] = [one(number) for number in range(begin, begin + AT_ONCE)]
        await asyncio.gather(*waiting)


async def done_to(store: Store, number: int) -> int:
    """Return how many deeds are done to a session; fail when one is half done."""
    session, subject = await store.get_many([session_of(number).key, subject_of(number).key])
    events = await store.events(after=0, limit=10_000)
    told = sorted(event.at for _, event in events if event.at // 10 == (samples.NOW + number * 10) // 10)
    count = len(told)
    assert told == [samples.NOW + number * 10 + n for n in range(count)]
    match count:
        case 0 | 4:
            assert (session, subject) == (None, None)
        case 1:
            assert (session, subject) == (session_of(number), subject_of(number))
        case 2:
            assert (session, subject) == (session_of(number, 1), subject_of(number, 99))
        case _:
            assert isinstance(session, Session)
            assert session.revoked_at is not None
            assert subject == subject_of(number, 99)
    return count
