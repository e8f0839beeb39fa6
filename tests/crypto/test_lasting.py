"""Values that must never change: what is stored, or held by clients, was made with them."""

from __future__ import annotations

import pytest

from sessiond.crypto import jti, known_client, operator
from sessiond.crypto.ring import fingerprint
from sessiond.crypto.ring_contents import wrapping_aad
from sessiond.domain.errors import Unavailable
from sessiond.domain.ids import ProjectId, SessionId, SubjectId
from tests.crypto.material import KEY, NONCE, PROJECT, SESSION, two_projects

RING = two_projects()


def test_a_wrapping_key_keeps_its_fingerprint() -> None:
    assert fingerprint(KEY) == "5aeb3725540a"


@pytest.mark.parametrize(("subject", "partition"), [("alice", 3540), ("bob", 994), ("\ud800", 3988)])
def test_a_subject_keeps_its_partition(subject: str, partition: int) -> None:
    assert RING.partition(PROJECT, SubjectId(subject)) == partition


def test_a_data_key_is_bound_to_its_project_and_name() -> None:
    assert wrapping_aad(PROJECT, "one") == f"sessiond|v1|data_key|{PROJECT}|one".encode()


def test_a_ring_without_a_key_for_a_project_says_so() -> None:
    nobody = ProjectId("00000000-0000-4000-8000-000000000003")
    for ask in (RING.active_root, RING.data_key):
        with pytest.raises(Unavailable) as refused:
            ask(nobody)
        assert refused.value.code == "key_unavailable"


def test_what_is_minted_takes_whole_parts_only() -> None:
    with pytest.raises(ValueError, match="8 bytes"):
        jti.mint_jti(KEY, session=SESSION, nonce=NONCE, generation=0, entropy8=bytes(7))
    with pytest.raises(ValueError, match="4 bytes"):
        known_client.mint(KEY, kid=1, subject=SubjectId("alice"), issued_at=0, entropy=bytes(5))


@pytest.mark.parametrize(
    ("session", "nonce", "exp"),
    [
        (SESSION[:-1], NONCE, 10**9),
        (SESSION, NONCE[:-1], 10**9),
        (SESSION, NONCE, 10**9 - 1),
        (SESSION, NONCE, 10**10),
    ],
)
def test_an_operator_s_token_takes_whole_parts_only(session: bytes, nonce: bytes, exp: int) -> None:
    with pytest.raises(ValueError, match="16 bytes each"):
        operator.mint(KEY, kid=1, session=SessionId(session), nonce=nonce, exp=exp)
