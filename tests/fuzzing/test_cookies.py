"""Cookies: the one that is read is the one that a browser sent under exactly that name, whatever stands around it."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from sessiond.domain.errors import InvalidRequest
from sessiond.http.cookies import SetCookie, find_cookie
from tests.fuzzing.drawing import at_any_length, edited, hold

NAMES = ("sid", "__Host-sid", "__Host-Http-sid", "accessToken")
SEEDS = [
    "sid=1",
    "a=b; sid=1; c=d",
    "__Host-sid=x; sid=y",
    'sid="quoted; sid=inner"',
    "$Version=1; sid=1; $Path=/",
    "accessToken=a.b.c",
]
PIECES = [
    "; ",
    ";",
    "=",
    ",",
    "sid",
    "SID",
    "__Host-",
    "__host-sid=1",
    '"',
    "\\",
    "\t",
    " ",
    "\0",
    "$",
    "sid=2",
]


def by_the_letter(header: str, name: str) -> list[str]:
    """Return the values of *name* as RFC 6265 section 5.4 has them sent: pairs between semicolons."""
    pairs = (pair.partition("=") for pair in header.split(";"))
    return [value.strip(" \t") for left, equals, value in pairs if equals and left.strip(" \t") == name]


def some_headers(random: Random) -> list[str]:
    return [edited(random, SEEDS, PIECES) for _ in range(random.randint(0, 3))]


@at_any_length
def test_a_cookie_is_found_by_the_letter_or_refused_where_there_are_two(examples: int) -> None:
    def check(headers: Sequence[str]) -> None:
        sent = [header.encode("latin-1", "replace") for header in headers]
        for name in NAMES:
            expected = [value for each in sent for value in by_the_letter(each.decode("latin-1"), name)]
            try:
                found = find_cookie(sent, name)
            except InvalidRequest as refusal:
                assert (refusal.code, len(expected) > 1) == ("repeated_cookie", True)  # noqa: PT017  or it is answered
            else:
                assert found == (expected[0] if expected else None)
                assert len(expected) <= 1

    hold(some_headers, check, examples)


@at_any_length
def test_no_value_makes_a_second_cookie_or_attribute(examples: int) -> None:
    def check(value: str) -> None:
        try:
            line = SetCookie(name="sid", value=value).render(secure=True)
        except ValueError:
            return
        assert line == f"sid={value}; Path=/; Secure; HttpOnly; SameSite=Lax"
        assert line.count(";") == 4
        assert line.isprintable()

    seeds = ["abc", "a; Domain=evil.example", "a\r\nSet-Cookie: b=c"]
    hold(lambda random: edited(random, seeds, PIECES), check, examples)
