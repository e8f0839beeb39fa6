"""What a Redis server's refusals mean to a caller, in words that hold no data."""

from __future__ import annotations

import logging

import hiredis

from sessiond.domain.errors import Unavailable
from sessiond.storage.engine import MOVED_AWAY, unavailable
from sessiond.storage.engines.redis.link import LinkLost
from sessiond.storage.engines.redis.nodes import kind_of

_LOG = logging.getLogger("sessiond.storage.redis")

_MEANINGS = {
    "CLUSTERDOWN": "the Redis Cluster is down or changing its master",
    "LOADING": "the Redis server is loading its data",
    "MASTERDOWN": "the Redis server has lost its master",
    "READONLY": "the Redis server has become a replica",
    "NOREPLICAS": "the Redis server has too few replicas to write",
    "MISCONF": "the Redis server cannot save to its disk",
    "OOM": "the Redis server has no memory left",
    "BUSY": "the Redis server is busy with a script",
    "NOAUTH": "the Redis server asks for credentials",
    "NOPERM": "the Redis server forbids what is needed",
    "FENCED": MOVED_AWAY,
    "TRYAGAIN": "the Redis Cluster is moving this part of the data",
}


class Moving(Unavailable):
    """What is asked for is being moved to another server: it was not done, and may be asked again in a moment."""

    def __init__(self) -> None:
        told = unavailable(_MEANINGS["TRYAGAIN"])
        super().__init__(told.code, told.detail)


def is_moving(answer: hiredis.ReplyError | LinkLost) -> bool:
    """Tell whether *answer* says that the data is being moved to another server."""
    return isinstance(answer, hiredis.ReplyError) and kind_of(answer) == "TRYAGAIN"


def refused(error: hiredis.ReplyError | LinkLost) -> Unavailable:
    """Log *error* and return the refusal that callers get for it; neither holds any data."""
    if isinstance(error, LinkLost):
        words = str(error)
    else:
        kind = kind_of(error)
        words = _MEANINGS.get(kind, f"the Redis server refuses with {kind}")
    _LOG.error("the store cannot answer: %s", words)
    refusal = unavailable(words)
    refusal.__cause__ = None
    return refusal
