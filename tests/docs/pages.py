"""Pages of the documentation: their links, and their shell lines with the answers that they show.

A page's `sh` blocks are one shell session. What a line answers is shown below it: as a comment
(`# 200 {"status":"ok"}`; for anything but curl its output), or as an `http` block after the block's last line. `…`
stands for anything within a string, or for any members. Ids and instants count as equal.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
DOCUMENTED_URL = "http://127.0.0.1:8000"

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NOT_RUN = ("make ", "pip ")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"^ *```.*?^ *```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
_STRING = re.compile(r'("(?:[^"\\]|\\.)*")')
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?Z")
_UNIX_SECONDS = re.compile(r"\b[1-9]\d{9}\b")


@dataclass(frozen=True)
class Shown:
    """What a page says a statement answers; *status* is 0 for anything but curl."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: str


@dataclass(frozen=True)
class Statement:
    """One logical line of the page's shell session."""

    text: str
    shown: Shown | None = None

    @property
    def is_curl(self) -> bool:
        """Whether it is a request whose answer is to be shown."""
        return self.text.startswith("curl ")


def name_of(page: Path) -> str:
    """Return the page's path in the repository."""
    return str(page.relative_to(ROOT))


def links(page: Path) -> list[str]:
    """Return the targets of the page's relative links."""
    prose = _CODE.sub("", page.read_text())
    return [target for target in _LINK.findall(prose) if not re.match(r"[a-z]+:", target)]


def anchors(page: Path) -> set[str]:
    """Return what a link to the page may name after its `#`."""
    headings = re.findall(r"^#+ (.+)$", _BLOCK.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def statements(page: Path) -> list[Statement]:
    """Return the page's shell session."""
    found: list[Statement] = []
    for language, body in _BLOCK.findall(page.read_text()):
        if language == "sh" and not body.startswith(_NOT_RUN):
            found += _in_block(body)
        elif language == "http" and found:
            found[-1] = replace(found[-1], shown=_response(body))
    return found


def _in_block(body: str) -> Iterator[Statement]:
    lines = iter(re.sub(r"\\\n\s*", "", body).splitlines())
    waiting: Statement | None = None
    for line in lines:
        if line.startswith("# ") and waiting is not None:
            yield replace(waiting, shown=_comment(waiting, line[2:]))
            waiting = None
            continue
        if waiting is not None:
            yield waiting
        waiting = Statement(line) if line and not line.startswith("#") else None
    if waiting is not None:
        yield waiting


def _comment(statement: Statement, text: str) -> Shown:
    if not statement.is_curl:
        return Shown(0, (), text)
    status, _, body = text.partition(" ")
    return Shown(int(status), (), compact(body))


def _response(block: str) -> Shown:
    head, _, body = block.partition("\n\n")
    first, *rest = head.splitlines()
    headers = tuple((name, value) for name, _, value in (line.partition(": ") for line in rest))
    return Shown(int(first.split()[1]), headers, compact(body))


def compact(text: str) -> str:
    """Return JSON (or what is left of it) without white space between its parts."""
    parts = _STRING.split(text.strip())
    return "".join(part if part.startswith('"') else re.sub(r"\s+", "", part) for part in parts)


def matches(shown: str, real: str) -> bool:
    """Tell whether *real* is what *shown* says, but for ids, instants and what it leaves out."""
    first, *rest = _alike(shown).split("…")
    pattern, before = re.escape(first), first
    for part in rest:
        pattern += ('[^"]*' if before.count('"') % 2 else ".*") + re.escape(part)
        before += part
    return re.fullmatch(pattern, _alike(real)) is not None


def _alike(text: str) -> str:
    for volatile, name in ((_UUID, "<id>"), (_INSTANT, "<instant>"), (_UNIX_SECONDS, "<seconds>")):
        text = volatile.sub(name, text)
    return text


def run(page: Path, folder: Path, url: str) -> Sequence[Shown | None]:
    """Run the page's shell session in *folder* against the server at *url*; return what each statement answered."""
    session = statements(page)
    script = ['curl() { command curl -sS "$@"; }']
    for number, statement in enumerate(session):
        if statement.is_curl:
            script.append(f"{statement.text} -D {number}.head -o {number}.body")
        elif statement.shown is not None:
            script.append(f"{{ {statement.text} ; }} > {number}.out")
        else:
            script.append(statement.text)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SESSIOND_")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(
        ["bash", "-eu", "-c", "\n".join(script).replace(DOCUMENTED_URL, url)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [_answered(statement, folder / str(number)) for number, statement in enumerate(session)]


def _answered(statement: Statement, stem: Path) -> Shown | None:
    if statement.is_curl:
        first, *rest = stem.with_suffix(".head").read_text().strip().splitlines()
        headers = tuple((name, value) for name, _, value in (line.partition(": ") for line in rest))
        body = stem.with_suffix(".body")
        return Shown(int(first.split()[1]), headers, compact(body.read_text()) if body.exists() else "")
    if statement.shown is not None:
        return Shown(0, (), stem.with_suffix(".out").read_text().strip())
    return None
