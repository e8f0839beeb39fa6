"""Moving the key ring to another wrapping key, in three steps; after a crash between any two it is simply repeated.

1. The next key lies durably beside the present one, or a key service has wrapped it. 2. The ring in the database is
sealed under it, in one write; from then on servers open it with the next key. 3. It takes the place of the present one.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from sessiond.bootstrap.opening import Opened
from sessiond.config.secret_files import KEY_NAME, NEXT_KEY_NAME
from sessiond.config.secrets import KEY_BYTES, encode_key
from sessiond.crypto.ring import fingerprint
from sessiond.crypto.secrets import Secret
from sessiond.domain.errors import Misconfigured
from sessiond.domain.initiators import Initiator
from sessiond.services.keys import Wrapping

_GIVE_NEXT = (
    "SESSIOND_KEY is kept outside of the secrets directory, and so must the next one be: give SESSIOND_NEXT_KEY "
    "(or _FILE) to every server, restart them, and do this again with both"
)
_SAME = "The key ring lies under SESSIOND_NEXT_KEY already, which may be known, too: give another one"
_OTHER_NEXT = "{path} holds another next key than SESSIOND_NEXT_KEY gives: remove one of the two"
_UNSET = " Take key_service out of the settings: with it, doing this again moves the ring under its key."

Say = Callable[[str], None]


class Rewrapped(msgspec.Struct, frozen=True, kw_only=True):
    """The fingerprints of both wrapping keys. *kept* is where the former one lies now, None where it was given."""

    former: str
    present: str
    kept: str | None


class _Move(msgspec.Struct, frozen=True, kw_only=True):
    """A move that is prepared. *outside* tells whether its key is given from outside, and lies in no file of ours."""

    former: str
    target: Wrapping
    outside: bool = False

    @property
    def present(self) -> str:
        """The fingerprint of the key that the ring moves to."""
        return fingerprint(self.target.key)


async def rewrap(opened: Opened, say: Say, *, by: Initiator) -> Rewrapped:
    """Seal the key ring under the next wrapping key. Every other secret, and every session, stays as it is.

    Raises `Unavailable` (`key_service_unavailable`) where a key service is to wrap it and does not answer.
    """
    services = opened.services
    move = await _prepared(opened, say)
    if services.keys.fingerprint != move.present:
        await services.ring_writing.reseal(move.target, by=by, facts={"wrapping_key": move.present})
    return _finished(opened, move, say)


async def start_over(opened: Opened, say: Say, *, by: Initiator) -> Rewrapped:
    """Refuse every key, draw new ones under the next wrapping key, and end every session: what held them is known."""
    services, entropy = opened.services, opened.entropy
    move = await _prepared(opened, say)
    if services.keys.fingerprint == move.present:
        # A former move was not finished. Its key is no secret either, so that it is only the first of two.
        _finished(opened, move, say)
        move = await _prepared(opened, say)
        if services.keys.fingerprint == move.present:
            raise Misconfigured(_SAME)
    facts: dict[str, str | int | None] = {"compromised": "every key", "wrapping_key": move.present}
    await services.ring_writing.start_over(
        lambda ring, now: ring.renewed(entropy, now), move.target, by=by, facts=facts
    )
    rewrapped = _finished(opened, move, say)
    if opened.witnessed:
        opened.files.write_witness(await services.recovery.witness())
    return rewrapped


async def _prepared(opened: Opened, say: Say) -> _Move:
    """Return the move to the next key, kept durably: the one at hand, else one for the key service, else another."""
    keys = opened.wrapping_keys
    await opened.services.keys.reload(at_once=True)
    present, following = keys.present(), keys.next()
    wrapped = opened.services.keys.deployment.wrapped_key is not None
    former = opened.services.keys.fingerprint if wrapped or present is None else fingerprint(present)
    if following is None and keys.service is not None:
        key = opened.entropy.bytes(KEY_BYTES)
        sealed = keys.service.wrap(key, install_id=opened.services.keys.deployment.install_id)
        say(f"1 of 3: {opened.settings.key_service} has wrapped the next wrapping key ({fingerprint(key)}).")
        return _Move(former=former, target=Wrapping(key=key, wrapped=sealed))
    if present is None and following is None and not wrapped:
        raise Misconfigured("There is no wrapping key to move from")
    if opened.loaded.secrets.key is not None:
        if following is None or following == present:
            raise Misconfigured(_GIVE_NEXT)
        move = _Move(former=former, target=Wrapping(key=following), outside=True)
    else:
        target = following or opened.entropy.bytes(KEY_BYTES)
        kept = opened.files.add(NEXT_KEY_NAME, Secret(encode_key(target)))
        if kept.reveal().rstrip("=") != encode_key(target):
            raise Misconfigured(_OTHER_NEXT.format(path=opened.files.path(NEXT_KEY_NAME)))
        move = _Move(former=former, target=Wrapping(key=target))
    say(f"1 of 3: the next wrapping key ({move.present}) is kept beside the present one.")
    return move


def _finished(opened: Opened, move: _Move, say: Say) -> Rewrapped:
    say("2 of 3: the key ring in the database is sealed under it.")
    kept, unset = None, _UNSET if opened.settings.key_service is not None else ""
    if move.target.wrapped is not None:
        lying = opened.wrapping_keys.kept(KEY_NAME)
        kept = None if lying is None else opened.files.retire_key(former=fingerprint(lying))
        say("3 of 3: no server needs a wrapping key in a file or a variable any more.")
    elif move.outside:
        say(f"3 of 3: give it as SESSIOND_KEY from now on, and no longer as SESSIOND_NEXT_KEY.{unset}")
    else:
        kept = opened.files.promote_key(former=move.former)
        say(f"3 of 3: it has taken its place in {opened.files.path(KEY_NAME)}.{unset}")
    return Rewrapped(
        former=move.former,
        present=move.present,
        kept=None if kept is None else str(kept),
    )
