"""What an event keeps of somebody who was erased."""

import pytest

from sessiond.domain.events import Event, EventType, concerns, forgotten
from sessiond.domain.ids import DEFAULT_PROJECT, Partition, SubjectId, id_text, mint_id

ALICE, BOB, NOBODY = SubjectId("alice"), SubjectId("bob"), SubjectId("erased_1")
OWN = mint_id(now=1000, partition=Partition(1), entropy=bytes(8))
OTHER = mint_id(now=2000, partition=Partition(1), entropy=bytes(8))


def told(**members: object) -> Event:
    """Return an event with these members."""
    plain: dict[str, object] = {
        "type": EventType.SESSION_ISSUED,
        "at": 1,
        "partition": Partition(1),
        "project": DEFAULT_PROJECT,
        "by": "server_key:app",
    }
    return Event(**(plain | members))  # type: ignore[arg-type]  # each test names members of Event


def without_alice(event: Event) -> Event:
    """Return what is left when Alice, who had one session, is erased."""
    return forgotten(event, ALICE, NOBODY, {OWN})


def test_of_an_event_about_her_stays_only_what_is_impersonal() -> None:
    data = {
        "kind": "tokens",
        "address": "192.0.2.1",
        "reason": "Alice asked",
        "whatever": "x",
        "actor": "sue",
    }
    after = without_alice(told(subject=ALICE, by="subject:alice", data=data, session=OWN))
    assert (after.subject, after.by, after.session) == (NOBODY, f"subject:{NOBODY}", OWN)
    assert after.data == {"kind": "tokens", "actor": "sue"}


@pytest.mark.parametrize("member", ["user", "linked_from"])
def test_an_event_about_another_keeps_all_but_her_name(member: str) -> None:
    after = without_alice(told(subject=BOB, data={member: "alice", "address": "192.0.2.9"}))
    assert (after.subject, after.data) == (BOB, {member: NOBODY, "address": "192.0.2.9"})


def test_who_acted_by_a_session_of_hers_is_she_whatever_she_was_called() -> None:
    data = {"actor": "Alice of support", "actor_session": id_text(OWN)}
    after = without_alice(told(subject=BOB, data=data))
    assert after.data == {"actor": NOBODY, "actor_session": id_text(OWN)}


@pytest.mark.parametrize(
    ("by", "after"),
    [("subject:alice", f"subject:{NOBODY}"), ("actor:alice", f"actor:{NOBODY}")],
)
def test_from_where_she_did_something_to_another_is_forgotten_with_her(by: str, after: str) -> None:
    data = {"address": "192.0.2.1", "by_address": "192.0.2.1", "by_session": id_text(OWN), "reason": "asked"}
    left = without_alice(told(subject=BOB, by=by, data=data))
    assert (left.by, left.data) == (after, {"by_session": id_text(OWN), "reason": "asked"})


@pytest.mark.parametrize("data", [{"actor": "alice"}, {"actor": "A.", "actor_session": id_text(OWN)}])
def test_where_she_acted_her_clients_address_goes_and_her_applications_stays(data: dict[str, str]) -> None:
    told_of = told(subject=BOB, data=data | {"address": "192.0.2.1", "by_address": "10.0.0.7"})
    left = without_alice(told_of).data
    assert "address" not in left
    assert left["by_address"] == "10.0.0.7"


@pytest.mark.parametrize("by", ["server_key:app", "operator", "subject:bob", "actor:sue"])
def test_who_did_something_to_her_and_from_where_outlives_her(by: str) -> None:
    whereabouts = {"by_address": "10.0.0.7", "by_key": "key", "by_session": id_text(OTHER)}
    left = without_alice(
        told(subject=ALICE, by=by, data=whereabouts | {"reason": "x", "address": "192.0.2.1"})
    )
    assert (left.by, left.data) == (by, whereabouts)


@pytest.mark.parametrize("by", ["public", "stack client", "subject:alice", "actor:alice", "whoever"])
def test_an_address_of_whoever_may_be_she_does_not(by: str) -> None:
    left = without_alice(told(subject=ALICE, by=by, data={"by_address": "192.0.2.1", "kind": "tokens"}))
    assert left.data == {"kind": "tokens"}


def test_what_has_nothing_to_do_with_her_is_as_before() -> None:
    for event in (
        told(subject=BOB, by="subject:bob", data={"address": "alice", "kind": "alice"}),
        told(subject=BOB, data={"actor": "Alice", "actor_session": id_text(OTHER)}),
        told(),
    ):
        assert not concerns(event, ALICE, {OWN})
        assert without_alice(event) == event


def test_an_event_concerns_whom_it_is_about_by_whom_it_was_and_whom_it_names() -> None:
    assert concerns(told(subject=ALICE), ALICE)
    assert concerns(told(subject=BOB, by="subject:alice"), ALICE)
    assert concerns(told(subject=BOB, by="actor:alice"), ALICE)
    assert concerns(told(subject=BOB, data={"user": "alice"}), ALICE)
    assert concerns(told(subject=BOB, data={"actor": "A.", "actor_session": id_text(OWN)}), ALICE, {OWN})


def test_to_forget_twice_is_to_forget_once() -> None:
    once = without_alice(told(subject=ALICE, data={"user": "alice", "reason": "x"}))
    assert without_alice(once) == once
