"""Moving the key ring to another wrapping key, in three steps; after a crash between any two it is simply repeated.

1. The next key lies durably beside the present one. 2. The ring in the database is sealed under it, in one write; from
then on servers open it with the next key. 3. The next key takes the place of the present one.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from sessiond.bootstrap.opening import Opened
from sessiond.bootstrap.wrapping_keys import WrappingKeys
from sessiond.config.secret_files import KEY_NAME, NEXT_KEY_NAME
from sessiond.config.secrets import KEY_BYTES, encode_key
from sessiond.crypto.ring import fingerprint
from sessiond.crypto.secrets import Secret
from sessiond.domain.errors import Misconfigured

_GIVE_NEXT = (
    "SESSIOND_KEY is kept outside of the secrets directory, and so must the next one be: give SESSIOND_NEXT_KEY "
    "(or _FILE) to every server, restart them, and do this again with both"
)
_SAME = "The key ring lies under SESSIOND_NEXT_KEY already, which may be known, too: give another one"
_OTHER_NEXT = "{path} holds another next key than SESSIOND_NEXT_KEY gives: remove one of the two"

Say = Callable[[str], None]


class Rewrapped(msgspec.Struct, frozen=True, kw_only=True):
    """The fingerprints of both wrapping keys. *kept* is where the former one lies now, None where it was given."""

    former: str
    present: str
    kept: str | None


async def rewrap(opened: Opened, say: Say, *, by: str) -> Rewrapped:
    """Seal the key ring under the next wrapping key. Every other secret, and every session, stays as it is."""
    services = opened.services
    former, target = await _prepared(opened, say)
    if services.keys.fingerprint != fingerprint(target):
        await services.ring_writing.reseal(target, by=by, facts={"wrapping_key": fingerprint(target)})
    return _finished(opened, former, target, say)


async def start_over(opened: Opened, say: Say, *, by: str) -> Rewrapped:
    """Refuse every key, draw new ones under the next wrapping key, and end every session: what held them is known."""
    services, entropy = opened.services, opened.entropy
    former, target = await _prepared(opened, say)
    if services.keys.fingerprint == fingerprint(target):
        # A former move was not finished. Its key is no secret either, so that it is only the first of two.
        _finished(opened, former, target, say)
        former, target = await _prepared(opened, say)
        if services.keys.fingerprint == fingerprint(target):
            raise Misconfigured(_SAME)
    facts: dict[str, str | int | None] = {"compromised": "every key", "wrapping_key": fingerprint(target)}
    await services.ring_writing.start_over(
        lambda ring, now: ring.renewed(entropy, now), target, by=by, facts=facts
    )
    rewrapped = _finished(opened, former, target, say)
    if opened.witnessed:
        opened.files.write_witness(await services.recovery.witness())
    return rewrapped


async def _prepared(opened: Opened, say: Say) -> tuple[bytes, bytes]:
    """Return the present and the next wrapping key, the latter kept durably."""
    keys, secrets = WrappingKeys(opened.loaded, opened.files), opened.loaded.secrets
    await opened.services.keys.reload(at_once=True)
    present, target = keys.present(), keys.next()
    if present is None:
        raise Misconfigured("There is no wrapping key to move from")
    if secrets.key is not None:
        if target is None or fingerprint(target) == fingerprint(present):
            raise Misconfigured(_GIVE_NEXT)
    else:
        target = target or opened.entropy.bytes(KEY_BYTES)
        kept = opened.files.add(NEXT_KEY_NAME, Secret(encode_key(target)))
        if kept.reveal().rstrip("=") != encode_key(target):
            raise Misconfigured(_OTHER_NEXT.format(path=opened.files.path(NEXT_KEY_NAME)))
    say(f"1 of 3: the next wrapping key ({fingerprint(target)}) is kept beside the present one.")
    return present, target


def _finished(opened: Opened, former: bytes, target: bytes, say: Say) -> Rewrapped:
    say("2 of 3: the key ring in the database is sealed under it.")
    kept = None
    if opened.loaded.secrets.key is None:
        kept = opened.files.promote_key(former=fingerprint(former))
        say(f"3 of 3: it has taken its place in {opened.files.path(KEY_NAME)}.")
    else:
        say("3 of 3: give it as SESSIOND_KEY from now on, and no longer as SESSIOND_NEXT_KEY.")
    return Rewrapped(
        former=fingerprint(former),
        present=fingerprint(target),
        kept=None if kept is None else str(kept),
    )
