"""Progress of what takes long: a bar on a terminal, now and then a line anywhere else. On standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich import progress
from rich.console import Console

from sessiond.services.moving import Progress

_LINE_EVERY_SECONDS = 10.0


class _Bar:
    """A bar for each thing that is done, one below the other."""

    def __init__(self, shown: progress.Progress) -> None:
        self._shown = shown
        self._tasks: dict[str, progress.TaskID] = {}

    def __call__(self, now: Progress) -> None:
        """Move the bar."""
        task = self._tasks.get(now.doing)
        if task is None:
            task = self._tasks[now.doing] = self._shown.add_task(now.doing)
        self._shown.update(task, completed=now.done, total=now.total)


class _Lines:
    """A line when something new is done, and one each ten seconds."""

    def __init__(self) -> None:
        self._doing = ""
        self._next = 0.0

    def __call__(self, now: Progress) -> None:
        """Print a line where one is due."""
        present = time.monotonic()
        if now.doing == self._doing and present < self._next:
            return
        self._doing, self._next = now.doing, present + _LINE_EVERY_SECONDS
        sys.stderr.write(f"{now.doing}: {now.done} of {now.total}\n")
        sys.stderr.flush()


@contextmanager
def shown_progress() -> Iterator[_Bar | _Lines]:
    """Show what the yielded function is told."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    with bars(transient=False) as shown:
        yield _Bar(shown)


def bars(*, transient: bool = True) -> progress.Progress:
    """Return bars for a terminal, which go when they are done if *transient*; anywhere else nothing is shown."""
    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
    )
    return progress.Progress(
        *columns, console=Console(stderr=True), transient=transient, disable=not sys.stderr.isatty()
    )
