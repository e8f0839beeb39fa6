"""Invariant 9 of tokens.md as a machine: no token, PIN, device identifier or vault byte is in what an engine is given.

Every service that takes or makes a secret is used, in any order, with secrets that pass and with wrong ones. The store
is watched: in the end none of them, nor a part that would help to make one, in any form is in any argument that
the engine was ever called with, which records of retries are among; nor in a line of the log, nor in a refusal.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from sessiond.crypto.secrets import Secret
from sessiond.crypto.tokens import TokenKind
from sessiond.domain.callers import ServerCaller
from sessiond.domain.errors import Refusal, Unauthenticated
from sessiond.domain.ids import DEFAULT_PROJECT, SubjectId
from sessiond.domain.instants import later
from sessiond.domain.policies import LONGEST_TIMEOUT
from sessiond.domain.sessions import AccessFormat, Client, Session, SessionKind
from sessiond.domain.subjects import SubjectKind
from sessiond.services.orders import Order
from sessiond.services.token_forms import Form
from sessiond.services.vault.answers import NewToken
from tests.deployment import BY, MASTER_TOKEN, SERVER_KEY, TestDeployment
from tests.invariants.engines import empty_store
from tests.invariants.watched import Watched
from tests.system.canary import found

T = TypeVar("T")

APP = ServerCaller(project=DEFAULT_PROJECT, name="app", key_id="key")
CLIENT = Client(address="192.0.2.1")
CANARY = SubjectId("usr_canary")


def parts_of(value: object) -> Iterator[bytes]:
    """Yield everything that is written down of *value*, which an engine was given."""
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, Mapping):
        yield from parts_of(list(value.items()))
    elif isinstance(value, Iterable) and not isinstance(value, str):
        for each in value:
            yield from parts_of(each)
    elif isinstance(value, msgspec.Struct):
        yield from parts_of(msgspec.structs.asdict(value))
    else:
        yield str(value).encode()


class Kept(logging.Handler):
    """Keeps every line of the log."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[bytes] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record).encode())


