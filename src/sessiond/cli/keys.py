"""`sessiond keys`: the keys that tokens are made with."""

from __future__ import annotations

from typing import Any

from sessiond.bootstrap.opening import Opened
from sessiond.cli.frame import Answer, group, verb
from sessiond.cli.show import table, when
from sessiond.domain.keys import DataKey, HeldKey, RootKey, SigningKey

app = group("The keys that tokens are made with.")


@verb(app, "list")
async def list_keys(opened: Opened) -> Answer:
    """List every key of the ring with its state; never a secret."""
    keys = [_facts(key) for key in opened.services.keys.ring.held()]
    shown = table(
        ("KIND", "ID", "PROJECT", "AUDIENCE", "STATE", "CREATED", "ACTIVATED", "RETIRED"),
        [tuple(key.values()) for key in keys],
        empty="The ring is empty.",
    )
    return Answer({"items": keys}, (shown,))


def _facts(key: HeldKey) -> dict[str, Any]:
    audience = None
    match key:
        case RootKey():
            kind, identifier = "root", str(key.kid)
        case SigningKey():
            kind, identifier, audience = "signing", key.kid, key.audience.value
        case DataKey():
            kind, identifier = "data", key.id
        case _:
            raise TypeError(f"a kind of key that is not shown: {type(key).__name__}")
    return {
        "kind": kind,
        "id": identifier,
        "project": key.project,
        "audience": audience,
        "state": key.state.value,
        "created_at": when(key.created_at),
        "activated_at": when(key.activated_at),
        "retired_at": when(key.retired_at),
    }
