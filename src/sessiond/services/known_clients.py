"""Known clients: browsers that keep a proof of a former sign-in, exempt from what strangers do to an account."""

from __future__ import annotations

from sessiond.crypto import known_client
from sessiond.crypto.known_client import KNOWN_CLIENT_ENTROPY
from sessiond.crypto.purposes import Purpose
from sessiond.domain.ids import ProjectId, SubjectId
from sessiond.domain.instants import Instant
from sessiond.domain.pins import known_since
from sessiond.domain.rules import PinRules
from sessiond.services.keys import Keys
from sessiond.services.ports import Entropy


class KnownClients:
    """Mints and checks the texts that make a browser known for one account."""

    def __init__(self, keys: Keys, entropy: Entropy, *, rules: PinRules) -> None:
        self._keys = keys
        self._entropy = entropy
        self._rules = rules

    def mint(self, project: ProjectId, subject: SubjectId, *, now: Instant) -> str:
        """Return the text for a browser that just signed in as *subject*."""
        kid = self._keys.ring.active_root(project).kid
        return known_client.mint(
            self._keys.ring.key(kid, Purpose.KNOWN_CLIENT),
            kid=kid,
            subject=subject,
            issued_at=now,
            entropy=self._entropy.bytes(KNOWN_CLIENT_ENTROPY),
        )

    def accepts(
        self, text: str, project: ProjectId, subject: SubjectId, *, pin_set_at: Instant, now: Instant
    ) -> bool:
        """Tell whether *text* was minted for *subject*, with the PIN of today, and not too long ago."""
        client = known_client.parse(text)
        if client is None:
            return False
        root = self._keys.ring.root(client.kid)
        if root is None or root.project != project:
            return False
        if not known_client.authentic(client, self._keys.ring.key(client.kid, Purpose.KNOWN_CLIENT), subject):
            return False
        return known_since(client.issued_at, pin_set_at, now=now, rules=self._rules)
