"""Everything that can be refused, as one tree with stable codes.

::

    SessiondError
    ├── Refusal                   shown to a client
    │   ├── InvalidRequest        the input's shape or value
    │   ├── Unauthenticated       no credential, or one that does not pass
    │   ├── Forbidden             a credential that passes and may not do this
    │   ├── NotFound              nothing there for this caller
    │   ├── StateConflict         the state of the thing forbids it
    │   ├── Throttled             too often; says when to come back
    │   └── Unavailable           ours: store, key or clock cannot be trusted now
    ├── Conflict                  somebody wrote first (between services and engines, never shown)
    └── Misconfigured             the server refuses to start, in one sentence

A refusal's `code` never changes once published; its `detail` is a sentence for people and holds no secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_NOTHING: Mapping[str, object] = MappingProxyType({})


class SessiondError(Exception):
    """The root of every error sessiond raises on purpose."""


class Refusal(SessiondError):
    """An error shown to a client.

    *code* is stable and lower snake case; *detail* says in one sentence what to do; *data* holds public facts
    that a dialect may show (an id, an instant, a limit).
    """

    def __init__(self, code: str, detail: str, data: Mapping[str, object] = _NOTHING) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.data = data

    def forget_where(self) -> None:
        """Drop where this was raised, and what it was raised after. Whoever catches a refusal and goes on, must.

        One that is a constant would otherwise gather the frames of every raise, with all that their variables hold.
        """
        error: BaseException | None = self
        while error is not None:
            error.__traceback__, error.__context__, error = None, None, error.__context__


class InvalidRequest(Refusal):
    """The input has a wrong shape or value; nothing was changed."""


class Unauthenticated(Refusal):
    """No credential, or one that does not pass."""


class Forbidden(Refusal):
    """The credential passes and may not do this."""


class NotFound(Refusal):
    """Nothing there for this caller: unknown and foreign look the same."""


class StateConflict(Refusal):
    """The state of the thing forbids the change (it exists, it belongs to another, it moved on)."""


class Throttled(Refusal):
    """Too often: *retry_after_seconds* says when the next attempt counts."""

    def __init__(
        self, code: str, detail: str, *, retry_after_seconds: int, data: Mapping[str, object] = _NOTHING
    ) -> None:
        super().__init__(code, detail, data)
        self.retry_after_seconds = retry_after_seconds


class Unavailable(Refusal):
    """The store, a key or the clock cannot be trusted now: refuse, and say so."""


class Conflict(SessiondError):
    """Somebody wrote first, or the record is gone; the caller reads and decides again."""


class Misconfigured(SessiondError):
    """The server refuses to start; the message is one sentence that says what to do."""
