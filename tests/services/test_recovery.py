from __future__ import annotations

import os

import pytest

from sessiond.crypto.purposes import Purpose
from sessiond.crypto.secrets import Secret
from sessiond.domain.errors import Misconfigured
from sessiond.domain.events import EventType
from sessiond.domain.ids import DEFAULT_PROJECT
from sessiond.domain.initiators import Initiator
from sessiond.domain.projects import Deployment, Project, project_key
from sessiond.services.contention import Contention
from sessiond.services.keys import Keys
from sessiond.services.ports import Store
from sessiond.services.projects import Projects, ServerKeys
from sessiond.services.recovery import Birth, Recovery, find_deployment, make_deployment
from sessiond.storage.engines.memory import MemoryStore
from tests.deployment import SetClock

WRAPPING_KEY = bytes(range(32))
SERVER_KEY = Secret("first-server-key-0123456789abcdefghij")
OTHER_KEY = Secret("other-server-key-0123456789abcdefghij")
MASTER_TOKEN = Secret("the-master-token-0123456789abcdefghij")


class OsEntropy:
    def bytes(self, count: int) -> bytes:
        return os.urandom(count)


CLOCK, ENTROPY = SetClock(1_700_000_000_000), OsEntropy()


async def born(store: Store, *, seeded: bool = True) -> Deployment:
    birth = Birth(wrapping_key=WRAPPING_KEY, server_key=SERVER_KEY, seeded=seeded, master_token=MASTER_TOKEN)
    return await make_deployment(store, CLOCK, ENTROPY, birth)


class Installation:
    def __init__(self, store: Store, deployment: Deployment) -> None:
        self.store = store
        self.keys = Keys(store, CLOCK, wrapping_key=WRAPPING_KEY, deployment=deployment)
        contention = Contention()
        self.projects = Projects(store, self.keys, CLOCK, ENTROPY, contention=contention)
        self.server_keys = ServerKeys(store, self.keys, CLOCK, ENTROPY, contention=contention)
        self.recovery = Recovery(store, self.keys, CLOCK, ENTROPY, contention=contention)


@pytest.fixture
async def installation() -> Installation:
    store = MemoryStore()
    return Installation(store, await born(store))


async def test_a_new_deployment_has_a_ring_a_project_a_server_key_and_a_master_token(
    installation: Installation,
) -> None:
    project = await installation.store.get(project_key(DEFAULT_PROJECT))

    assert isinstance(project, Project)
    assert project.name == "default"
    assert installation.keys.ring.active_root(DEFAULT_PROJECT).mints
    assert await installation.server_keys.find(SERVER_KEY.reveal())
    assert installation.keys.is_master(
        installation.keys.lookup(Purpose.LOOKUP_MASTER_TOKEN, MASTER_TOKEN.reveal())
    )


async def test_a_deployment_is_made_once() -> None:
    store = MemoryStore()
    first = await born(store)

    second = await born(store)

    assert second == first == await find_deployment(store)


async def test_two_deployments_share_no_epoch_and_no_id() -> None:
    first, second = await born(MemoryStore()), await born(MemoryStore())

    assert first.install_id != second.install_id
    assert first.epoch != second.epoch


async def test_a_recovery_draws_a_new_epoch_and_leaves_an_event(installation: Installation) -> None:
    before = await installation.recovery.witness()

    await installation.recovery.recover(by=Initiator("cli"), reason="restored")

    after = await installation.recovery.witness()
    events = [event for _, event in await installation.store.events(after=before.newest_event, limit=10)]
    assert after.epoch != before.epoch
    assert after.newest_event > before.newest_event
    assert [(event.type, event.by, event.data) for event in events] == [
        (EventType.DEPLOYMENT_RECOVERED, "cli", {"reason": "restored"})
    ]


async def test_the_witness_sees_what_another_process_wrote(installation: Installation) -> None:
    other = Installation(installation.store, installation.keys.deployment)
    await other.recovery.recover(by=Initiator("cli"), reason="restored")

    assert await installation.recovery.witness() == await other.recovery.witness()


async def test_the_master_token_that_is_stored_is_accepted_as_seed(installation: Installation) -> None:
    installation.recovery.check_master_seed(MASTER_TOKEN)


async def test_another_master_token_is_refused_as_seed(installation: Installation) -> None:
    with pytest.raises(Misconfigured, match="only seeds the first start"):
        installation.recovery.check_master_seed(Secret("other-master-token-0123456789abcdef"))


async def test_the_same_server_key_seed_changes_nothing(installation: Installation) -> None:
    assert not await installation.recovery.seed_server_key(installation.server_keys, SERVER_KEY)
    assert await installation.server_keys.find(SERVER_KEY.reveal())


async def test_another_server_key_seed_retires_the_former_seeded_key(installation: Installation) -> None:
    assert await installation.recovery.seed_server_key(installation.server_keys, OTHER_KEY)

    assert await installation.server_keys.find(OTHER_KEY.reveal())
    assert await installation.server_keys.find(SERVER_KEY.reveal()) is None


async def test_a_server_key_that_nobody_seeded_is_not_retired() -> None:
    store = MemoryStore()
    installation = Installation(store, await born(store, seeded=False))

    await installation.recovery.seed_server_key(installation.server_keys, OTHER_KEY)

    assert await installation.server_keys.find(SERVER_KEY.reveal())


async def test_a_server_key_that_was_retired_is_refused_as_seed(installation: Installation) -> None:
    await installation.recovery.seed_server_key(installation.server_keys, OTHER_KEY)

    with pytest.raises(Misconfigured, match="was revoked"):
        await installation.recovery.seed_server_key(installation.server_keys, SERVER_KEY)


async def test_the_publishable_key_follows_the_configuration(installation: Installation) -> None:
    recovery, projects = installation.recovery, installation.projects

    assert await recovery.set_publishable_key(projects, SERVER_KEY)
    assert not await recovery.set_publishable_key(projects, SERVER_KEY)
    project = await projects.require(DEFAULT_PROJECT)
    assert project.publishable_key_digest == installation.keys.lookup(
        Purpose.LOOKUP_PUBLISHABLE_KEY, SERVER_KEY.reveal()
    )

    assert await recovery.set_publishable_key(projects, None)
    assert (await projects.require(DEFAULT_PROJECT)).publishable_key_digest is None
