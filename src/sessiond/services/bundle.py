"""All services of one deployment, wired once: what the edge is handed."""

from __future__ import annotations

from collections.abc import Callable

from sessiond.domain.rules import Rules
from sessiond.services.accounts import Accounts
from sessiond.services.audit_sealing import Sealer
from sessiond.services.auditing import Auditing
from sessiond.services.belongings import Belongings
from sessiond.services.changing import Changing
from sessiond.services.claims import Claims
from sessiond.services.contention import Contention
from sessiond.services.credentials import Credentials
from sessiond.services.devices import Devices
from sessiond.services.erasing import Erasing
from sessiond.services.exchanging import Exchanging
from sessiond.services.explaining import Explaining
from sessiond.services.exports import Exports
from sessiond.services.impersonating import Impersonating
from sessiond.services.introspecting import Introspecting
from sessiond.services.issuing import Issuing
from sessiond.services.key_keeping import KeyKeeping
from sessiond.services.keys import Keys
from sessiond.services.known_clients import KnownClients
from sessiond.services.linking import Linking
from sessiond.services.listing import Listing
from sessiond.services.native_tokens import NativeTokens
from sessiond.services.operators import Operators
from sessiond.services.own_sessions import OwnSessions
from sessiond.services.pin_attempts import PinAttempts
from sessiond.services.pin_hashing import PinHashing
from sessiond.services.pin_sign_in import PinSignIn
from sessiond.services.pins import Pins
from sessiond.services.policies import Policies
from sessiond.services.ports import Clock, Entropy, MasterTokenKeeper, Observer, Store
from sessiond.services.projects import Projects, ServerKeys
from sessiond.services.rate_limits import RateLimits
from sessiond.services.recovery import Recovery
from sessiond.services.refused_attempts import RefusedAttempts
from sessiond.services.revoking import Revoking
from sessiond.services.ring_writing import RingWriting
from sessiond.services.rotating import Rotating
from sessiond.services.sessions import Sessions
from sessiond.services.stale_subjects import StaleSubjects
from sessiond.services.stepping_up import SteppingUp
from sessiond.services.subjects import Subjects
from sessiond.services.timelines import Timelines
from sessiond.services.tokens import Tokens
from sessiond.services.touches import Touches
from sessiond.services.vault import Vault


