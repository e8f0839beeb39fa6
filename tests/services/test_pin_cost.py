"""What a PIN costs; and the unknown name costs what a wrong PIN costs: as many hashes, of the same parameters."""

from __future__ import annotations

import argon2
import pytest
from argon2.low_level import verify_secret

from sessiond.crypto import pins
from sessiond.domain.ids import DEFAULT_PROJECT
from tests.pin_door import Door


@pytest.mark.parametrize("name", ["alice", "nobody"])
async def test_a_wrong_pin_and_an_unknown_name_cost_one_hash_each(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[argon2.Parameters] = []

    def watched(stored: bytes, secret: bytes, kind: argon2.Type) -> bool:
        hashed.append(argon2.extract_parameters(stored.decode()))
        return verify_secret(stored, secret, kind)

    door = await Door.with_alice()
    monkeypatch.setattr("sessiond.crypto.pins.verify_secret", watched)

    assert await door.knock(name, "9999") == "invalid_credentials"

    assert hashed == [argon2.extract_parameters(pins.DUMMY)]


async def test_a_pin_is_stored_at_the_price_of_owasps_first_choice() -> None:
    door = await Door.with_alice()

    [user] = await door.pins.list_users(DEFAULT_PROJECT)

    assert user.pin.hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
