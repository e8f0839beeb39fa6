"""Explaining: what a text is, how it fares at each step of admission, and what became of its session.

For whoever runs the deployment. It walks the way that verifying and refreshing walk, and only looks: nothing is
written, nothing counts as use, and no session ends by it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from sessiond.crypto.secrets import SecretKind, mistyped_secret
from sessiond.crypto.tokens import TokenKind
from sessiond.domain.admission import Admission
from sessiond.domain.callers import OperatorCaller
from sessiond.domain.endings import refuse_ended
from sessiond.domain.errors import NotFound, Refusal, Unauthenticated
from sessiond.domain.ids import ProjectId, id_text
from sessiond.domain.instants import Instant, rfc3339
from sessiond.domain.refresh import Verdict
from sessiond.domain.sessions import INVALID, Standing
from sessiond.domain.steps import UNREADABLE, Step, step_of
from sessiond.services.credentials import Credentials, acceptable
from sessiond.services.keys import Keys
from sessiond.services.ports import Store
from sessiond.services.projects import ServerKeys
from sessiond.services.sessions import CLOCK_UNSOUND, SUPERSEDED_REFRESH, JudgedRefresh, Sessions
from sessiond.services.timelines import Timeline, Timelines
from sessiond.services.token_forms import REFRESH_FORMS, Form
from sessiond.services.tokens import Presented, is_session_text
from sessiond.services.verifying import ROLLBACK, Judged

_MOST_EVENTS = 200

_FORMS = {
    Form.ACCESS: "access token",
    Form.NATIVE_JWT: "access token (JWT)",
    Form.BROWSER: "session cookie",
    Form.OPERATOR: "operator token",
    Form.DEVICE: "device token",
    Form.PIN_ACCESS: "access token of a PIN session",
    Form.STACK_ACCESS: "Stack access token",
    Form.STACK_RESTRICTED_ACCESS: "Stack access token, restricted",
    Form.STACK_ANONYMOUS_ACCESS: "Stack access token, anonymous",
    Form.REFRESH: "refresh token",
    Form.PIN_REFRESH: "refresh token of a PIN session",
    Form.STACK_REFRESH: "Stack refresh token",
    Form.EXCHANGED: "exchanged token, for another service",
}
_PREFIXES = {
    TokenKind.ACCESS.value: "access token",
    TokenKind.REFRESH.value: "refresh token",
    TokenKind.BROWSER.value: "session cookie",
    TokenKind.STACK_REFRESH.value: "Stack refresh token",
    SecretKind.SERVER_KEY.value: "server key",
    SecretKind.MASTER_TOKEN.value: "master token",
    "session:": "operator token",
    "eyJ": "JWT",
}
_OF_REFRESH = {
    Verdict.ROTATED: "the current one: it gets the next tokens",
    Verdict.RENEWED: "it does not rotate: it gets a fresh access token",
    Verdict.REPEATED: "the previous one, still tolerated: it gets the present tokens again",
    Verdict.REUSED: "replaced before: whoever presents it ends the session (reuse_detected)",
    Verdict.LOST: "replaced before, beyond the grace: whoever presents it ends the session (rotation_lost)",
    Verdict.ROLLED_BACK: "newer than what is stored: writes were lost, or a key was stolen",
    Verdict.UNSOUND_CLOCK: "how long ago it was replaced cannot be told: the clock stepped",
    Verdict.ENDED: "the session has ended",
}
_REFUSED: dict[Verdict, Refusal] = {
    Verdict.REUSED: SUPERSEDED_REFRESH,
    Verdict.LOST: SUPERSEDED_REFRESH,
    Verdict.ROLLED_BACK: ROLLBACK,
    Verdict.UNSOUND_CLOCK: CLOCK_UNSOUND,
}


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """One step: *passed* is None where it was not reached; *fact* is what was looked at."""

    step: Step
    passed: bool | None
    fact: str = ""


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """What a text is and how it fares. It holds nothing of the text itself.

    *refusal* None: it is accepted now. *steps* is empty for what is no token of a session. *presented* is None where
    the MAC or signature did not pass: nothing that such a text says is believed.
    """

    kind: str
    refusal: Refusal | None
    project: ProjectId | None = None
    name: str | None = None
    presented: Presented | None = None
    standing: Standing | None = None
    steps: Sequence[Checked] = ()
    timeline: Timeline | None = None


class Explaining:
    """Explains texts."""

    def __init__(
        self,
        store: Store,
        keys: Keys,
        *,
        sessions: Sessions,
        server_keys: ServerKeys,
        credentials: Credentials,
        timelines: Timelines,
    ) -> None:
        self._store = store
        self._keys = keys
        self._sessions = sessions
        self._server_keys = server_keys
        self._credentials = credentials
        self._timelines = timelines

    async def explain(self, text: str) -> Explanation:
        """Return what there is to say about *text*."""
        if not is_session_text(text):
            return await self._secret(text)
        try:
            presented = await self._sessions.recognise(text)
        except Unauthenticated as refusal:
            refusal.forget_where()
            return Explanation(kind=_by_prefix(text), refusal=refusal, steps=_walk(refusal, {}))
        standing = await self._store.find_session(presented.project, presented.session)
        refused, stands = await self._judged(text, presented.form)
        return Explanation(
            kind=_FORMS[presented.form],
            refusal=refused,
            project=presented.project,
            presented=presented,
            standing=standing,
            steps=_walk(refused, self._facts(presented, standing, stands)),
            timeline=await self._timeline(presented),
        )

    async def _secret(self, text: str) -> Explanation:
        """Explain what is no token of a session by its looks: a server key, the master token, or nothing known here."""
        kind = _by_prefix(text)
        if not acceptable(text) or mistyped_secret(text):
            return Explanation(kind=kind, refusal=UNREADABLE)
        key = await self._server_keys.known(text)
        if key is not None:
            revoked = None
            if key.revoked_at is not None:
                detail = f"The server key was revoked at {rfc3339(key.revoked_at)}."
                revoked = Unauthenticated(INVALID.code, detail)
            return Explanation(kind="server key", refusal=revoked, project=key.project, name=key.name)
        if await self._credentials.is_master(text):
            return Explanation(kind="master token", refusal=None)
        return Explanation(kind=kind, refusal=INVALID)

    async def _judged(self, text: str, form: Form) -> tuple[Refusal | None, str]:
        """Return how the token fares, and how its generation stands to the session's."""
        try:
            if form in REFRESH_FORMS:
                return _of_refresh(await self._sessions.judge_refresh(text))
            return _of_access(await self._sessions.judge(text, frozenset({form})))
        except Unauthenticated as refusal:
            refusal.forget_where()
            return refusal, ""

    def _facts(self, presented: Presented, standing: Standing | None, stands: str) -> dict[Step, str]:
        facts = {Step.EXPIRY: f"expires at {rfc3339(presented.expires_at)}"}
        if presented.kid is not None:
            facts[Step.KEY] = f"kid {presented.kid}, {self._state_of(presented.kid)}"
        if standing is None:
            return facts
        session = standing.session
        generations = f"the token's {presented.generation}, the session's {session.generation}"
        return facts | {
            Step.ROW: f"session {id_text(session.id)} of {session.subject}",
            Step.REVOKED: _revoked(session.revoked_at, session.revoked_reason),
            Step.ABSOLUTE: f"limit at {rfc3339(session.expires_at)}",
            Step.IDLE: "no idle limit"
            if session.idle_timeout_ms is None
            else f"last seen at {rfc3339(session.last_seen_at)}, "
            f"limit at {rfc3339(session.last_seen_at + session.idle_timeout_ms)}",
            Step.GENERATION: f"{generations}; {stands}" if stands else generations,
        }

    def _state_of(self, kid: int) -> str:
        root = self._keys.ring.root(kid)
        return "unknown" if root is None else root.state.value

    async def _timeline(self, presented: Presented) -> Timeline | None:
        caller = OperatorCaller(project=presented.project)
        try:
            return await self._timelines.page(caller, presented.session, limit=_MOST_EVENTS)
        except NotFound as refusal:
            refusal.forget_where()
            return None


