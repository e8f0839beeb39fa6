"""Users with a name and a PIN: add, list, change, unlock and delete them. Signing in has a file of its own.

A user is a subject whose id is its folded name; the PIN is a record beside it, and both change together.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import msgspec

from sessiond.crypto.secrets import Secret
from sessiond.domain.errors import Conflict, NotFound, StateConflict
from sessiond.domain.events import Event, EventType
from sessiond.domain.ids import ProjectId, SubjectId
from sessiond.domain.initiators import Initiator
from sessiond.domain.instants import Instant
from sessiond.domain.pins import Pin, check_name, check_pin, fold_name, pin_key
from sessiond.domain.projects import EPOCH_ENTROPY, draw_epoch
from sessiond.domain.records import Kind
from sessiond.domain.subjects import Subject, SubjectKind, check_not_operator, subject_key
from sessiond.services.contention import Contention
from sessiond.services.keys import Keys
from sessiond.services.pin_attempts import PinAttempts
from sessiond.services.pin_hashing import PinHashing
from sessiond.services.ports import Change, Clock, Entropy, Selection, Store
from sessiond.services.subjects import Subjects


class PinUser(msgspec.Struct, frozen=True):
    """A user and its PIN. *closed*: after too many failures, to all clients that are not known."""

    subject: Subject
    pin: Pin
    closed: bool = False


class Pins:
    """What can be asked of PIN users and done to them. A name is compared folded, in every method."""

    def __init__(
        self,
        store: Store,
        keys: Keys,
        clock: Clock,
        entropy: Entropy,
        *,
        subjects: Subjects,
        attempts: PinAttempts,
        hashing: PinHashing,
        contention: Contention,
    ) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._entropy = entropy
        self._subjects = subjects
        self._attempts = attempts
        self._hashing = hashing
        self._contention = contention

    # -- read ---------------------------------------------------------------------------------------------------

    async def find(self, project: ProjectId, subject: SubjectId) -> PinUser | None:
        """Return the user of this folded name, or None; *closed* is not looked up."""
        found, pin = await self._read(project, subject)
        if found is None or pin is None or not pin.belongs_to(found):
            return None
        return PinUser(found, pin)

    async def get_user(self, project: ProjectId, name: str) -> PinUser:
        """Return the user, or raise `NotFound` (`user_unknown`)."""
        user = await self.find(project, fold_name(name))
        if user is None:
            raise _unknown(name)
        [closed] = await self._attempts.closed(project, [user.subject.id])
        return msgspec.structs.replace(user, closed=closed)

    async def list_users(self, project: ProjectId, *, limit: int = 50, offset: int = 0) -> Sequence[PinUser]:
        """Return users, newest first. A page may be shorter where a subject was deleted and its PIN was not."""
        rows = await self._store.scan(Selection(kind=Kind.PIN, project=project), limit=limit, offset=offset)
        found = [row for row in rows if isinstance(row, Pin)]
        subjects = await self._store.get_many(
            [subject_key(project, pin.subject, pin.partition) for pin in found]
        )
        closed = await self._attempts.closed(project, [pin.subject for pin in found])
        return [
            PinUser(subject, pin, shut)
            for subject, pin, shut in zip(subjects, found, closed, strict=True)
            if isinstance(subject, Subject) and pin.belongs_to(subject)
        ]

    # -- change -------------------------------------------------------------------------------------------------

    async def add_user(self, project: ProjectId, name: str, pin: Secret, *, by: Initiator) -> PinUser:
        """Add a user. Raises `InvalidRequest` (`invalid_name`, `invalid_pin`), `StateConflict` (`user_exists`).

        A subject of this id that has no PIN is a conflict too: `set_pin` gives it one, on purpose.
        """
        subject = check_name(name)
        check_not_operator(project, subject)
        kid, text = await self._hashing.hashed(project, check_pin(pin.reveal()))
        now = self._clock.now()
        born = Subject(
            project=project,
            id=subject,
            partition=self._keys.partition(project, subject),
            epoch=draw_epoch(self._entropy.bytes(EPOCH_ENTROPY)),
            created_at=now,
            name=name,
        )
        _, orphan = await self._read(project, subject)
        record = _pin(born, text, kid, now, orphan)
        try:
            await self._write(born, record, by, EventType.SUBJECT_CREATED)
        except Conflict:
            raise StateConflict("user_exists", f"A user named {name!r} exists already.") from None
        await self._attempts.forget(project, subject)
        return PinUser(born, record)

    async def set_pin(self, project: ProjectId, name: str, pin: Secret, *, by: Initiator) -> PinUser:
        """Give the user another PIN: its sessions end, its failures are forgotten, and no client is known any more.

        A subject of kind user that has no PIN yet gets its first. Raises `NotFound` (`user_unknown`),
        `InvalidRequest` (`invalid_pin`), `StateConflict` (`no_user`).
        """
        subject = fold_name(name)
        kid, text = await self._hashing.hashed(project, check_pin(pin.reveal()))
        epoch = draw_epoch(self._entropy.bytes(EPOCH_ENTROPY))

        async def attempt() -> PinUser:
            found, former = await self._read(project, subject)
            if found is None:
                raise _unknown(name)
            if found.subject_kind is not SubjectKind.USER:
                raise StateConflict("no_user", f"The subject {subject!r} is no user.")
            now = self._clock.now()
            ended = found.with_epoch(epoch, now=now, reason="pin_set", by=by.label)
            record = _pin(ended, text, kid, now, former)
            await self._write(ended, record, by, EventType.SUBJECT_SESSIONS_REVOKED)
            return PinUser(ended, record)

        user = await self._contention.settle((project, subject), attempt)
        await self._attempts.forget(project, subject)
        return user

    async def disable(self, project: ProjectId, name: str, *, by: Initiator) -> None:
        """Disable the user: its sessions end at once, and no PIN opens a new one."""
        await self._subjects.disable(project, (await self.get_user(project, name)).subject.id, by=by)

    async def enable(self, project: ProjectId, name: str, *, by: Initiator) -> None:
        """Enable the user again; sessions that ended stay ended."""
        await self._subjects.enable(project, (await self.get_user(project, name)).subject.id, by=by)

    async def unlock(self, project: ProjectId, name: str, *, by: Initiator) -> None:
        """Forget the user's failures: no wait is left, and a closed account is open."""
        user = await self.get_user(project, name)
        await self._attempts.unlock(project, user.subject.id)
        event = self._event(user.subject, EventType.PIN_UNLOCKED, by)
        await self._store.apply(Change.telling(event))

    async def delete_user(self, project: ProjectId, name: str, *, by: Initiator) -> None:
        """Delete the user with its PIN, counters and vault entries; its sessions are dead at once."""
        subject = (await self.get_user(project, name)).subject.id

        async def attempt() -> None:
            found, pin = await self._read(project, subject)
            if found is None:
                raise _unknown(name)
            change = await self._subjects.deletion(found, by=by)
            if pin is not None:
                change = msgspec.structs.replace(
                    change,
                    expects={**change.expects, pin.key: pin.version},
                    deletes=[*change.deletes, pin.key],
                )
            await self._store.apply(change)

        await self._contention.settle((project, subject), attempt)
        await self._attempts.forget(project, subject)

    async def renew(self, user: PinUser, pin: str) -> None:
        """Hash the PIN under the active key where it was under a retired one, so that the old key can go."""
        if user.pin.kid == self._keys.ring.active_root(user.subject.project).kid:
            return
        kid, text = await self._hashing.hashed(user.subject.project, pin)
        renewed = msgspec.structs.replace(user.pin, hash=text, kid=kid, version=user.pin.version + 1)
        change = Change(partition=renewed.partition, expects={renewed.key: user.pin.version}, puts=[renewed])
        with contextlib.suppress(Conflict):
            await self._store.apply(change)

    # -- inside -------------------------------------------------------------------------------------------------

    async def _read(self, project: ProjectId, subject: SubjectId) -> tuple[Subject | None, Pin | None]:
        partition = self._keys.partition(project, subject)
        found, pin = await self._store.get_many(
            [subject_key(project, subject, partition), pin_key(project, subject, partition)]
        )
        return found if isinstance(found, Subject) else None, pin if isinstance(pin, Pin) else None

    async def _write(self, subject: Subject, pin: Pin, by: Initiator, what: EventType) -> None:
        """Write both, each one version on, or raise `Conflict`."""
        events = [self._event(subject, each, by) for each in (what, EventType.PIN_SET)]
        await self._store.apply(
            Change(
                partition=subject.partition,
                expects={subject.key: subject.version - 1, pin.key: pin.version - 1},
                puts=[subject, pin],
                events=events,
            )
        )

    def _event(self, subject: Subject, what: EventType, by: Initiator) -> Event:
        return by.did(
            what,
            at=self._clock.now(),
            partition=subject.partition,
            project=subject.project,
            subject=subject.id,
        )


def _pin(subject: Subject, text: str, kid: int, now: Instant, former: Pin | None) -> Pin:
    return Pin(
        project=subject.project,
        subject=subject.id,
        partition=subject.partition,
        subject_born_at=subject.created_at,
        hash=text,
        kid=kid,
        set_at=now,
        version=1 if former is None else former.version + 1,
    )


def _unknown(name: str) -> NotFound:
    return NotFound("user_unknown", f"There is no user named {name!r}.")
