"""What changes of a subject, a project or a session are: each one version on, and nothing else than is said."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from sessiond.domain.callers import (
    OperatorCaller,
    ServerCaller,
    SubjectCaller,
    as_told_to,
    holder_label,
    manages,
)
from sessiond.domain.errors import InvalidRequest
from sessiond.domain.events import Event, EventType
from sessiond.domain.ids import DEFAULT_PROJECT, Partition, ProjectId, SubjectId
from sessiond.domain.projects import (
    LONGEST_NAME,
    LastEnding,
    Project,
    ServerKey,
    Tally,
    check_name,
    deployment_key,
    draw_epoch,
    project_key,
    server_key_key,
)
from sessiond.domain.records import Key, Kind, Record
from sessiond.domain.sessions import Actor, Client, Epochs, Session
from sessiond.domain.subjects import (
    OPERATOR,
    SUBJECT_RESERVED,
    Link,
    Subject,
    SubjectKind,
    check_not_operator,
    subject_key,
)
from tests.domain.samples import (
    ALICE,
    NOW,
    PARTITION,
    PROJECT_EPOCH,
    SUBJECT_EPOCH,
    a_session,
    a_standing,
    a_subject,
)

ELSEWHERE = ProjectId("00000000-0000-4000-8000-000000000002")
USERS = b"s" * 16


def changed(before: Record, after: Record) -> dict[str, object]:
    """Return the members that differ, as they are afterwards."""
    now = msgspec.structs.asdict(after)
    return {name: value for name, value in now.items() if value != getattr(before, name)}


@pytest.mark.parametrize(
    ("change", "members"),
    [
        (lambda subject: subject.enabled(), {"disabled_at": None}),
        (lambda subject: subject.signed_in(), {"abandoned_at": None}),
        (lambda subject: subject.abandoned(NOW), {"abandoned_at": NOW}),
        (lambda subject: subject.linked(ALICE, USERS), {"link": Link(ALICE, USERS)}),
        (lambda subject: subject.unlinked(), {"link": None}),
        (lambda subject: subject.disabled(now=NOW, epoch=8, by="shop"), {}),
        (lambda subject: subject.described(name="Bob"), {"name": "Bob"}),
        (lambda subject: subject.described(name=None), {"name": None}),
        (lambda subject: subject.described(profile={"age": 7}), {"profile": {"mail": "a@b", "age": 7}}),
        (
            lambda subject: subject.with_epoch(8, now=NOW, reason="a leak", by="shop"),
            {"epoch": 8, "last_ending": LastEnding(epoch=SUBJECT_EPOCH, at=NOW, reason="a leak", by="shop")},
        ),
    ],
)
def test_a_subject_changes_in_what_is_said_and_one_version_on(
    change: Callable[[Subject], Subject], members: dict[str, object]
) -> None:
    subject = a_subject(
        version=4,
        name="Alice",
        profile={"mail": "a@b"},
        disabled_at=NOW - 9,
        abandoned_at=NOW - 5,
        link=Link(SubjectId("carol"), USERS),
    )

    assert changed(subject, change(subject)) == members | {"version": 5}


def test_a_subject_that_is_disabled_has_all_its_sessions_ended() -> None:
    disabled = a_subject(version=4).disabled(now=NOW, epoch=8, by="shop")

    assert (disabled.disabled_at, disabled.epoch, disabled.version) == (NOW, 8, 5)
    assert disabled.last_ending == LastEnding(epoch=SUBJECT_EPOCH, at=NOW, reason="disabled", by="shop")


def test_a_projects_new_epoch_tells_how_the_one_before_ended() -> None:
    project = Project(id=ELSEWHERE, name="shop", epoch=PROJECT_EPOCH, created_at=7, version=2)

    told = LastEnding(epoch=PROJECT_EPOCH, at=NOW, reason="a leak", by="operator")
    after = project.with_epoch(8, now=NOW, reason="a leak", by="operator")
    assert changed(project, after) == {"epoch": 8, "last_ending": told, "version": 3}


@pytest.mark.parametrize(
    ("change", "members"),
    [
        (lambda session: session.renamed("desk"), {"client": Client(address="192.0.2.1", name="desk")}),
        (lambda session: session.under(8), {"epochs": Epochs(11, -22, 8), "version": 5}),
        (
            lambda session: session.revoked(now=NOW, reason="a leak"),
            {"revoked_at": NOW, "revoked_reason": "a leak", "version": 5},
        ),
        (
            lambda session: session.rotated(now=NOW, kid=9),
            {
                "generation": 1,
                "rotated_at": NOW,
                "prev_kid": 7,
                "kid": 9,
                "last_seen_at": NOW,
                "version": 5,
            },
        ),
        (
            lambda session: session.rotated(now=NOW - 2000, kid=7),
            {"generation": 1, "rotated_at": NOW - 2000, "prev_kid": 7, "version": 5},
        ),
        (lambda session: session.touched(seen_at=NOW, generation=0), {"last_seen_at": NOW}),
        (lambda session: session.touched(seen_at=NOW - 2000, generation=9), {}),
    ],
)
def test_a_session_changes_in_what_is_said(
    change: Callable[[Session], Session], members: dict[str, object]
) -> None:
    session = a_session(version=4, client=Client(address="192.0.2.1", name="phone"))

    assert changed(session, change(session)) == members


@pytest.mark.parametrize(("generation", "seen"), [(1, 2), (3, 3), (4, 4), (9, 4)])
def test_the_highest_generation_seen_is_kept_and_is_never_one_to_come(generation: int, seen: int) -> None:
    session = a_session(generation=4, seen_generation=2)

    assert session.touched(seen_at=NOW, generation=generation).seen_generation == seen


@pytest.mark.parametrize(
    ("record", "key", "owner", "sorted_at", "purge_at"),
    [
        (
            a_subject(subject_kind=SubjectKind.DEVICE),
            Key(Kind.SUBJECT, PARTITION, DEFAULT_PROJECT, b"alice"),
            "device",
            NOW - 5000,
            None,
        ),
        (
            Project(id=ELSEWHERE, name="shop", epoch=1, created_at=7),
            Key(Kind.PROJECT, Partition(0), ELSEWHERE, b""),
            None,
            7,
            None,
        ),
        (
            ServerKey(digest=b"d", project=ELSEWHERE, id="k", name="shop", created_at=7),
            Key(Kind.SERVER_KEY, Partition(0), DEFAULT_PROJECT, b"d"),
            ELSEWHERE,
            7,
            None,
        ),
        (
            Tally(project=ELSEWHERE, partition=PARTITION, name=b"n", members={"a": 5, "b": 9, "c": 7}),
            Key(Kind.TALLY, PARTITION, ELSEWHERE, b"n"),
            None,
            0,
            9,
        ),
        (
            Tally(project=ELSEWHERE, partition=PARTITION, name=b"n"),
            Key(Kind.TALLY, PARTITION, ELSEWHERE, b"n"),
            None,
            0,
            0,
        ),
    ],
    ids=["subject", "project", "server key", "tally", "empty tally"],
)
def test_engines_are_told_where_each_lies_and_by_what_it_is_found(
    record: Record, key: Key, owner: str | None, sorted_at: int, purge_at: int | None
) -> None:
    assert (record.key, record.owner, record.sorted_at) == (key, owner, sorted_at)
    assert (record.purge_at, record.expires_at_or_none, record.version) == (purge_at, None, 1)


def test_a_session_is_found_by_its_subject_and_ordered_by_its_birth() -> None:
    session = a_session()

    assert session.key == Key(Kind.SESSION, PARTITION, DEFAULT_PROJECT, session.id)
    assert (session.owner, session.sorted_at, session.expires_at_or_none) == (
        "alice",
        NOW - 1000,
        NOW + 3_600_000,
    )


def test_control_records_lie_in_the_first_partition() -> None:
    assert deployment_key() == Key(Kind.DEPLOYMENT, Partition(0), DEFAULT_PROJECT, b"")
    assert project_key(ELSEWHERE) == Key(Kind.PROJECT, Partition(0), ELSEWHERE, b"")
    assert server_key_key(b"d") == Key(Kind.SERVER_KEY, Partition(0), DEFAULT_PROJECT, b"d")
    assert subject_key(ELSEWHERE, SubjectId("é"), PARTITION) == Key(
        Kind.SUBJECT,
        PARTITION,
        ELSEWHERE,
        b"\xc3\xa9",
    )


def test_an_epoch_may_have_either_sign() -> None:
    assert draw_epoch(b"\xff" * 8) == -1
    assert draw_epoch(b"\0" * 7 + b"\7") == 7


@pytest.mark.parametrize("name", ["a", "shop 7", "~" * LONGEST_NAME])
def test_a_name_is_visible_ascii(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", " a", "a ", "é", "a\tb", "a" * (LONGEST_NAME + 1), "00000000-0000-4000-8000-000000000001"]
)
def test_a_name_that_a_header_cannot_say_or_that_looks_like_an_id_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_name(name)

    assert refused.value.code == "invalid_name"


def test_the_operators_id_is_reserved_in_the_default_project_alone() -> None:
    check_not_operator(ELSEWHERE, OPERATOR)
    check_not_operator(DEFAULT_PROJECT, ALICE)
    with pytest.raises(type(SUBJECT_RESERVED)) as refused:
        check_not_operator(DEFAULT_PROJECT, OPERATOR)
    assert refused.value.code == "subject_reserved"


# Callers


@pytest.mark.parametrize(
    ("actor", "label"),
    [
        (None, "subject:alice"),
        (Actor(name="support", reason="t"), "actor:support"),
        (Actor(name="Ops", reason="t", subject=SubjectId("ops")), "subject:ops"),
    ],
)
def test_events_name_who_holds_a_session(actor: Actor | None, label: str) -> None:
    standing = a_standing(a_session(actor=actor))
    caller = SubjectCaller(standing=standing)

    assert holder_label(standing.session) == caller.label == label
    assert (caller.project, caller.subject) == (DEFAULT_PROJECT, ALICE)


def test_events_name_applications_by_their_key_and_everybody_else_as_what_they_are() -> None:
    assert ServerCaller(project=ELSEWHERE, name="shop", key_id="k").label == "server_key:shop"
    assert ServerCaller(project=ELSEWHERE, name="shop").label == "public"
    assert OperatorCaller(project=ELSEWHERE).label == "operator"
    assert OperatorCaller(project=ELSEWHERE, name="cli").label == "cli"


def test_the_operators_sessions_are_known_to_the_operator_alone() -> None:
    server, operator = (
        ServerCaller(project=DEFAULT_PROJECT, name="s"),
        OperatorCaller(project=DEFAULT_PROJECT),
    )

    assert manages(operator, OPERATOR)
    assert manages(operator, ALICE)
    assert manages(server, ALICE)
    assert not manages(server, OPERATOR)
    assert manages(ServerCaller(project=ELSEWHERE, name="s"), OPERATOR)


@pytest.mark.parametrize(
    ("by", "project", "tells"),
    [
        ("subject:alice", DEFAULT_PROJECT, True),
        ("subject:operator", ELSEWHERE, True),
        ("subject:operator", DEFAULT_PROJECT, False),
        ("server_key:shop", DEFAULT_PROJECT, True),
        ("operator", DEFAULT_PROJECT, False),
        ("cli", ELSEWHERE, False),
    ],
)
def test_an_application_is_told_from_where_its_subjects_and_keys_did_something(
    by: str, project: ProjectId, tells: bool
) -> None:
    data = {"by_address": "192.0.2.7", "by_key": "k", "reason": "asked"}
    event = Event(
        type=EventType.POLICY_CHANGED, at=NOW, partition=PARTITION, project=project, by=by, data=data
    )

    told = as_told_to(ServerCaller(project=project, name="shop", key_id="k"), event)

    assert told.data == (data if tells else {"reason": "asked"})
    assert as_told_to(OperatorCaller(project=project), event) is event
