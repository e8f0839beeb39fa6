"""Change the code in one place at a time, and see whether a test notices: the score of the tests, and what survives.

`python scripts/mutation.py` mutates the functions of `domain` and `crypto`, and of the front for instant endpoints.
One process collects the tests and learns which of them calls which function. For each mutant it forks, puts the changed
code into the function (whoever imported it has that one), and runs the tests that call it, quickest first, until one
fails. Not mutated: module level, decorators, defaults, annotations, and texts for people (strings with a space, repr).
"""

from __future__ import annotations

import argparse
import ast
import copy
import gc
import os
import random
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import NamedTuple

import pytest
from _pytest.runner import runtestprotocol

ROOT = Path(__file__).resolve().parent.parent
MUTATED = ("src/sessiond/domain/*.py", "src/sessiond/crypto/*.py", "src/sessiond/http/instant.py")
TESTS = (
    "tests/domain",
    "tests/crypto",
    "tests/services",
    "tests/config",
    "tests/http",
    "tests/bootstrap/test_opening.py",
    "tests/bootstrap/test_rewrapping.py",
)
KNOWN = ROOT / "scripts" / "equivalent-mutants.txt"
"""Mutants that no test can notice, each with the reason."""

MOST_TEST_SECONDS = 6.0
"""How long the tests of one mutant took without it, in all, at most: the quickest are taken first."""

FOR_PEOPLE = {"__repr__", "__rich_repr__", "__str__", "__format__"}
Functions = (ast.FunctionDef, ast.AsyncFunctionDef)
COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
    ast.BitXor: ast.BitOr,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
CALLS = {"min": "max", "max": "min", "all": "any", "any": "all", "sorted": "list"}

Place = tuple[str, str, int]
"""A function: file, qualified name, first line."""


class Mutant(NamedTuple):
    """One changed function."""

    place: Place
    line: int
    was: str
    is_now: str
    code: CodeType

    @property
    def name(self) -> str:
        """What is said of it: the function and the change, without the line, which moves."""
        return f"{self.place[0]} {self.place[1]}: {self.was} -> {self.is_now}"


def alternatives(node: ast.AST) -> Iterator[ast.AST]:  # noqa: C901, PLR0912  one case for each kind of node
    """Yield what may stand in the place of *node*."""
    match node:
        case ast.Compare(ops=[first, *rest]):
            yield _with(node, ops=[COMPARISONS[type(first)](), *rest])
        case ast.BoolOp(op=op, values=values):
            yield _with(node, op=ast.And() if isinstance(op, ast.Or) else ast.Or())
            for dropped in values:
                kept = [value for value in values if value is not dropped]
                yield kept[0] if len(kept) == 1 else _with(node, values=kept)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield operand
        case ast.BinOp(op=op) if type(op) in ARITHMETIC:
            yield _with(node, op=ARITHMETIC[type(op)]())
        case ast.IfExp(body=body, orelse=orelse):
            yield _with(node, body=orelse, orelse=body)
        case ast.If(test=test) | ast.While(test=test):
            for value in (True, False):
                if not (isinstance(test, ast.Constant) and test.value is value):
                    yield _with(node, test=ast.copy_location(ast.Constant(value), test))
        case ast.Constant(value=bool(value)):
            yield _with(node, value=not value)
        case ast.Constant(value=int(value)):
            yield _with(node, value=value + 1)
        case ast.Constant(value=str(value)) if " " not in value:
            yield _with(node, value=value + "X")
        case ast.Constant(value=bytes(value)):
            yield _with(node, value=value + b"X")
        case ast.Call(func=ast.Name(id=name)) if name in CALLS:
            yield _with(node, func=ast.copy_location(ast.Name(CALLS[name], ast.Load()), node))
        case ast.Return(value=ast.Constant(value=None | False)):
            return  # nothing, or nearly
        case ast.Return(value=ast.expr()):
            yield _with(node, value=ast.copy_location(ast.Constant(None), node))
        case ast.Expr(value=ast.Call() | ast.Await()) | ast.Raise() | ast.AugAssign():
            yield ast.copy_location(ast.Pass(), node)
        case ast.Break():
            yield ast.copy_location(ast.Continue(), node)
        case ast.Continue():
            yield ast.copy_location(ast.Break(), node)
        case _:
            return


