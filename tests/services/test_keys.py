"""The ring in memory follows the one in the store, whoever wrote it."""

from __future__ import annotations

import msgspec
import pytest

from sessiond.domain.errors import Unavailable
from sessiond.domain.initiators import Initiator
from sessiond.domain.keys import Audience
from sessiond.services.keys import Keys
from sessiond.services.projects import Projects, ServerKeys
from tests.deployment import WRAPPING_KEY, CountedEntropy, TestDeployment


async def another_process(deployment: TestDeployment) -> tuple[Projects, ServerKeys]:
    """Return the services of a command beside the deployment: the same store, a ring of its own in memory."""
    services = deployment.services
    keys = Keys(
        services.store, services.clock, wrapping_key=WRAPPING_KEY, deployment=services.keys.deployment
    )
    entropy = CountedEntropy("another process")
    projects = Projects(services.store, keys, services.clock, entropy, contention=services.contention)
    return projects, ServerKeys(services.store, keys, services.clock, entropy, contention=services.contention)


async def test_a_project_that_another_process_added_is_served_at_once(deployment: TestDeployment) -> None:
    projects, server_keys = await another_process(deployment)
    project = await projects.add("shop", by=Initiator("cli"))
    _, text = await server_keys.add(project.id, "app", by=Initiator("cli"))

    caller = await deployment.services.credentials.by_server_key(text.reveal(), project=None, address=None)

    assert caller.project == project.id
    assert len(deployment.services.keys.jwks(project.id, [Audience.NATIVE])) == 2
    assert deployment.services.keys.ring.data_key(project.id)


async def test_a_ring_that_was_sealed_under_another_key_is_refused(deployment: TestDeployment) -> None:
    keys = deployment.services.keys
    foreign = keys.ring.seal(bytes(32), keys.deployment.install_id, CountedEntropy())
    old = keys.deployment
    newer = msgspec.structs.replace(
        old, ring=foreign, ring_version=old.ring_version + 1, version=old.version + 1
    )

    with pytest.raises(Unavailable) as refusal:
        keys.adopt(newer)

    assert refusal.value.code == "key_unavailable"
    assert keys.deployment is old
