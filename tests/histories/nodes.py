"""Two nodes of one deployment, each with a wall clock that a test may set."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

from tests.server_process import ServerProcess

WRAPPING_KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"
_STEPPING = Path(__file__).parent / "stepping"
_SECOND_NS = 1_000_000_000

Nodes = tuple[ServerProcess, ServerProcess]


@contextlib.contextmanager
def two_nodes(
    folder: Path, database: str, settings: Mapping[str, str] | None = None, *, patient: bool = False
) -> Iterator[Nodes]:
    """Start two nodes on *database*, one after the other, with the same *settings*."""
    common = {"SESSIOND_DATABASE": database, "SESSIOND_KEY": WRAPPING_KEY} | dict(settings or {})
    with ExitStack() as stack:
        one, other = (
            stack.enter_context(
                ServerProcess.started(
                    folder / name, settings=common | own_clock(folder / name), patient=patient
                )
            )
            for name in ("one", "other")
        )
        yield one, other


def set_clock(node: ServerProcess, *, ahead_seconds: int) -> None:
    """Set the node's wall clock so far ahead of the real one, or behind it."""
    with (node.data_dir.parent / "clock").open("r+b") as file:
        file.write((ahead_seconds * _SECOND_NS).to_bytes(8, signed=True))


def own_clock(folder: Path) -> dict[str, str]:
    """Make *folder*, and return the settings of a node there with a clock of its own."""
    folder.mkdir()
    clock = folder / "clock"
    clock.write_bytes(bytes(8))
    path = filter(None, [str(_STEPPING), os.environ.get("PYTHONPATH")])
    return {"TEST_CLOCK": str(clock), "PYTHONPATH": os.pathsep.join(path)}