def _with(node: ast.AST, **changed: object) -> ast.AST:
    changed_node = copy.copy(node)
    for name, value in changed.items():
        setattr(changed_node, name, value)
    return changed_node


class Spot(NamedTuple):
    """A place in a tree, and what stands there."""

    parent: ast.AST
    field: str
    index: int | None
    node: ast.AST

    def put(self, node: ast.AST) -> None:
        """Put *node* there."""
        if self.index is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.index] = node


class Mutator:
    """Makes all mutants of one file."""

    def __init__(self, path: Path) -> None:
        self._name = str(path.relative_to(ROOT))
        self._path = str(path)
        self._tree = ast.parse(path.read_text())
        self._functions: list[ast.AST] = []

    def mutants(self) -> Iterator[Mutant]:
        """Yield each mutant of each function; those within another one count as a part of it."""
        for outer in self._outermost(self._tree):
            if outer.name in FOR_PEOPLE:  # type: ignore[attr-defined]
                continue
            for spot in list(_inside(outer)):
                for other in alternatives(spot.node):
                    yield from self._compiled(outer, spot, other)

    def _outermost(self, tree: ast.AST) -> Iterator[ast.AST]:
        for node in ast.iter_child_nodes(tree):
            if isinstance(node, Functions):
                yield node
            else:
                yield from self._outermost(node)

    def _compiled(self, outer: ast.AST, spot: Spot, other: ast.AST) -> Iterator[Mutant]:
        spot.put(other)
        try:
            module = compile(self._tree, self._path, "exec")
            text = _short(other)
        finally:
            spot.put(spot.node)
        for code in _functions_of(module):
            first = min((d.lineno for d in outer.decorator_list), default=outer.lineno)  # type: ignore[attr-defined]
            if code.co_firstlineno == first and code.co_name == outer.name:  # type: ignore[attr-defined]
                place = (self._name, code.co_qualname, first)
                yield Mutant(place, spot.node.lineno, _short(spot.node), text, code)  # type: ignore[attr-defined]


def _inside(outer: ast.AST) -> Iterator[Spot]:
    """Yield each place in the body of a function, and what stands there."""
    waiting: list[tuple[ast.AST, Sequence[str]]] = [(outer, ("body",))]
    while waiting:
        parent, fields = waiting.pop()
        for field in fields:
            value = getattr(parent, field, None)
            for index, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if not isinstance(node, ast.AST) or _is_docstring(parent, index, node):
                    continue
                yield Spot(parent, field, index, node)
                skipped = {
                    "annotation",
                    "returns",
                    "decorator_list",
                    "args" if isinstance(node, Functions) else "",
                }
                waiting.append((node, [name for name in node._fields if name not in skipped]))


def _is_docstring(parent: ast.AST, index: int | None, node: ast.AST) -> bool:
    return (
        isinstance(parent, Functions)
        and index == 0
        and isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
    )


def _short(node: ast.AST) -> str:
    return ast.unparse(node).split("\n")[0]


def _functions_of(code: CodeType) -> Iterator[CodeType]:
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield inner
            yield from _functions_of(inner)


