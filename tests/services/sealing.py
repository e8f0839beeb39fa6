"""Nodes that seal, and what they sealed."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from sessiond.domain.audit_chain import Head, Link, head_key
from sessiond.domain.ids import DEFAULT_PROJECT, ProjectId
from sessiond.services.audit_chains import chain_partition, read_links
from tests.deployment import TestDeployment


async def links_of(node: TestDeployment, project: ProjectId = DEFAULT_PROJECT) -> Sequence[Link]:
    """Return the whole chain of a project, whose links must follow each other."""
    services = node.services
    head = await services.store.get(head_key(project, chain_partition(services.keys, project)))
    if head is None:
        return []
    assert isinstance(head, Head)
    links = await read_links(services.store, head, range(head.first, head.number + 1))
    found = [link for link in links if link is not None]
    assert len(found) == len(links)
    for first, second in itertools.pairwise(found):
        assert second.previous == first.digest()
    assert head.digest == found[-1].digest()
    return found


async def sealed(node: TestDeployment) -> list[int]:
    """Return the sequences of the default project's sealed events, in the order of the chain."""
    return [entry.sequence for link in await links_of(node) for entry in link.entries()]


async def told(node: TestDeployment) -> list[int]:
    """Return the sequences of the default project's events."""
    return [
        sequence
        for sequence, _ in await node.services.store.events(after=0, limit=9999, project=DEFAULT_PROJECT)
    ]


async def two_nodes() -> tuple[TestDeployment, TestDeployment]:
    """Return two nodes of one deployment."""
    first = await TestDeployment.born(seed="one")
    return first, await TestDeployment.born(store=first.services.store, clock=first.clock, seed="two")


async def seal_all(node: TestDeployment) -> None:
    """Seal everything that happened."""
    while await node.services.sealer.seal():
        pass
