"""The chains of the audit: where each project's lies, and the keys by which it is signed and checked."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence

from sessiond.domain.audit_chain import Head, Link, Tag, link_key
from sessiond.domain.ids import Partition, ProjectId, SubjectId
from sessiond.services.keys import Keys
from sessiond.services.ports import Store

CHAIN = SubjectId("")
"""No subject has this id, so the partition of a project's chain is that of nobody in particular."""


def chain_partition(keys: Keys, project: ProjectId) -> Partition:
    """Return where the chain of *project* lies."""
    return keys.partition(project, CHAIN)


def tag_of(keys: Keys, project: ProjectId) -> Tag:
    """Return the keyed hash of the audit of *project*."""
    return keys.ring.audit_mac(project).tag


def proof_of(keys: Keys, project: ProjectId) -> Callable[[bytes], str]:
    """Return the keyed hash, as text, by which events of *project* prove that erasing rewrote them."""
    tag = tag_of(keys, project)
    return lambda message: base64.urlsafe_b64encode(tag(message)).rstrip(b"=").decode()


async def read_links(store: Store, head: Head, numbers: Sequence[int]) -> Sequence[Link | None]:
    """Return the links of the chain of *head* by their numbers, None where there is none."""
    rows = await store.get_many([link_key(head.project, head.partition, number) for number in numbers])
    return [row if isinstance(row, Link) else None for row in rows]
