"""Whether a secret that somebody chose is too weak to protect anything. Minted ones never are."""

from __future__ import annotations

SHORTEST = 32
LONGEST = 512
_FEWEST_CHARACTERS = 4
_LONGEST_UNIT = 8
_DEFAULTS = (
    "changeme",
    "changethis",
    "replaceme",
    "replacethis",
    "placeholder",
    "password",
    "yoursecret",
    "letmein",
)


def weakness(text: str) -> str | None:
    """Return what is wrong with *text* as a secret, as the end of a sentence, or None when nothing is known to be."""
    if not text.isascii() or not text.isprintable() or " " in text:
        return "must consist of visible ASCII characters, without spaces"
    if len(text) < SHORTEST:
        return f"is shorter than {SHORTEST} characters"
    if len(text) > LONGEST:
        return f"is longer than {LONGEST} characters"
    if len(set(text)) < _FEWEST_CHARACTERS or _repeats(text):
        return "repeats the same few characters"
    letters = "".join(c for c in text.lower() if c.isalnum())
    if any(word in letters for word in _DEFAULTS):
        return "is an example or a default, which others know"
    return None


def _repeats(text: str) -> bool:
    return any(text == (text[:size] * len(text))[: len(text)] for size in range(1, _LONGEST_UNIT + 1))
