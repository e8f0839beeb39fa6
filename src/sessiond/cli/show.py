"""How people see answers: tables and lines, with whatever clients sent made harmless."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from sessiond.domain.instants import Instant, rfc3339_seconds

_PIPE_WIDTH = 240
_NOTHING = "–"


def harmless(value: object) -> Text:
    """Return *value* as text without markup; what is not printable (a terminal's own codes) is escaped."""
    text = _NOTHING if value is None or value == "" else str(value)
    return Text("".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text))


def when(instant: Instant | None) -> str | None:
    """Return an instant as people and machines read it, RFC 3339 in whole seconds."""
    return None if instant is None else rfc3339_seconds(instant)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> RenderableType:
    """Return a table, or the sentence *empty* when there is no row."""
    body = [[harmless(value) for value in row] for row in rows]
    if not body:
        return harmless(empty)
    shown = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in body:
        shown.add_row(*row)
    return shown


def facts(pairs: Mapping[str, object]) -> RenderableType:
    """Return names and values, one pair a line."""
    shown = Table.grid(padding=(0, 2, 0, 0))
    shown.add_column(style="bold")
    shown.add_column(overflow="fold")
    for name, value in pairs.items():
        shown.add_row(harmless(name), harmless(value))
    return shown


def print_people(shown: Iterable[RenderableType]) -> None:
    """Print to standard output; a pipe gets wide lines, so that none is broken."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    for each in shown:
        console.print(each, markup=False, soft_wrap=not isinstance(each, Table))
