from __future__ import annotations

import hashlib
import hmac
import struct

import msgspec
import pytest

from sessiond.domain.audit_chain import (
    BEGINNING,
    LEASE_MS,
    PROOF,
    Head,
    Lease,
    Link,
    appended,
    entry_of,
    head_key,
    is_proved,
    lease_key,
    link_key,
    parse_head,
    with_proof,
    without_first,
)
from sessiond.domain.events import Event, EventType, forgotten
from sessiond.domain.ids import DEFAULT_PROJECT, Partition, SessionId, SubjectId
from sessiond.domain.projects import CONTROL_PARTITION
from sessiond.domain.records import Key, Kind

NOW = 1_800_000_000_000
HOME = Partition(7)
TOLD = Event(
    type=EventType.VAULT_READ,
    at=NOW,
    partition=HOME,
    project=DEFAULT_PROJECT,
    session=SessionId(bytes(16)),
    subject=SubjectId("alice"),
    by="subject:alice",
    data={"entry": "e1", "address": "192.0.2.1", "count": 3, "nothing": None},
)
OTHERS = {
    "type": EventType.VAULT_SAVED,
    "at": NOW + 1,
    "partition": Partition(8),
    "project": "00000000-0000-4000-8000-000000000002",
    "session": SessionId(bytes(15) + b"1"),
    "subject": "bob",
    "by": "operator",
    "data": {**TOLD.data, "count": 4},
}


def tag(message: bytes) -> bytes:
    return hmac.digest(b"the audit key", message, "sha256")[:16]


def text_of(message: bytes) -> str:
    return tag(message).hex()


def chain(*lengths: int) -> tuple[list[Link], Head]:
    """Return the links of a chain, each of so many events, and its head."""
    head, links = None, list[Link]()
    for turn, length in enumerate(lengths):
        at = NOW + 1000 * turn
        entries = [entry_of(n, msgspec.structs.replace(TOLD, at=at + n), tag) for n in range(1, 1 + length)]
        link, head = appended(
            head, entries, project=DEFAULT_PROJECT, partition=HOME, now=at, turn=turn, fence=1
        )
        links.append(link)
    assert head is not None
    return links, head.signed(tag)


def test_every_member_of_an_event_is_in_what_a_link_says_of_it() -> None:
    assert set(OTHERS) == set(Event.__struct_fields__)
    said = {entry_of(5, TOLD, tag).whole, entry_of(6, TOLD, tag).whole}
    for member, other in OTHERS.items():
        said.add(entry_of(5, msgspec.structs.replace(TOLD, **{member: other}), tag).whole)

    assert len(said) == 2 + len(OTHERS)


def test_what_is_hashed_is_what_every_version_hashes() -> None:
    kept = b'[7,5,1800000000000,"vault.read","00000000-0000-4000-8000-000000000001","%s"]' % (b"0" * 32)
    rest = b'["alice","subject:alice",{"address":"192.0.2.1","count":3,"entry":"e1","nothing":null}]'
    entry = entry_of(5, TOLD, tag)

    assert entry == (HOME, 5, NOW, tag(b"kept" + kept), tag(b"whole" + kept + rest))
    assert with_proof(5, TOLD, text_of).data[PROOF] == text_of(b"rewritten" + kept + rest)

    link, head = appended(None, [entry], project=DEFAULT_PROJECT, partition=HOME, now=NOW, turn=1, fence=1)
    told = struct.pack(">HQQ16s16s", *entry)
    said = f"sessiond|v1|audit|{DEFAULT_PROJECT}|1|{NOW}|".encode() + bytes(32) + told
    assert (link.packed, link.digest()) == (told, hashlib.sha256(said).digest())
    assert (head.digest, head.version, head.first, head.first_until) == (link.digest(), 1, 1, NOW)
    signed = b"head" + f"1|{NOW}|1|{NOW}|".encode() + link.digest() + bytes(32)
    assert head.signed(tag).signature == tag(signed)
    lease = Lease(holder="one", until=0, fence=1, sealed_until=NOW, purged_before=3)
    assert lease.signed(tag).signature == tag(f"lease|{NOW}|3".encode())


def test_links_head_and_lease_lie_where_they_are_looked_for() -> None:
    [link], head = chain(1)

    assert link.key == link_key(DEFAULT_PROJECT, HOME, 1)
    assert link.key == Key(Kind.AUDIT_LINK, HOME, DEFAULT_PROJECT, b"0000000000000001")
    assert head.key == head_key(DEFAULT_PROJECT, HOME) == Key(Kind.AUDIT_HEAD, HOME, DEFAULT_PROJECT, b"")
    lease = Lease(holder="one", until=0, fence=1)
    assert lease.key == lease_key() == Key(Kind.AUDIT_LEASE, CONTROL_PARTITION, DEFAULT_PROJECT, b"")
    assert link.sorted_at == link.sealed_at


def test_the_order_of_an_events_data_says_nothing() -> None:
    turned = msgspec.structs.replace(TOLD, data=dict(reversed(list(TOLD.data.items()))))

    assert entry_of(5, turned, tag) == entry_of(5, TOLD, tag)


def test_what_erasing_rewrites_keeps_its_first_hash_and_proves_itself() -> None:
    bare = forgotten(TOLD, SubjectId("alice"), SubjectId("erased_1"), ())
    rewritten = with_proof(5, bare, text_of)

    before, after = entry_of(5, TOLD, tag), entry_of(5, rewritten, tag)
    assert (after.kept, after.whole == before.whole) == (before.kept, False)
    assert is_proved(5, rewritten, text_of)
    assert not is_proved(5, bare, text_of)
    assert not is_proved(6, rewritten, text_of)
    for member, other in OTHERS.items():
        changed = {**rewritten.data, "count": 4} if member == "data" else other
        assert not is_proved(5, msgspec.structs.replace(rewritten, **{member: changed}), text_of)


