"""What people are asked on a terminal; a script says it beforehand."""

from __future__ import annotations

import getpass
import sys

from sessiond.domain.errors import Misconfigured, StateConflict

_LONGEST_LINE = 4096
_LONGEST_TOKEN = 16 * 1024


def confirm(question: str, *, yes: bool) -> None:
    """Ask *question* unless *yes*; raise `StateConflict` for anything but a yes, `Misconfigured` without a terminal."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise Misconfigured("This needs a yes: add --yes")
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise StateConflict("not_confirmed", "Nothing was changed.")


def read_token() -> str:
    """Return what is to be explained: the first line of standard input, or what was typed on the terminal, unseen."""
    if sys.stdin.isatty():
        return getpass.getpass("Token: ").strip()
    return sys.stdin.readline(_LONGEST_TOKEN).strip()


def read_pin(*, from_stdin: bool) -> str:
    """Return a PIN: the first line of standard input, or what was typed twice on the terminal, unseen."""
    if from_stdin:
        return sys.stdin.readline(_LONGEST_LINE).rstrip("\r\n")
    if not sys.stdin.isatty():
        raise Misconfigured(
            "There is no terminal to ask for the PIN on: add --pin-stdin and send it as one line"
        )
    first = getpass.getpass("PIN: ")
    if getpass.getpass("PIN again: ") != first:
        raise StateConflict("pins_differ", "The two PINs differ; nothing was changed.")
    return first
