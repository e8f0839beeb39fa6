"""Whoever can write to the database, or has an old copy with its keys, makes no session by it."""

from __future__ import annotations

from hashlib import sha256

import msgspec
import pytest

from sessiond.crypto.macs import TAG_SIZE, tag
from sessiond.crypto.tokens import Mint, TokenKind
from sessiond.domain.errors import Unauthenticated
from sessiond.domain.ids import DEFAULT_PROJECT
from sessiond.domain.projects import ServerKey
from sessiond.domain.sessions import Session
from sessiond.services.ports import Change
from tests.deployment import TestDeployment

PLANTED = "planted-server-key-0123456789abcdefghijklmn"


def access_token(session: Session, key: bytes) -> str:
    """Return an access token of *session* as whoever knows its row, and has *key*, makes one."""
    return Mint(TokenKind.ACCESS, session.kid, key).token(
        session=session.id,
        nonce=session.nonce,
        generation=session.generation,
        exp=session.expires_at // 1000,
    )


@pytest.mark.parametrize(
    "digest",
    [
        PLANTED.encode()[:TAG_SIZE],
        sha256(PLANTED.encode()).digest()[:TAG_SIZE],
        tag(bytes(32), PLANTED.encode()),
    ],
    ids=["plain", "hashed", "under a known key"],
)
async def test_a_server_key_that_was_planted_opens_nothing(deployment: TestDeployment, digest: bytes) -> None:
    record = ServerKey(digest=digest, project=DEFAULT_PROJECT, id="planted", name="planted", created_at=0)
    change = Change(partition=record.key.partition, expects={record.key: 0}, puts=[record])

    await deployment.services.store.apply(change)

    with pytest.raises(Unauthenticated):
        await deployment.services.credentials.by_server_key(PLANTED, project=None, address=None)


async def test_a_session_that_was_planted_has_no_token(deployment: TestDeployment) -> None:
    session = await deployment.issue()
    planted = msgspec.structs.replace(
        session, id=bytes([*session.id[:-1], session.id[-1] ^ 1]), nonce=bytes(16)
    )
    change = Change(partition=planted.key.partition, expects={planted.key: 0}, puts=[planted])
    await deployment.services.store.apply(change)

    for key in (bytes(32), planted.nonce * 2, sha256(planted.id).digest()):
        with pytest.raises(Unauthenticated):
            await deployment.services.sessions.verify(access_token(planted, key))


async def test_the_keys_of_a_backup_make_no_token_of_a_later_session(deployment: TestDeployment) -> None:
    ring = deployment.services.keys.ring  # as the backup's key opens it
    later = await deployment.issue()
    key = ring.key(later.kid, TokenKind.ACCESS.purpose)

    guessed = msgspec.structs.replace(later, nonce=bytes(16))

    with pytest.raises(Unauthenticated):
        await deployment.services.sessions.verify(access_token(guessed, key))
    verified = await deployment.services.sessions.verify(access_token(later, key))
    assert verified.standing.session.id == later.id  # with its row it is another matter