class Secrets(RuleBasedStateMachine):
    """Whoever has secrets, and all that is told to an engine meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.told = {"server key": SERVER_KEY, "master token": MASTER_TOKEN}
        self.tokens: dict[str, str] = {}
        self.sessions: list[Session] = []
        self.entries: list[str] = []
        self.refusals: list[bytes] = []
        self.log = Kept()
        logging.getLogger().addHandler(self.log)

    def teardown(self) -> None:
        try:
            self.no_secret_is_in_what_left()
        finally:
            self.close()

    def close(self) -> None:
        logging.getLogger().removeHandler(self.log)
        self.run(self.watched.as_store.close())
        self.loop.close()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(coroutine)

    def refused(self, coroutine: Coroutine[Any, Any, object]) -> None:
        """Run what may be refused, and keep what is said then."""
        try:
            self.run(coroutine)
        except Refusal as refusal:
            self.refusals.append(f"{refusal!r} {refusal} {vars(refusal)}".encode())

    def tell(self, what: str) -> Secret:
        """Return a secret that nobody else has, to be told to a service."""
        text = f"{what}-{len(self.told)}-Zq7Yx4Wv1Ut8Sr5-{len(self.told)}"
        self.told[f"{what} {len(self.told)}"] = text
        return Secret(text)

    def keep(self, what: str, *texts: str) -> None:
        for text in texts:
            self.tokens[f"{what} {len(self.tokens)}"] = text

    @initialize()
    def begin(self) -> None:
        self.watched = Watched(self.run(empty_store()))
        self.deployment = self.run(TestDeployment.born(store=self.watched.as_store))
        self.services = self.deployment.services
        self.pin = self.tell("PIN")
        self.run(self.services.pins.add_user(DEFAULT_PROJECT, "till", self.pin, by=BY))
        self.somebody_signs_in(AccessFormat.OPAQUE, retried=True)

    # -- what can happen ----------------------------------------------------------------------------------------

    @rule(form=st.sampled_from(AccessFormat), retried=st.booleans())
    def somebody_signs_in(self, form: AccessFormat, *, retried: bool) -> None:
        order = Order(
            project=DEFAULT_PROJECT,
            subject=CANARY,
            session_kind=SessionKind.TOKENS,
            access_format=form,
            by=APP.initiator,
            client=CLIENT,
            create=SubjectKind.USER,
            rotates=True,
            idempotency_key=f"retry-{len(self.sessions)}" if retried else None,
            asked=b"the same",
        )
        session = self.run(self.services.issuing.issue(order)).session
        if retried:
            assert self.run(self.services.issuing.issue(order)).session == session
        self.mint(session)
        self.sessions.append(session)

    def mint(self, session: Session) -> None:
        now, until, tokens = self.deployment.clock.now(), session.expires_at, self.services.tokens
        for kind in TokenKind:
            self.keep(kind.name, tokens.opaque(kind, session, expires_at=until))
        first = {"client_id": DEFAULT_PROJECT}
        self.keep("JWT", tokens.jwt(Form.NATIVE_JWT, session, now=now, expires_at=until, first=first))

    @rule(data=st.data())
    def one_is_refreshed_used_and_exchanged(self, data: st.DataObject) -> None:
        session = data.draw(st.sampled_from(self.sessions))
        text = self.deployment.refresh_token(session)
        try:
            session = self.run(self.services.sessions.refresh(text, Form.REFRESH)).session
        except Unauthenticated:
            return
        self.mint(session)
        access = self.deployment.access_token(session)
        self.run(self.services.sessions.verify(access))
        exchanged = self.run(self.services.exchanging.exchange(access, DEFAULT_PROJECT, "canary"))
        self.keep("exchanged", exchanged.access_token)
        self.run(self.services.touches.flush())

    @rule()
    def the_operator_signs_in(self) -> None:
        _, text = self.run(self.services.operators.open_session(CLIENT))
        self.keep("operator", text.reveal())

    @rule()
    def the_operator_s_secrets_are_replaced(self) -> None:
        master = self.run(self.services.operators.rotate_master_token(by=BY))
        name = f"key {len(self.tokens)}"
        _, key = self.run(self.services.server_keys.add(DEFAULT_PROJECT, name, by=BY))
        self.keep("minted secret", master.reveal(), key.reveal())
        self.run(self.services.credentials.by_server_key(key.reveal(), project=None, address=None))
        self.run(self.services.credentials.by_master_token(master.reveal(), project=None, address=None))

    @rule(right=st.booleans(), known=st.booleans())
    def somebody_enters_a_pin(self, *, right: bool, known: bool) -> None:
        """Or, as people do, enters it where the name belongs."""
        pin = self.pin if right else self.tell("wrong PIN")
        name = "till" if known else pin.reveal()
        self.deployment.clock.advance(hours=1)
        login = self.services.pin_sign_in.login(DEFAULT_PROJECT, name, pin, client=CLIENT)
        if not (right and known):
            self.refused(login)
            return
        signed_in = self.run(login)
        texts = (signed_in.access_token, signed_in.refresh_token, signed_in.known_client)
        self.keep("PIN session", *(each.text.reveal() for each in texts))

    @rule()
    def another_pin_is_set(self) -> None:
        self.pin = self.tell("PIN")
        self.run(self.services.pins.set_pin(DEFAULT_PROJECT, "till", self.pin, by=BY))

    @rule(known=st.booleans())
    def a_device_comes(self, *, known: bool) -> None:
        devices = [text for name, text in self.told.items() if name.startswith("device")]
        identifier = devices[0] if devices and known else self.tell("device").reveal()
        _, token = self.run(self.services.devices.open_session(APP, identifier, CLIENT))
        self.keep("device token", token.reveal())

    @rule(retried=st.booleans())
    def a_token_is_kept_in_the_vault(self, *, retried: bool) -> None:
        new, key = self.vault_token(), f"save-{len(self.entries)}" if retried else None
        shown = self.run(self.services.vault.save(APP, new, idempotency_key=key))
        if retried:
            assert self.run(self.services.vault.save(APP, new, idempotency_key=key)).id == shown.id
        self.entries.append(shown.id)
        opened = self.run(self.services.vault.read(APP, shown.id))
        assert opened.token == new.token

    def vault_token(self) -> NewToken:
        expires_at = later(self.deployment.clock.now(), LONGEST_TIMEOUT)
        return NewToken(user=CANARY, token=self.tell("Kept+Tkn.vault"), expires_at=expires_at)

    @rule()
    def one_is_shown_where_it_does_not_belong(self) -> None:
        for text in [*self.told.values(), *self.tokens.values()][-4:]:
            self.refused(self.services.sessions.verify(text + "A"))
            self.refused(self.services.sessions.refresh(text, Form.STACK_REFRESH))
            self.refused(self.services.credentials.by_server_key(text + "A", project=None, address=None))
            self.refused(self.services.vault.read(APP, text))
            self.refused(self.services.pin_sign_in.refresh(text))

    @rule()
    def the_background_works(self) -> None:
        self.deployment.clock.advance(seconds=2)
        self.run(self.services.sealer.seal())
        self.run(self.services.refused_attempts.flush())

    # -- what must hold -----------------------------------------------------------------------------------------

    def no_secret_is_in_what_left(self) -> None:
        calls = [part for call in self.watched.calls for part in parts_of(tuple(call))]
        places = {
            "an argument of the engine": b"\0".join(calls),
            "the log": b"\0".join(self.log.lines),
            "a refusal": b"\0".join(self.refusals),
        }
        assert CANARY.encode() in places["an argument of the engine"]
        assert found(self, places) == []


Secrets.TestCase.settings = settings(max_examples=5, stateful_step_count=16, deadline=None)
TestSecrets = Secrets.TestCase
