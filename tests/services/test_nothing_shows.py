"""What is on its way between functions prints without what it keeps: a log line or a trace may show any of it."""

from __future__ import annotations

from rich.pretty import pretty_repr

from sessiond.crypto import known_client
from sessiond.crypto.secrets import Secret
from sessiond.domain.ids import DEFAULT_PROJECT, Partition
from sessiond.domain.pins import Pin
from sessiond.services.pin_attempts import Claim
from sessiond.services.recovery import Birth
from tests.deployment import ALICE, MASTER_TOKEN, SERVER_KEY, WRAPPING_KEY, TestDeployment


def shown(value: object) -> str:
    return repr(value) + pretty_repr(value) + str(value)


def test_a_birth_shows_no_wrapping_key() -> None:
    birth = Birth(
        wrapping_key=WRAPPING_KEY,
        server_key=Secret(SERVER_KEY),
        seeded=True,
        master_token=Secret(MASTER_TOKEN),
    )

    assert repr(WRAPPING_KEY) not in shown(birth)


async def test_a_recognised_token_shows_no_nonce(deployment: TestDeployment) -> None:
    session = await deployment.issue()

    presented = deployment.services.tokens.recognise(deployment.access_token(session))

    assert repr(session.nonce) not in shown(presented)
    assert session.id.hex() in repr(presented)


def test_a_known_client_is_not_shown() -> None:
    text = known_client.mint(b"k" * 32, kid=1, subject=ALICE, issued_at=1, entropy=b"1234")
    client = known_client.parse(text)
    claim = Claim(project=DEFAULT_PROJECT, subject=ALICE, network="10.0.0.1", cookie=text)

    assert client is not None
    assert repr(client.tag) not in shown(client)
    assert text not in shown(claim)


def test_a_pin_shows_no_hash() -> None:
    pin = Pin(
        project=DEFAULT_PROJECT,
        subject=ALICE,
        partition=Partition(1),
        subject_born_at=1,
        hash="$argon2id$…",
        kid=1,
        set_at=1,
    )

    assert pin.hash not in shown(pin)
