"""What PostgreSQL's errors mean to a caller, in words that hold no data; and which of them certainly wrote nothing."""

from __future__ import annotations

import logging

import asyncpg

from sessiond.domain.errors import Unavailable
from sessiond.storage.engine import MOVED_AWAY, unavailable

_LOG = logging.getLogger("sessiond.storage.postgresql")

_LOST = (OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.InternalClientError)
_SHUT = (asyncpg.AdminShutdownError, asyncpg.CrashShutdownError, asyncpg.CannotConnectNowError)
_UNDONE = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError, asyncpg.LockNotAvailableError)
_DAMAGED = (asyncpg.InternalServerError, asyncpg.PostgresIOError, asyncpg.UndefinedFileError)

_FENCED = "SD001"

FAILURES = (asyncpg.PostgresError, *_LOST)
"""Everything that the driver raises."""

_MEANINGS: tuple[tuple[type[BaseException], str], ...] = (
    (asyncpg.InvalidPasswordError, "the database refuses the user or its password"),
    (asyncpg.InvalidAuthorizationSpecificationError, "the database refuses the user or its password"),
    (asyncpg.InvalidCatalogNameError, "the database does not exist"),
    (asyncpg.TooManyConnectionsError, "the database has no connection left"),
    (asyncpg.CannotConnectNowError, "the database is starting or stopping"),
    (asyncpg.AdminShutdownError, "the database is stopping or ended the connection"),
    (asyncpg.CrashShutdownError, "the database crashed"),
    (asyncpg.TargetServerAttributeNotMatched, "no server that may be written to was found"),
    (asyncpg.ReadOnlySQLTransactionError, "this is a standby, which neither writes nor answers strictly"),
    (asyncpg.InsufficientPrivilegeError, "the database does not allow its user to do this"),
    (asyncpg.InvalidSchemaNameError, "the namespace was removed"),
    (asyncpg.UndefinedFunctionError, "the namespace was removed or is of another version"),
    (asyncpg.UndefinedTableError, "the namespace was removed or is of another version"),
    (asyncpg.UndefinedObjectError, "the namespace was removed or is of another version"),
    (asyncpg.DiskFullError, "the disk of the database is full"),
    (asyncpg.InsufficientResourcesError, "the database has run out of memory, locks or connections"),
    (asyncpg.QueryCanceledError, "the database took too long"),
    (asyncpg.SerializationError, "others kept writing the same"),
    (asyncpg.DeadlockDetectedError, "others kept writing the same"),
    (asyncpg.LockNotAvailableError, "others kept writing the same"),
    (TimeoutError, "the database took too long"),
    (ConnectionRefusedError, "nothing listens where the database should be"),
)


def is_of_values(error: BaseException) -> bool:
    """Tell whether *error* is about what was to be stored, and so its caller's alone."""
    return isinstance(error, asyncpg.DataError | asyncpg.IntegrityConstraintViolationError | ValueError)


def is_of_one(error: BaseException) -> bool:
    """Tell whether *error* is one caller's alone: of its values, or of a damaged page, in which others need not lie.

    What took too long is everybody's: a read waits for no lock but a whole table's, and to ask for each takes longer.
    """
    return is_of_values(error) or isinstance(error.__cause__, _DAMAGED)


def may_repeat(error: BaseException, *, repeatable: bool) -> bool:
    """Tell whether what failed may be tried again, *repeatable* if doing it twice is as good as once.

    What the server says it rolled back may always be. After a lost connection a write may have been committed.
    """
    if isinstance(error, _UNDONE):
        return True
    return repeatable and isinstance(error, (*_LOST, *_SHUT)) and not isinstance(error, TimeoutError)


def ends_connection(error: BaseException) -> bool:
    """Tell whether the connection that said this is of no more use: it is closing, or leads to a standby."""
    return isinstance(error, (*_LOST, *_SHUT, asyncpg.ReadOnlySQLTransactionError))


def meaning(error: BaseException) -> str:
    """Return what *error* means, without any of the data it was about."""
    for kind, words in _MEANINGS:
        if isinstance(error, kind):
            return words
    if isinstance(error, _LOST):
        return "the connection to the database was lost"
    state = getattr(error, "sqlstate", None)
    if state == _FENCED:
        return MOVED_AWAY
    return f"PostgreSQL reports {state or type(error).__name__}"


def refused(error: BaseException) -> Unavailable:
    """Log *error* and return the refusal that callers get for it."""
    words = meaning(error)
    _LOG.error("the store cannot answer: %s (%s)", words, getattr(error, "sqlstate", type(error).__name__))
    refusal = unavailable(words)
    refusal.__cause__ = error
    return refusal
