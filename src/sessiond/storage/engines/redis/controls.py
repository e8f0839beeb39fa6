"""The control records: what nearly every request stands on, read once for all who need them, decoded when they change.

They lie in one partition. They are asked for after whoever needs them came, so that a change counts for whatever is
asked after it was acknowledged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import ClassVar, NamedTuple

from sessiond.domain.projects import CONTROL_PARTITION
from sessiond.domain.records import Key, Record
from sessiond.storage.batching import Outcome
from sessiond.storage.cache import Recent
from sessiond.storage.engines.redis.asking import Asking
from sessiond.storage.engines.redis.calls import values_of
from sessiond.storage.engines.redis.commands import Call
from sessiond.storage.engines.redis.layout import Layout, field, record_from, stamp_of

_MOST_REMEMBERED = 2000

Found = Mapping[Key, Record | None]
"""Control records that were read, None where absent."""


class _Known(NamedTuple):
    """A record that was read, and its stamp."""

    stamp: bytes
    record: Record


class ControlsRound:
    """A reading of control records, which may be joined until it is sent."""

    keys: ClassVar[Sequence[Key]] = ()

    def __init__(self, controls: Controls) -> None:
        self.joined = 0
        self._controls = controls
        self._wanted: dict[Key, None] = {}
        self._hearing: list[Callable[[Found | Exception], None]] = []
        self.told: Found | Exception | None = None
        """What was found, or why not; None until that is known."""

    def want(self, keys: Iterable[Key]) -> None:
        """Read these, too."""
        for key in keys:
            self._wanted[key] = None

    def tell(self, hear: Callable[[Found | Exception], None]) -> None:
        """Tell *hear*, which must not raise, what was found, or why nothing was."""
        self._hearing.append(hear)

    def calls(self) -> Sequence[Call]:
        """Return the call that reads what is wanted."""
        return (self._controls.sent(self._wanted),)

    def outcome(self, outcomes: Sequence[Outcome]) -> Outcome:
        """Tell everybody what was found."""
        try:
            found = self._controls.learned(self._wanted, outcomes[0])
        except Exception as error:  # noqa: BLE001  whatever it is, who asked must hear of it
            return self._tell(error)
        return self._tell(found)

    def fail(self, error: Exception) -> Outcome:
        """Tell everybody that nothing was."""
        return self._tell(error)

    def _tell(self, told: Found | Exception) -> Outcome:
        self.told = told
        for hear in self._hearing:
            hear(told)
        return None


class Controls:
    """Reads control records, all that wait for them at once."""

    def __init__(self, layout: Layout, asking: Asking) -> None:
        self._home = layout[CONTROL_PARTITION]
        self._asking = asking
        self._known: Recent[Key, _Known] = Recent(_MOST_REMEMBERED)
        self._open: ControlsRound | None = None

    def read(self, keys: Iterable[Key], hear: Callable[[Found | Exception], None]) -> None:
        """Ask in the next round: *hear*, which must not raise, is told the records at *keys* and others.

        All are as of one instant. Raises `Unavailable`.
        """
        waits = self._open is not None
        joined = self.next()
        if waits:
            self._asking.join(joined)
        joined.want(keys)
        joined.tell(hear)

    def next(self) -> ControlsRound:
        """Return the round that is sent next. Raises `Unavailable`."""
        if self._open is None:
            opened = ControlsRound(self)
            self._asking.put(self._home.slot, opened)
            self._open = opened
        return self._open

    def sent(self, keys: Iterable[Key]) -> Call:
        """Return the call that reads the records at *keys*: whoever comes from now on joins another round."""
        self._open = None
        return Call(self._home.slot, ("HMGET", self._home.records, *map(field, keys)))

    def learned(self, keys: Iterable[Key], outcome: Outcome) -> Found:
        """Return the records that a call came to. Raises `Unavailable`."""
        return {
            key: None if value is None else self._decoded(key, value)
            for key, value in zip(keys, values_of(outcome), strict=True)
        }

    def _decoded(self, key: Key, value: bytes) -> Record:
        """Return the record that *value* holds, decoded once for each writing of it."""
        stamp = stamp_of(value)
        known = self._known.get(key)
        if known is None or known.stamp != stamp:
            known = _Known(stamp, record_from(key.kind, value))
            self._known.put(key, known)
        return known.record
