"""Creates by a server key: what they stand on is read together with the key, once, and decides as of that read."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from sessiond.domain.errors import Forbidden
from sessiond.domain.ids import DEFAULT_PROJECT, SubjectId
from sessiond.domain.records import Key, Kind, Record
from sessiond.domain.sessions import SessionKind
from sessiond.domain.subjects import SubjectKind
from sessiond.services.footing import Foreseen
from sessiond.services.orders import Order
from sessiond.storage.engines.memory import MemoryStore
from tests.deployment import ALICE, BY, TestDeployment

BOB = SubjectId("bob")
ORDER = Order(
    project=DEFAULT_PROJECT,
    subject=ALICE,
    session_kind=SessionKind.TOKENS,
    by=BY,
    create=SubjectKind.USER,
    rotates=True,
)


class ReadingStore(MemoryStore):
    """Notes what is read together."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[list[Kind]] = []

    async def get(self, key: Key) -> Record | None:
        self.read.append([key.kind])
        return await super().get(key)

    async def get_many(self, keys: Sequence[Key]) -> Sequence[Record | None]:
        self.read.append([key.kind for key in keys])
        return await super().get_many(keys)


@pytest.fixture
async def store() -> ReadingStore:
    return ReadingStore()


@pytest.fixture
async def deployment(store: ReadingStore) -> TestDeployment:
    return await TestDeployment.born(store=store)


@pytest.fixture
async def known_key(deployment: TestDeployment) -> str:
    """Return the text of a key that was asked for before."""
    text = (await deployment.services.server_keys.add(DEFAULT_PROJECT, "app", by=BY))[1].reveal()
    assert await deployment.services.server_keys.find(text) is not None
    return text


async def test_a_create_reads_once_what_its_key_is_and_what_it_stands_on(
    deployment: TestDeployment, store: ReadingStore, known_key: str
) -> None:
    store.read.clear()

    foreseen = Foreseen(ALICE)
    await deployment.services.server_keys.find(known_key, foreseen)
    await deployment.services.issuing.issue(ORDER, foreseen)

    assert store.read == [[Kind.SERVER_KEY, Kind.SUBJECT, Kind.PROJECT, Kind.DEPLOYMENT]]


async def test_what_was_read_for_another_subject_or_project_is_read_anew(
    deployment: TestDeployment, known_key: str
) -> None:
    other = (await deployment.services.projects.add("other", by=BY)).id
    await deployment.services.keys.learn(other)
    await deployment.issue(ALICE)
    await deployment.issue(BOB)
    foreseen_bob, foreseen_here = Foreseen(BOB), Foreseen(ALICE)
    await deployment.services.server_keys.find(known_key, foreseen_bob)
    await deployment.services.server_keys.find(known_key, foreseen_here)

    alice = await deployment.services.issuing.issue(ORDER, foreseen_bob)
    there = await deployment.services.issuing.issue(
        msgspec.structs.replace(ORDER, project=other), foreseen_here
    )

    assert alice.subject.id == ALICE
    assert there.subject.project == other


async def test_a_create_that_decides_again_reads_again(deployment: TestDeployment, known_key: str) -> None:
    foreseen = Foreseen(ALICE)
    await deployment.services.server_keys.find(known_key, foreseen)
    await deployment.issue(ALICE)  # the subject is there now, which was absent when it was read

    issued = await deployment.services.issuing.issue(ORDER, foreseen)

    assert issued.session.subject == ALICE


async def test_a_subject_that_was_disabled_before_the_key_was_asked_for_gets_no_session(
    deployment: TestDeployment, known_key: str
) -> None:
    await deployment.issue(ALICE)
    await deployment.services.server_keys.find(known_key, Foreseen(ALICE))
    await deployment.services.subjects.disable(DEFAULT_PROJECT, ALICE, by=BY)

    foreseen = Foreseen(ALICE)
    await deployment.services.server_keys.find(known_key, foreseen)

    with pytest.raises(Forbidden, match="subject_disabled"):
        await deployment.services.issuing.issue(ORDER, foreseen)


async def test_a_key_that_was_revoked_elsewhere_is_refused_whatever_is_foreseen(
    deployment: TestDeployment, known_key: str
) -> None:
    await deployment.services.server_keys.revoke(DEFAULT_PROJECT, "app", by=BY)

    assert await deployment.services.server_keys.find(known_key, Foreseen(ALICE)) is None
