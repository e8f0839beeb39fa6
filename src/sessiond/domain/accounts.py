"""Accounts: the several sessions of one browser, of which its one cookie holds the current.

A session's row lists the browser's other accounts as they were at its birth. A row that ended because another took its
place names that one, so that what tabs do at once is not lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import msgspec

from sessiond.domain.endings import ending
from sessiond.domain.errors import NotFound, StateConflict
from sessiond.domain.ids import SessionId, SubjectId
from sessiond.domain.instants import Instant, millis
from sessiond.domain.sessions import Browser, Session, SessionKind, Standing

MOST_ACCOUNTS = 8
MOST_SUCCESSORS = 8
"""How many successors are followed from a list to what may be used; to what is to end, all are."""

SETTLING = timedelta(minutes=1)
"""How long the tabs of a browser may take to agree: requests under way still have the cookie from before a switch."""

ACCOUNT_UNKNOWN = NotFound("account_unknown", "This browser has no such account.")
ACCOUNT_ENDED = StateConflict(
    "account_ended",
    "The account's session has ended, or another tab has switched to it: read the accounts again.",
)
TOO_MANY_ACCOUNTS = StateConflict(
    "too_many_accounts", f"A browser has at most {MOST_ACCOUNTS} accounts; sign out of one first."
)

SWITCHED = "switched"
REPLACED = "replaced"


class Joining(msgspec.Struct, frozen=True, kw_only=True):
    """What a sign-in makes of its browser.

    *accounts* stay beside it, sessions of the same subject are *replaced*, impersonations are *left*.
    """

    accounts: tuple[SessionId, ...] = ()
    replaced: tuple[SessionId, ...] = ()
    left: Sequence[Session] = ()


def accounts_of(session: Session) -> tuple[SessionId, ...]:
    """Return the browser's other accounts, as the session lists them."""
    return () if session.browser is None else session.browser.accounts


def successor_of(session: Session) -> SessionId | None:
    """Return the session that took this one's place in its browser, if any did."""
    return None if session.browser is None else session.browser.successor


def leads_on(ended: Session, holder: Session, now: Instant) -> bool:
    """Tell whether the list of *holder* still leads to what took the place of *ended*.

    Only where that happened about when the holder was born, or just now: as long as tabs settle. Whoever has an older
    cookie of the browser does not get at what its owner has signed in to since, or stepped up.
    """
    at, settling = ended.revoked_at, millis(SETTLING)
    return at is not None and (at <= holder.created_at + settling or now < at + settling)


def is_account(standing: Standing, now: Instant) -> bool:
    """Tell whether a browser can switch to the session: it lives in a cookie, and nobody but its subject acts."""
    session = standing.session
    return (
        session.session_kind is SessionKind.BROWSER
        and session.actor is None
        and ending(standing, now) is None
    )


def join(present: Sequence[Session], subject: SubjectId, *, impersonated: bool) -> Joining:
    """Return what a sign-in of *subject* makes of the live sessions that are *present* in the browser.

    A subject has one session there, so that the former is replaced; an impersonation is no session of the subject's,
    and ends with the next sign-in. Raises `TOO_MANY_ACCOUNTS`.
    """
    own = [each for each in present if each.actor is None]
    replaced = tuple(each.id for each in own if each.subject == subject and not impersonated)
    accounts = tuple(each.id for each in own if each.id not in replaced)
    if len(accounts) >= MOST_ACCOUNTS:
        raise TOO_MANY_ACCOUNTS
    left = [each for each in present if each.actor is not None]
    return Joining(accounts=accounts, replaced=replaced, left=left)


def beside(target: Session, left: Session, others: Sequence[Session]) -> tuple[SessionId, ...]:
    """Return the accounts beside *target* once the browser *left* another; an impersonation is left for good."""
    staying = [left, *others] if left.actor is None else others
    return tuple(each.id for each in staying if each.id != target.id)


def switched(
    former: Session,
    accounts: tuple[SessionId, ...],
    *,
    id: SessionId,  # noqa: A002  the member's name
    nonce: bytes,
    kid: int,
    now: Instant,
) -> tuple[Session, Session]:
    """Return *former* ended, and the session that takes its place: under a new id, of the same sign-in and limits."""
    remember = former.browser is None or former.browser.remember
    successor = msgspec.structs.replace(
        former.reborn(id=id, nonce=nonce, kid=kid, now=now),
        browser=Browser(remember=remember, accounts=accounts),
    )
    return ended_for(former, successor, reason=SWITCHED, now=now), successor


def ended_for(former: Session, successor: Session, *, reason: str, now: Instant) -> Session:
    """Return *former* ended because *successor* takes its place in the browser."""
    ended = former.revoked(now=now, reason=reason)
    browser = former.browser or Browser()
    return msgspec.structs.replace(ended, browser=msgspec.structs.replace(browser, successor=successor.id))
