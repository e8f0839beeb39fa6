"""What a server can be asked to do: a command, or a script that it knows.

A write has many arguments, some of which are the same each time. They are packed by `bulk` and `whole`, each as it goes
over the wire, and put together at the end: a third of what it takes to pack them all at once.
"""

from __future__ import annotations

import functools
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


def packed_script_call(
    name: str, slot: int, keys: Sequence[bytes], count: int, arguments: Sequence[bytes]
) -> Call:
    """Return the call of a script whose *count* keys, in one piece or several, and arguments are packed."""
    head = b"*%d\r\n" % (3 + count + len(arguments))
    return Call(slot, b"".join((head, _evalsha(name), whole(count), *keys, *arguments)))


def bulk(value: bytes) -> bytes:
    """Return *value* packed."""
    return b"$%d\r\n%b\r\n" % (len(value), value)


def whole(number: int) -> bytes:
    """Return *number* packed."""
    return _SMALL[number] if 0 <= number < len(_SMALL) else bulk(b"%d" % number)


_SMALL = [bulk(b"%d" % number) for number in range(64)]


@functools.cache
def _evalsha(name: str) -> bytes:
    return bulk(b"EVALSHA") + bulk(scripts()[name].digest)
