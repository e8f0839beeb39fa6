"""Starting: what a database, a wrapping key and a witness mean together. Nothing here reads them; it only decides.

The witness lies beside the wrapping key, apart from the database, and says how far the database had come. So a
database that was restored from a backup, replaced or lost is noticed before it serves a session that was ended since.
A snapshot that takes the witness along cannot be noticed (`docs/tokens.md` section 4).
"""

from __future__ import annotations

import enum

import msgspec

from sessiond.domain.errors import Misconfigured
from sessiond.domain.moving import Arriving, Departed
from sessiond.domain.projects import Epoch


class Witness(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far an installation had come when it was last seen: its epoch and its highest event sequence."""

    install_id: str
    epoch: Epoch
    newest_event: int


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a start finds. *recorded* is None for a database without a deployment record, else what it says.

    *has_key* tells whether there is a wrapping key, *opens* whether it opens the ring of *recorded*. *recovered* tells
    whether the database has an event of a recovery after what the witness saw, which explains another epoch. *departed*
    and *arriving* are the marks of a database that was left, and of one that is still being filled.
    """

    recorded: Witness | None
    witness: Witness | None
    has_key: bool
    opens: bool = False
    recovered: bool = False
    departed: Departed | None = None
    arriving: Arriving | None = None


class Start(enum.Enum):
    """What a start means."""

    FIRST = enum.auto()
    """Nothing is there yet: keys, server key and master token are made."""
    ORDINARY = enum.auto()
    """Everything fits."""
    UNWITNESSED = enum.auto()
    """The key opens the database, and nothing says how far it had come: another node, or a witness that was lost."""
    BEHIND = enum.auto()
    """The database is older than the witness: a new epoch ends every session, before anything else is written."""
    OTHER_EPOCH = enum.auto()
    """The database has another history than the witness: a new epoch ends every session."""
    DEPARTED = enum.auto()
    ARRIVING = enum.auto()
    KEY_MISSING = enum.auto()
    KEY_WRONG = enum.auto()
    DATABASE_EMPTY = enum.auto()
    DATABASE_FOREIGN = enum.auto()


def decide(found: Found) -> Start:
    """Return what a start with what was *found* means."""
    recorded, witness = found.recorded, found.witness
    if recorded is None:
        return Start.FIRST if witness is None else Start.DATABASE_EMPTY
    if witness is not None and witness.install_id != recorded.install_id:
        return Start.DATABASE_FOREIGN
    why_not = _shut(found)
    if why_not is not None:
        return why_not
    return Start.UNWITNESSED if witness is None else _compared(recorded, witness, recovered=found.recovered)


def _shut(found: Found) -> Start | None:
    """Return why nothing can be done with a database of ours, None where it can."""
    if found.arriving is not None:
        return Start.ARRIVING
    if found.departed is not None:
        return Start.DEPARTED
    if not found.has_key:
        return Start.KEY_MISSING
    return None if found.opens else Start.KEY_WRONG


def _compared(recorded: Witness, witness: Witness, *, recovered: bool) -> Start:
    if recorded.newest_event < witness.newest_event:
        return Start.BEHIND
    return Start.ORDINARY if recorded.epoch == witness.epoch or recovered else Start.OTHER_EPOCH


def require_startable(start: Start, *, database: str, secrets: str, elsewhere: str = "") -> None:
    """Raise `Misconfigured`, in one sentence that says what to do, when *start* must not go on.

    *database* and *secrets* name where both lie, without any secret; *elsewhere* is where a database was moved to.
    """
    sentence = _REFUSED.get(start)
    if sentence is not None:
        raise Misconfigured(sentence.format(database=database, secrets=secrets, elsewhere=elsewhere))


def require_written_on(start: Start, *, database: str) -> None:
    """Raise `Misconfigured` when nobody may write to the database before a new epoch was drawn.

    Each write adds events, so that a database that is behind its witness would soon look as if it were not.
    """
    if start is Start.BEHIND:
        raise Misconfigured(
            f"The database {database} is behind what its witness last saw (a restored backup?): run "
            "`sessiond recover`, or start the server, either of which ends every session; then do this again"
        )


_REFUSED = {
    Start.DEPARTED: (
        "What was in the database {database} was moved to {elsewhere}, and nothing may be started here again: point "
        "--database there, and leave {secrets} as it is"
    ),
    Start.ARRIVING: (
        "The database {database} is being filled by `sessiond migrate`: finish that with --switch before anything is "
        "started on it with {secrets}"
    ),
    Start.KEY_MISSING: (
        "The database {database} is in use, but its wrapping key is not in {secrets}: "
        "give SESSIOND_KEY or SESSIOND_KEY_FILE, or point --secrets-dir at the directory that has it"
    ),
    Start.KEY_WRONG: (
        "The wrapping key in {secrets} (or SESSIOND_KEY) does not open the key ring of {database}: "
        "give the key that belongs to this database, or the database that belongs to this key"
    ),
    Start.DATABASE_EMPTY: (
        "The database {database} is empty, but {secrets} belongs to an installation that was in use: restore its "
        "database, or point --database at it, or choose another --data-dir to begin anew"
    ),
    Start.DATABASE_FOREIGN: (
        "The database {database} is of another installation than the keys in {secrets}: "
        "point --database and --secrets-dir at the two that belong together"
    ),
}