class Services:
    """The verbs of a deployment. *base_url* is the URL it is known by.

    *begin_hashing_thread* is called first by each thread that hashes PINs.
    """

    def __init__(
        self,
        *,
        store: Store,
        keys: Keys,
        clock: Clock,
        entropy: Entropy,
        observer: Observer,
        keeper: MasterTokenKeeper,
        rules: Rules,
        base_url: str,
        begin_hashing_thread: Callable[[], None] | None = None,
    ) -> None:
        self.store = store
        self.keys = keys
        self.clock = clock
        self.entropy = entropy
        self.rules = rules
        self.base_url = base_url
        self.contention = Contention()
        # Each group stands on those before it.
        self._wire_sessions(observer)
        self._wire_projects(observer)
        self._wire_own_sessions()
        self._wire_subjects()
        self._wire_operator(keeper)
        self._wire_devices()
        self._wire_audit()
        self._wire_pins(observer, begin_hashing_thread)
        self._wire_ring()

    def _wire_sessions(self, observer: Observer) -> None:
        """Wire what issues sessions, verifies and refreshes them, and makes one from another."""
        store, keys, clock, entropy = self.store, self.keys, self.clock, self.entropy
        policy, contention = self.rules.policy, self.contention
        self.touches = Touches(store)
        self.tokens = Tokens(keys, entropy, observer, base_url=self.base_url)
        self.issuing = Issuing(store, keys, clock, entropy, policy=policy, contention=contention)
        self.sessions = Sessions(
            store,
            keys,
            clock,
            tokens=self.tokens,
            touches=self.touches,
            observer=observer,
            policy=policy,
        )
        self.stepping_up = SteppingUp(
            store, keys, clock, entropy, sessions=self.sessions, contention=contention
        )
        self.impersonating = Impersonating(store, clock, rules=self.rules.impersonation)
        self.introspecting = Introspecting(self.sessions)
        self.exchanging = Exchanging(clock, sessions=self.sessions, tokens=self.tokens)

    def _wire_projects(self, observer: Observer) -> None:
        """Wire projects, what each of them decides, and the credentials of their servers."""
        store, keys, clock, entropy = self.store, self.keys, self.clock, self.entropy
        rules, contention = self.rules, self.contention
        self.projects = Projects(store, keys, clock, entropy, contention=contention)
        self.claims = Claims(store, clock, observer, projects=self.projects, contention=contention)
        self.native_tokens = NativeTokens(self.tokens, self.claims, entropy)
        self.policies = Policies(
            store, clock, projects=self.projects, contention=contention, configured=rules.policy
        )
        self.server_keys = ServerKeys(store, keys, clock, entropy, contention=contention)
        self.credentials = Credentials(keys, self.sessions, self.projects, self.server_keys)
        self.rate_limits = RateLimits(
            store, keys, clock, tokens=self.tokens, contention=contention, rules=rules.limits
        )

    def _wire_own_sessions(self) -> None:
        """Wire what lists, changes and ends sessions, for those whose they are and for servers."""
        store, keys, clock, entropy = self.store, self.keys, self.clock, self.entropy
        contention = self.contention
        self.accounts = Accounts(
            store, keys, clock, entropy, issuing=self.issuing, sessions=self.sessions, contention=contention
        )
        self.changing = Changing(store, clock, sessions=self.sessions, contention=contention)
        self.own_sessions = OwnSessions(
            store,
            clock,
            entropy,
            sessions=self.sessions,
            changing=self.changing,
            contention=contention,
        )
        self.listing = Listing(store, clock, sessions=self.sessions)

    def _wire_subjects(self) -> None:
        """Wire subjects, and what is kept of them."""
        store, keys, clock, entropy = self.store, self.keys, self.clock, self.entropy
        contention = self.contention
        self.subjects = Subjects(store, keys, clock, entropy, contention=contention)
        self.revoking = Revoking(
            store,
            clock,
            sessions=self.sessions,
            own=self.own_sessions,
            subjects=self.subjects,
            projects=self.projects,
        )
        self.belongings = Belongings(store, keys)
        self.exports = Exports(store, keys, clock, belongings=self.belongings, sessions=self.sessions)
        self.stale_subjects = StaleSubjects(store, clock, projects=self.projects, sessions=self.sessions)
        self.vault = Vault(store, keys, clock, entropy, contention=contention, rules=self.rules.vault)

    def _wire_operator(self, keeper: MasterTokenKeeper) -> None:
        """Wire the operator's sessions, and the deployment itself."""
        store, keys, clock, entropy = self.store, self.keys, self.clock, self.entropy
        self.recovery = Recovery(store, keys, clock, entropy, contention=self.contention)
        self.operators = Operators(
            store,
            keys,
            clock,
            entropy,
            issuing=self.issuing,
            subjects=self.subjects,
            tokens=self.tokens,
            keeper=keeper,
            contention=self.contention,
            rules=self.rules.operator,
        )

    def _wire_devices(self) -> None:
        """Wire devices, and their links to users."""
        store, keys, clock, rules = self.store, self.keys, self.clock, self.rules.device
        self.linking = Linking(
            store,
            clock,
            issuing=self.issuing,
            sessions=self.sessions,
            subjects=self.subjects,
            contention=self.contention,
            rules=rules,
        )
        self.devices = Devices(
            store,
            keys,
            clock,
            issuing=self.issuing,
            sessions=self.sessions,
            subjects=self.subjects,
            linking=self.linking,
            tokens=self.tokens,
            contention=self.contention,
            rules=rules,
        )

    def _wire_audit(self) -> None:
        """Wire what tells, seals and checks what happened."""
        store, keys, clock = self.store, self.keys, self.clock
        self.timelines = Timelines(store, clock)
        self.explaining = Explaining(
            store,
            keys,
            sessions=self.sessions,
            server_keys=self.server_keys,
            credentials=self.credentials,
            timelines=self.timelines,
        )
        self.sealer = Sealer(store, keys, clock, self.entropy)
        self.auditing = Auditing(store, keys)
        self.refused_attempts = RefusedAttempts(store, clock)

    def _wire_pins(self, observer: Observer, begin_thread: Callable[[], None] | None) -> None:
        """Wire PINs and the attempts at them, which go, too, when a subject is erased."""
        store, keys, clock, entropy, rules = self.store, self.keys, self.clock, self.entropy, self.rules.pin
        attempts = PinAttempts(store, keys, clock, observer, contention=self.contention, rules=rules)
        self.erasing = Erasing(
            store,
            keys,
            clock,
            belongings=self.belongings,
            subjects=self.subjects,
            devices=self.devices,
            attempts=attempts,
            contention=self.contention,
        )
        self.pin_hashing = PinHashing(keys, entropy, threads=rules.hashing_threads, begin_thread=begin_thread)
        self.pins = Pins(
            store,
            keys,
            clock,
            entropy,
            subjects=self.subjects,
            attempts=attempts,
            hashing=self.pin_hashing,
            contention=self.contention,
        )
        self.pin_sign_in = PinSignIn(
            store,
            clock,
            refused=self.refused_attempts,
            pins=self.pins,
            attempts=attempts,
            hashing=self.pin_hashing,
            known_clients=KnownClients(keys, entropy, rules=rules),
            issuing=self.issuing,
            sessions=self.sessions,
            tokens=self.tokens,
            rules=rules,
        )

    def _wire_ring(self) -> None:
        """Wire what adds, keeps and destroys the keys of the ring."""
        store, keys, clock, entropy = self.store, self.keys, self.clock, self.entropy
        self.ring_writing = RingWriting(store, keys, clock, entropy, contention=self.contention)
        writing = self.ring_writing
        self.rotating = Rotating(store, keys, clock, entropy, writing=writing)
        self.key_keeping = KeyKeeping(store, keys, clock, entropy, writing=writing, rules=self.rules.pin)
