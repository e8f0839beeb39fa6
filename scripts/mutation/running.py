"""Running: each mutant in a process of its own, against the tests that reach the change, until one fails."""

from __future__ import annotations

import ast
import builtins
import gc
import inspect
import os
import resource
import signal
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import CodeType, FunctionType
from typing import NoReturn

import pytest
from _pytest.runner import runtestprotocol

from scripts.mutation.mutants import REACHED, ROOT, Mutant, Place, Statement

MOST_TEST_SECONDS = 6.0
"""Processor time that the tests of one mutant took without it, in all, at most: the quickest are taken first."""

MOST_BYTES = 4 << 30
"""What a mutant that never ends may take of memory."""

SURVIVING = ("survived", "not reached", "untried")

Test = tuple[int, pytest.Item, float]
"""Its number, itself, and the seconds of processor time that it took without a mutant."""


class Runner:
    """A pytest plugin that runs the tests once to learn, and then for each mutant in a process of its own."""

    def __init__(self, mutants: Sequence[Mutant], watched: Mapping[Place, CodeType]) -> None:
        self._mutants = mutants
        self._watched = watched
        self.verdicts: dict[str, list[Mutant]] = defaultdict(list)
        self._noticing: dict[Place, list[int]] = defaultdict(list)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        """Let hypothesis neither shrink nor remember what fails."""
        from hypothesis import Phase, settings  # noqa: PLC0415  pytest warns of what was imported before it

        settings.register_profile(
            "mutation",
            settings.get_profile("sessiond"),
            database=None,
            phases=(Phase.explicit, Phase.generate),
        )
        settings.load_profile("mutation")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Try every mutant."""
        functions = _live_functions(set(self._watched))
        reaching, seconds = self._learn(session.items, functions)
        gc.freeze()
        since = time.monotonic()
        for number, mutant in enumerate(self._mutants, 1):
            useful = reaching[mutant.statement]
            if mutant.place in functions and useful:
                known = [test for test in self._noticing[mutant.place] if test in useful]
                others = sorted(useful - set(known), key=seconds.__getitem__)
                tests = [
                    (test, session.items[test], seconds[test]) for test in _within(known + others, seconds)
                ]
                verdict = self._try(mutant, functions[mutant.place], tests)
            else:
                verdict = "not reached"
            self.verdicts[verdict].append(mutant)
            if verdict in SURVIVING:
                print(f"{verdict}: {mutant.where}", flush=True)
            if number % 200 == 0:
                print(f"# {number} of {len(self._mutants)} in {time.monotonic() - since:.0f} s", flush=True)
        return True

    def _learn(
        self, items: Sequence[pytest.Item], functions: Mapping[Place, FunctionType]
    ) -> tuple[dict[Statement, set[int]], dict[int, float]]:
        """Return the tests that reach each statement, and the time of each test; in a process of its own, too."""
        reading, writing = os.pipe()
        if (child := os.fork()) == 0:
            os.close(reading)
            with os.fdopen(writing, "w") as out:
                reached: set[Statement] = set()
                setattr(builtins, REACHED, reached.add)
                for place, function in functions.items():
                    _put(function, self._watched[place])
                for number, item in enumerate(items):
                    reached.clear()
                    began = time.process_time()
                    passed = _passes(item, items[number + 1] if number + 1 < len(items) else None)
                    out.write(repr((number, passed, time.process_time() - began, list(reached))) + "\n")
            os._exit(0)
        os.close(writing)
        reaching: dict[Statement, set[int]] = defaultdict(set)
        seconds: dict[int, float] = {}
        with os.fdopen(reading) as lines:
            for line in lines:
                number, passed, seconds[number], statements = ast.literal_eval(line)
                if not passed:
                    raise pytest.UsageError(f"{items[number].nodeid} fails without a mutant")
                for statement in statements:
                    reaching[statement].add(number)
        os.waitpid(child, 0)
        print(f"# {len(items)} tests, {sum(seconds.values()):.0f} s", flush=True)
        return reaching, seconds

    def _try(self, mutant: Mutant, function: FunctionType, tests: Sequence[Test]) -> str:
        """Return what became of *mutant*; the test that noticed it is the first to be asked about the next one."""
        reading, writing = os.pipe()
        if (child := os.fork()) == 0:
            try:
                _put(function, mutant.code)
                _run(tests, writing)
            finally:
                os._exit(1)
        os.close(writing)
        with os.fdopen(reading, "rb") as answer:
            begun = answer.read().split()
        _, status = os.waitpid(child, 0)
        if status == 0:
            return "survived"
        if not begun:
            return "untried"  # the changed code does not fit into the function
        noticed, noticing = int(begun[-1]), self._noticing[mutant.place]
        self._noticing[mutant.place] = [noticed, *(test for test in noticing if test != noticed)]
        return "timed out" if os.WIFSIGNALED(status) else "killed"


def _run(tests: Sequence[Test], writing: int) -> NoReturn:
    """Run *tests* until one fails, saying the number of each as it begins, and end the process."""
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    for place, (number, item, took) in enumerate(tests):
        os.write(writing, b"%d " % number)
        # Processor time, which a busy machine does not use up; the other is for what only waits.
        signal.setitimer(signal.ITIMER_PROF, 5 + 5 * took)
        signal.setitimer(signal.ITIMER_REAL, 60 + 20 * took)
        if not _passes(item, tests[place + 1][1] if place + 1 < len(tests) else None):
            os._exit(1)
    os._exit(0)


def _put(function: FunctionType, code: CodeType) -> None:
    """Put *code* into *function*, which stays what `types.coroutine` made of it."""
    awaited = function.__code__.co_flags & inspect.CO_ITERABLE_COROUTINE
    function.__code__ = code.replace(co_flags=code.co_flags | awaited)


def _live_functions(places: set[Place]) -> dict[Place, FunctionType]:
    found: dict[Place, FunctionType] = {}
    for thing in gc.get_objects():
        if isinstance(thing, FunctionType) and thing.__code__.co_filename.startswith(str(ROOT)):
            code = thing.__code__
            place = (str(Path(code.co_filename).relative_to(ROOT)), code.co_qualname, code.co_firstlineno)
            if place in places:
                found[place] = thing
    return found


def _within(tests: Sequence[int], seconds: dict[int, float]) -> list[int]:
    taken: list[int] = []
    left = MOST_TEST_SECONDS
    for test in tests:
        left -= seconds[test]
        if left < 0 and taken:
            break
        taken.append(test)
    return taken


def _passes(item: pytest.Item, following: pytest.Item | None) -> bool:
    return not any(report.failed for report in runtestprotocol(item, log=False, nextitem=following))
