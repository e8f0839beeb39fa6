from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sessiond.cli.frame import Exit
from sessiond.cli.root import VERBS, load_verb

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "cli.md").read_text()


def all_verbs() -> list[str]:
    """Return every verb of the command line, `users add`."""
    found = []
    for name in VERBS:
        command = load_verb(name)
        inner = getattr(command, "commands", None)
        found += [name] if inner is None else [f"{name} {member}" for member in inner]
    return found


@pytest.mark.parametrize("verb", all_verbs())
def test_every_verb_is_documented(verb: str) -> None:
    assert f"| `sessiond {verb}" in PAGE


@pytest.mark.parametrize("verb", all_verbs())
def test_every_option_says_what_it_is_for(verb: str) -> None:
    name, _, member = verb.partition(" ")
    command = load_verb(name)
    if member:
        command = command.commands[member]

    assert command.help
    assert all(getattr(parameter, "help", None) for parameter in command.params)


def test_every_documented_verb_exists() -> None:
    rows = [
        line.split("`")[1].removeprefix("sessiond ")
        for line in PAGE.splitlines()
        if line.startswith("| `sessiond ")
    ]

    assert {" ".join(word for word in row.split() if word.islower() or "-" in word) for row in rows} == set(
        all_verbs()
    )


def test_every_exit_code_is_documented() -> None:
    assert all(f"| {code.value} |" in PAGE for code in Exit)


def test_the_groups_say_the_same_in_the_list_as_in_their_own_help() -> None:
    for name, summary in VERBS.items():
        command = load_verb(name)
        if hasattr(command, "commands"):
            assert command.help == summary


def test_help_imports_no_verb_and_no_heavy_library() -> None:
    program = (
        "import sys\n"
        "from sessiond.cli.root import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'msgspec', 'cryptography', 'uvicorn', 'asyncio', 'rich.markdown', 'sessiond.cli.users'}\n"
        "sys.exit(' '.join(heavy & set(sys.modules)) or 0)\n"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert all(name in done.stdout for name in VERBS)
