"""Keys and randomness for tests: counted, so that a failure can be repeated."""

from __future__ import annotations

from hashlib import sha256

from sessiond.crypto import ring_contents
from sessiond.crypto.ring import KeyRing
from sessiond.crypto.ring_contents import RingContents
from sessiond.domain.ids import DEFAULT_PROJECT, ProjectId, SessionId
from sessiond.domain.instants import Instant, later
from sessiond.domain.keys import KNOWN_BEFORE_USE, KeyKind
from sessiond.services.ports import Entropy

NOW = 1_770_000_000_000
PROJECT = DEFAULT_PROJECT
OTHER_PROJECT = ProjectId("00000000-0000-4000-8000-000000000002")
SESSION = SessionId(bytes(range(16)))
NONCE = bytes(range(100, 116))
KEY = bytes(range(32))
OTHER_KEY = bytes(range(1, 33))


class CountedEntropy:
    """Bytes that differ at every call and are the same in every run."""

    def __init__(self, seed: str = "") -> None:
        self._seed = seed
        self._calls = 0

    def bytes(self, count: int) -> bytes:
        self._calls += 1
        drawn = b"".join(
            sha256(f"{self._seed}|{self._calls}|{i}".encode()).digest() for i in range(count // 32 + 1)
        )
        return drawn[:count]


def two_projects_contents() -> RingContents:
    """The keys of the default project and another."""
    entropy = CountedEntropy()
    contents = ring_contents.draw_contents(entropy)
    for project in (PROJECT, OTHER_PROJECT):
        contents = ring_contents.add_project(contents, project, entropy, NOW)
    return contents


def with_new_root(ring: KeyRing, project: ProjectId, entropy: Entropy, now: Instant) -> KeyRing:
    """The ring once *project* has rotated its root; *now* is the earliest instant of that."""
    return ring.rotated(project, KeyKind.ROOT, entropy, later(now, KNOWN_BEFORE_USE))


def two_projects() -> KeyRing:
    """A ring with the default project and another."""
    entropy = CountedEntropy()
    return KeyRing.initial(entropy, NOW).with_project(OTHER_PROJECT, entropy, NOW)
