"""No text makes reading a token do anything but answer or refuse, and what is not a token's own text never passes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from sessiond.crypto import jws, operator, secrets, tokens
from sessiond.crypto.tokens import TokenKind
from sessiond.domain.errors import Unauthenticated
from sessiond.domain.ids import DEFAULT_PROJECT
from sessiond.services.token_forms import Form
from tests.deployment import MASTER_TOKEN, NOON, SERVER_KEY, TestDeployment
from tests.fuzzing.drawing import at_any_length, edited, hold

PIECES = [
    *"AZaz09-_=.+/: \n%\0é\u2028\ud800",
    "sda1_",
    "sdr1_",
    "sdb1_",
    "sds1_",
    "sdk1_",
    "sdm1_",
    "sdx1_",
    "session:",
    "eyJ",
    "eyJhbGciOiJub25lIn0",
    "..",
]


class Living:
    """A deployment with a session, its tokens of every form, and whatever else is written like one."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner()
        self.deployment = self.runner.run(TestDeployment.born())
        session = self.runner.run(self.deployment.issue())
        minted, exp = self.deployment.services.tokens, NOON + 600_000
        self.good = [minted.opaque(kind, session, expires_at=exp) for kind in TokenKind]
        self.good.append(minted.operator(session))
        self.good.append(
            minted.jwt(
                Form.NATIVE_JWT, session, now=NOON, expires_at=exp, first={"client_id": DEFAULT_PROJECT}
            )
        )
        self.seeds = [*self.good, SERVER_KEY, MASTER_TOKEN, "", "eyJ", "session:1800000000:"]

    def passes(self, text: str) -> bool:
        try:
            self.runner.run(self.deployment.services.sessions.recognise(text))
        except Unauthenticated:
            return False
        return True


@pytest.fixture(scope="module")
def living() -> Iterator[Living]:
    made = Living()
    yield made
    made.runner.close()


@at_any_length
def test_only_the_texts_that_were_minted_are_recognised(living: Living, examples: int) -> None:
    def check(text: str) -> None:
        assert living.passes(text) == (text in living.good)

    hold(lambda random: edited(random, living.seeds, PIECES), check, examples)


@at_any_length
def test_what_is_read_from_a_text_is_written_as_that_text(living: Living, examples: int) -> None:
    def check(text: str) -> None:
        opaque, known = tokens.parse(text), operator.parse(text)
        assert opaque is None or (len(text), text[:5]) == (91, opaque.kind.value)
        assert known is None or text.startswith(f"session:{known.exp}:")
        read = jws.peek(text)
        assert read is None or text.count(".") == 2
        secrets.mistyped_secret(text)

    hold(lambda random: edited(random, living.seeds, PIECES), check, examples)