def _walk(refusal: Refusal | None, facts: dict[Step, str]) -> Sequence[Checked]:
    """Return every step: passed up to the one that refused, and not reached after it."""
    if refusal is None or not isinstance(refusal, Unauthenticated):
        refused = None if refusal is None else Step.GENERATION
    else:
        refused = step_of(refusal)
    order = list(Step)
    reached = len(order) if refused is None else order.index(refused)
    return [
        Checked(
            step=step,
            passed=place < reached if place <= reached else None,
            fact=facts.get(step, "") if place <= reached else "",
        )
        for place, step in enumerate(order)
    ]


def _of_access(judged: Judged) -> tuple[Refusal | None, str]:
    match judged.admission:
        case Admission.NEWER:
            return ROLLBACK, _OF_REFRESH[Verdict.ROLLED_BACK]
        case Admission.PREVIOUS:
            return None, "the previous one, still tolerated"
        case _:
            return None, "the current one"


def _of_refresh(judged: JudgedRefresh) -> tuple[Refusal | None, str]:
    if judged.why is not None:
        return refuse_ended(judged.standing, judged.why), ""
    return _REFUSED.get(judged.verdict), _OF_REFRESH[judged.verdict]


def _revoked(at: Instant | None, reason: str | None) -> str:
    return "not revoked" if at is None else f"revoked at {rfc3339(at)}: {reason}"


def _by_prefix(text: str) -> str:
    """Return what *text* looks like; nothing of that has been checked."""
    kind = next((kind for prefix, kind in _PREFIXES.items() if text.startswith(prefix)), None)
    return "unknown text" if kind is None else f"{kind}, by its looks"
