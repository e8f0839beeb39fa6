"""Devices: a session for whoever shows an identifier, the same one while it lives."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial

import msgspec

from sessiond.crypto.purposes import Purpose
from sessiond.crypto.secrets import Secret
from sessiond.domain.addresses import network_of
from sessiond.domain.callers import OperatorCaller, ServerCaller
from sessiond.domain.devices import (
    COUNTED_FOR,
    LOWEST_ASSURANCE,
    counting,
    device_subject,
    hint_of,
    may_be_device,
    settled,
    with_place,
)
from sessiond.domain.errors import Forbidden
from sessiond.domain.ids import Partition, ProjectId, SubjectId
from sessiond.domain.initiators import Initiator
from sessiond.domain.instants import Instant, later
from sessiond.domain.projects import Tally
from sessiond.domain.rules import DeviceRules
from sessiond.domain.sessions import Client, Session, SessionKind
from sessiond.domain.subjects import SubjectKind
from sessiond.services.contention import Contention
from sessiond.services.issuing import Issuing
from sessiond.services.keys import Keys
from sessiond.services.linking import Linking
from sessiond.services.orders import Order
from sessiond.services.ports import Change, Clock, Store
from sessiond.services.sessions import Sessions
from sessiond.services.subjects import Subjects
from sessiond.services.token_forms import Form
from sessiond.services.tokens import Tokens

_NEW = b"devices.new|"
_LIVE = b"devices.live|"

DEVICE_DISABLED = Forbidden("subject_disabled", "this device is disabled")


class Devices:
    """Opens sessions for devices."""

    def __init__(
        self,
        store: Store,
        keys: Keys,
        clock: Clock,
        *,
        issuing: Issuing,
        sessions: Sessions,
        subjects: Subjects,
        linking: Linking,
        tokens: Tokens,
        contention: Contention,
        rules: DeviceRules,
    ) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._issuing = issuing
        self._sessions = sessions
        self._subjects = subjects
        self._linking = linking
        self._tokens = tokens
        self._contention = contention
        self._rules = rules

    async def open_session(
        self, caller: ServerCaller | OperatorCaller, identifier: str, client: Client
    ) -> tuple[Session, Secret]:
        """Return the device's session, opened if none lives, and a fresh token of it.

        While a session of a user lives that the device was linked to, it is that one.
        *identifier* has passed `check_identifier`. An address that brings devices without a server key is limited;
        a device whose session lives is never counted. Raises `Throttled` (`too_many_devices`), `Forbidden`
        (`subject_disabled`).
        """
        project = caller.project
        device = device_subject(self._keys.lookup(Purpose.LOOKUP_DEVICE, identifier, project))
        session = await self._linking.continued(project, device) or await self._live(project, device)
        if session is None:
            if isinstance(caller, ServerCaller) and caller.key_id is None:
                await self._take_place(project, device, client)
            order = self._order(project, device, identifier, client, caller.initiator)
            session = (await self._issuing.issue(order)).session
        return session, self._token(session)

    async def forget(self, project: ProjectId, device: SubjectId, addresses: Sequence[str]) -> None:
        """Take the device off the counts of *addresses*, where it may have come from."""
        if not may_be_device(device):
            return
        for network in sorted({network_of(address) for address in addresses}):
            for tally in self._tallies(project, network):
                await self._contention.settle(
                    (project, tally.name.hex()), partial(self._take_off, tally, device)
                )

    async def _take_off(self, empty: Tally, device: SubjectId) -> None:
        tally = await self._store.get(empty.key)
        if not isinstance(tally, Tally) or device not in tally.members:
            return
        rest = {name: until for name, until in tally.members.items() if name != device}
        await self._store.apply(Change.replacing(tally, _renewed(tally, rest)))

    def _order(
        self, project: ProjectId, device: SubjectId, identifier: str, client: Client, by: Initiator
    ) -> Order:
        return Order(
            project=project,
            subject=device,
            session_kind=SessionKind.DEVICE,
            by=by,
            client=client,
            create=SubjectKind.DEVICE,
            anonymous=True,
            hint=hint_of(identifier),
            absolute_timeout=self._rules.session_ttl,
            ceiling=self._rules.session_ttl,
            acr=LOWEST_ASSURANCE,
            find_existing=_is_devices,
        )

    def _token(self, session: Session) -> Secret:
        return Secret(
            self._tokens.jwt(
                Form.DEVICE,
                session,
                now=self._clock.now(),
                expires_at=session.expires_at,
                first={"session": session.id.hex()},
            )
        )

    async def _live(self, project: ProjectId, device: SubjectId) -> Session | None:
        live = await self._sessions.list_live(project, device)
        return next((session for session in live if _is_devices(session)), None)

    # -- what an address may bring ------------------------------------------------------------------------------

    async def _take_place(self, project: ProjectId, device: SubjectId, client: Client) -> None:
        """Count the device towards its address: as new if it was never seen, and as one with a live session."""
        known = await self._subjects.get(project, device)
        if known is not None and known.disabled_at is not None:
            raise DEVICE_DISABLED
        new, live = self._tallies(project, network_of(client.address or ""))
        await self._contention.settle(
            (project, live.name.hex()), lambda: self._count(device, new, live, is_new=known is None)
        )

    def _tallies(self, project: ProjectId, network: str) -> tuple[Tally, Tally]:
        """Return the counts of a network, empty: of new devices, and of those with a live session."""
        name = self._keys.lookup(Purpose.LOOKUP_COUNTER, f"device|{network}", project)
        partition = self._keys.partition(project, SubjectId(f"device|{name.hex()}"))
        return _tally(project, partition, _NEW + name), _tally(project, partition, _LIVE + name)

    async def _count(self, device: SubjectId, new: Tally, live: Tally, *, is_new: bool) -> None:
        now = self._clock.now()
        found = await self._store.get_many([new.key, live.key])
        new, live = (
            stored if isinstance(stored, Tally) else empty
            for stored, empty in zip(found, (new, live), strict=True)
        )
        changed = [await self._with_session(live, device, now)]
        if is_new:
            rate = with_place(
                new.members, device, until=later(now, COUNTED_FOR), most=self._rules.new_per_hour, now=now
            )
            changed.append(_renewed(new, rate))
        former = {new.key: new, live.key: live}
        puts = [tally for tally in changed if tally.members != former[tally.key].members]
        if puts:
            await self._store.apply(
                Change(
                    partition=live.partition,
                    expects={tally.key: former[tally.key].version for tally in puts},
                    puts=puts,
                )
            )

    async def _with_session(self, live: Tally, device: SubjectId, now: Instant) -> Tally:
        """Return *live* with a place for the device's session, looking for sessions that ended early if it is full."""
        members: Mapping[str, Instant] = counting(live.members, now)
        if device not in members and len(members) >= self._rules.max_sessions_per_ip:
            members = await self._without_ended(live.project, members, now)
        until = later(now, self._rules.session_ttl)
        return _renewed(
            live,
            with_place(members, device, until=until, most=self._rules.max_sessions_per_ip, now=now),
        )

    async def _without_ended(
        self, project: ProjectId, members: Mapping[str, Instant], now: Instant
    ) -> Mapping[str, Instant]:
        old = [
            SubjectId(name)
            for name, until in members.items()
            if settled(until, ttl=self._rules.session_ttl, now=now)
        ]
        live = await asyncio.gather(*(self._live(project, device) for device in old))
        ended = {device for device, session in zip(old, live, strict=True) if session is None}
        return {name: until for name, until in members.items() if name not in ended}


def _is_devices(session: Session) -> bool:
    return session.session_kind is SessionKind.DEVICE


def _tally(project: ProjectId, partition: Partition, name: bytes) -> Tally:
    return Tally(project=project, partition=partition, name=name, version=0)


def _renewed(tally: Tally, members: Mapping[str, Instant]) -> Tally:
    return msgspec.structs.replace(tally, members=members, version=tally.version + 1)