def test_an_event_that_is_rewritten_twice_proves_the_last_time() -> None:
    once = with_proof(5, TOLD, text_of)
    twice = with_proof(5, msgspec.structs.replace(once, by="subject:erased_2"), text_of)

    assert is_proved(5, twice, text_of)
    assert twice.data[PROOF] != once.data[PROOF]


def test_each_link_names_the_one_before_and_the_head_the_last() -> None:
    links, head = chain(1, 2, 3)

    assert [link.previous for link in links] == [BEGINNING, links[0].digest(), links[1].digest()]
    assert (head.number, head.digest) == (3, links[2].digest())
    assert [len(link.entries()) for link in links] == [1, 2, 3]
    assert head.text() == f"3:{links[2].digest().hex()}"


def test_every_member_that_a_link_tells_is_in_its_hash() -> None:
    ([link], _) = chain(2)
    others = {
        "project": "00000000-0000-4000-8000-000000000002",
        "number": 2,
        "previous": b"1" * 32,
        "sealed_at": NOW + 1,
        "packed": link.packed[:-1] + b"?",
    }
    digests = {msgspec.structs.replace(link, **{name: other}).digest() for name, other in others.items()}

    assert len(digests | {link.digest()}) == 1 + len(others)


def test_a_cut_link_has_no_entries() -> None:
    ([link], _) = chain(2)

    with pytest.raises(ValueError, match="cut"):
        msgspec.structs.replace(link, packed=link.packed[:-1]).entries()


def test_every_member_that_a_head_tells_is_signed() -> None:
    _, head = chain(1, 1)
    others = {
        "number": 1,
        "digest": b"1" * 32,
        "sealed_at": NOW + 1,
        "first": 2,
        "before": b"1" * 32,
        "first_until": NOW + 9,
        "signature": bytes(16),
    }

    assert head.is_signed(tag)
    for name, other in others.items():
        assert not msgspec.structs.replace(head, **{name: other}).is_signed(tag), name


def test_a_chain_that_lost_its_first_link_begins_with_the_second() -> None:
    links, head = chain(1, 2, 3)

    shorter = without_first(head, links[0], links[1])

    assert (shorter.first, shorter.before) == (2, links[1].previous)
    assert shorter.first_until == links[1].newest_at() == NOW + 1002


def test_a_chain_goes_on_at_no_earlier_instant_than_it_came_to() -> None:
    _, head = chain(1)
    link, _ = appended(
        head,
        [entry_of(9, TOLD, tag)],
        project=DEFAULT_PROJECT,
        partition=HOME,
        now=NOW - 60_000,
        turn=2,
        fence=2,
    )

    assert link.sealed_at == NOW


def test_a_lease_is_for_one_until_it_is_over() -> None:
    lease = Lease(version=0, holder="", until=0, fence=0).taken("one", NOW)

    assert (lease.fence, lease.is_free(NOW), lease.is_free(NOW + LEASE_MS - 1)) == (1, False, False)
    assert lease.is_free(NOW + LEASE_MS)
    assert lease.released().is_free(NOW)
    assert lease.is_free(NOW - 3_600_000)  # whoever took it had a clock that is an hour ahead
    assert lease.renewed(NOW + 5000).fence == 1
    assert lease.taken("two", NOW + LEASE_MS).fence == 2


def test_every_change_of_a_lease_is_one_version_on() -> None:
    lease = Lease(version=3, holder="", until=0, fence=0)

    changed = [lease.taken("one", NOW), lease.renewed(NOW), lease.released()]

    assert [each.version for each in changed] == [4, 4, 4]
    assert [each.until for each in changed] == [NOW + LEASE_MS, NOW + LEASE_MS, 0]
    assert (changed[0].holder, lease.is_free(NOW)) == ("one", True)


def test_a_lease_that_ends_later_than_any_clock_explains_is_free() -> None:
    lease = Lease(holder="one", until=NOW + 4 * LEASE_MS, fence=1)

    assert not lease.is_free(NOW)
    assert lease.is_free(NOW - 1)


def test_what_a_check_relies_on_is_signed_in_the_lease() -> None:
    lease = Lease(holder="one", until=NOW, fence=1, sealed_until=NOW, purged_before=NOW).signed(tag)

    assert lease.is_signed(tag)
    assert not msgspec.structs.replace(lease, sealed_until=0).is_signed(tag)
    assert not msgspec.structs.replace(lease, purged_before=NOW + 1).is_signed(tag)


@pytest.mark.parametrize(
    "text",
    ["", ":", "1", "1:", "x:" + "0" * 64, "1:" + "0" * 62, "1:" + "0" * 66, "1:" + "g" * 64, "-1:" + "0" * 64,
     "\u0661:" + "0" * 64, "9" * 16 + ":" + "0" * 64, "1: " + "0" * 64],
)  # fmt: skip
def test_what_is_no_head_is_not_read_as_one(text: str) -> None:
    assert parse_head(text) is None


def test_a_head_is_read_as_it_is_written() -> None:
    digest = hashlib.sha256(b"x").digest()

    assert parse_head(f"12:{digest.hex()}") == (12, digest)


def test_a_head_says_how_far_its_chain_came_and_one_more_each_time() -> None:
    links, head = chain(1, 2)

    assert (head.version, head.number, head.first, head.before) == (2, 2, 1, BEGINNING)
    assert (head.first_until, head.sealed_at) == (links[0].newest_at(), NOW + 1000)
    assert parse_head("9" * 15 + ":" + "0" * 64) == (10**15 - 1, bytes(32))
