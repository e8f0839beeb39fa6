"""What a server can be asked to do: a command, or a script that it knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sessiond.storage.engines.redis.link import Command
from sessiond.storage.engines.redis.scripts import scripts


class Call(NamedTuple):
    """A command, and the slot of the keys in it."""

    slot: int
    command: Command


def script_call(name: str, slot: int, keys: Sequence[bytes], arguments: Sequence[bytes | str | int]) -> Call:
    """Return the call of a script; *keys* are all that it touches."""
    return Call(slot, ("EVALSHA", scripts()[name].digest, len(keys), *keys, *arguments))