class Runner:
    """A pytest plugin that runs the tests once to learn, and then for each mutant in a process of its own."""

    def __init__(self, mutants: Sequence[Mutant]) -> None:
        self._mutants = mutants
        self.verdicts: dict[str, list[Mutant]] = defaultdict(list)

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
        functions = _live_functions({mutant.place for mutant in self._mutants})
        calls, seconds = self._learn(session.items, {f.__code__: p for p, f in functions.items()})
        gc.freeze()
        since = time.monotonic()
        for number, mutant in enumerate(self._mutants, 1):
            tests = _within(sorted(calls.get(mutant.place, ()), key=seconds.__getitem__), seconds)
            if mutant.place not in functions or not tests:
                verdict = "not called"
            else:
                budget = 20 + 10 * sum(seconds[test] for test in tests)
                verdict = self._try(
                    mutant, functions[mutant.place], [session.items[n] for n in tests], budget
                )
            self.verdicts[verdict].append(mutant)
            if verdict in {"survived", "not called"}:
                print(
                    f"{verdict}: {mutant.place[0]}:{mutant.line} {mutant.name.split(' ', 1)[1]}", flush=True
                )
            if number % 200 == 0:
                print(f"# {number} of {len(self._mutants)} in {time.monotonic() - since:.0f} s", flush=True)
        return True

    def _learn(
        self, items: Sequence[pytest.Item], codes: dict[CodeType, Place]
    ) -> tuple[dict[Place, list[int]], dict[int, float]]:
        """Return the tests that call each function, and how long each test took; in a process of its own, too."""
        reading, writing = os.pipe()
        if (child := os.fork()) == 0:
            os.close(reading)
            with os.fdopen(writing, "w") as out:
                for number in range(len(items)):
                    called: set[Place] = set()

                    def note(frame: FrameType, event: str, _: object, called: set[Place] = called) -> None:
                        if event == "call" and frame.f_code in codes:
                            called.add(codes[frame.f_code])

                    began = time.monotonic()
                    sys.setprofile(note)
                    passed = _passes(items, number)
                    sys.setprofile(None)
                    out.write(repr((number, passed, time.monotonic() - began, called)) + "\n")
            os._exit(0)
        os.close(writing)
        calls: dict[Place, list[int]] = defaultdict(list)
        seconds: dict[int, float] = {}
        with os.fdopen(reading) as lines:
            for line in lines:
                number, passed, seconds[number], called = ast.literal_eval(line)
                if not passed:
                    raise pytest.UsageError(f"{items[number].nodeid} fails without a mutant")
                for place in called:
                    calls[place].append(number)
        os.waitpid(child, 0)
        print(f"# {len(items)} tests, {sum(seconds.values()):.0f} s", flush=True)
        return calls, seconds

    def _try(
        self, mutant: Mutant, function: FunctionType, tests: Sequence[pytest.Item], budget: float
    ) -> str:
        if (child := os.fork()) == 0:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, budget)
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
            try:
                function.__code__ = mutant.code
                os._exit(0 if all(_passes(tests, number) for number in range(len(tests))) else 1)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            return "timed out"
        return "survived" if os.WEXITSTATUS(status) == 0 else "killed"


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


def _passes(items: Sequence[pytest.Item], number: int) -> bool:
    following = items[number + 1] if number + 1 < len(items) else None
    reports = runtestprotocol(items[number], log=False, nextitem=following)
    return not any(report.failed for report in reports)


def main() -> int:
    """Print each survivor, and the score; end with 1 if it is below what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="*", default=MUTATED, help="globs of the files to mutate")
    parser.add_argument("--sample", type=int, help="take so many mutants, drawn with a fixed seed")
    parser.add_argument("--at-least", type=float, default=0, help="the score in percent to be reached")
    arguments = parser.parse_args()
    os.chdir(ROOT)
    known = {line.partition("  # ")[0].strip() for line in KNOWN.read_text().splitlines()}
    paths = sorted(path for pattern in arguments.files for path in ROOT.glob(pattern))
    everything = [mutant for path in paths for mutant in Mutator(path).mutants()]
    mutants = [mutant for mutant in everything if mutant.name not in known]
    if arguments.sample and arguments.sample < len(mutants):
        mutants = random.Random(6).sample(mutants, arguments.sample)  # noqa: S311
    runner = Runner(mutants)
    pytest.main(["-q", "-s", "-m", "not slow and not soak", "-p", "no:cacheprovider", *TESTS], [runner])
    return report(runner.verdicts, len(everything) - len(mutants), arguments.at_least)


def report(verdicts: dict[str, list[Mutant]], left_out: int, at_least: float) -> int:
    """Print the score of each file and of all."""
    by_file: dict[str, Counter[str]] = defaultdict(Counter)
    for verdict, mutants in verdicts.items():
        for mutant in mutants:
            by_file[mutant.place[0]][verdict] += 1
    total: Counter[str] = sum(by_file.values(), Counter())
    for name, counts in [*sorted(by_file.items()), ("all", total)]:
        caught = counts["killed"] + counts["timed out"]
        print(f"{100 * caught / counts.total():5.1f} %  {caught} of {counts.total()}  {name}")
    score = 100 * (total["killed"] + total["timed out"]) / max(total.total(), 1)
    print(f"mutants={total.total()} left_out={left_out} score={score:.1f} {dict(total)}")
    return 0 if score >= at_least else 1


if __name__ == "__main__":
    sys.exit(main())
