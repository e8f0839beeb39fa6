"""Change the code in one place at a time, and see whether a test notices: the score of the tests, and what survives.

`python scripts/mutation.py` mutates the functions of `domain` and `crypto`, and of the front for instant endpoints.
One process collects the tests and learns which of them reaches which statement. For each mutant it forks, puts the
changed code into the function (whoever imported it has that one), and runs the tests that reach the change until one
fails: those that noticed the last mutants of that function, then the quickest. `--again` reads the kept output of a
former run, and tries only what survived. Not mutated: module level, decorators, defaults, annotations, and texts for
people (strings with a space, repr).
"""

from __future__ import annotations

import argparse
import ast
import builtins
import copy
import gc
import inspect
import os
import random
import resource
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import CodeType, FunctionType
from typing import NamedTuple, NoReturn

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
    "tests/docs/test_crypto_inventory.py",
    "tests/bootstrap/test_opening.py",
    "tests/bootstrap/test_rewrapping.py",
)
KNOWN = ROOT / "scripts" / "equivalent-mutants.txt"
"""Mutants that no test can notice, each with the reason."""

MOST_TEST_SECONDS = 6.0
"""Processor time that the tests of one mutant took without it, in all, at most: the quickest are taken first."""

MOST_BYTES = 4 << 30
"""What a mutant that never ends may take of memory."""

SURVIVING = ("survived", "not reached", "untried")
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

Statement = tuple[str, int]
"""File and first line."""

REACHED = "__reached__"
"""What the watched code of a function calls with each statement that it comes to."""


class Mutant(NamedTuple):
    """One changed function."""

    place: Place
    statement: Statement
    line: int
    was: str
    is_now: str
    code: CodeType

    @property
    def name(self) -> str:
        """What is said of it: the function and the change, without the line, which moves."""
        return f"{self.place[0]} {self.place[1]}: {self.was} -> {self.is_now}"

    @property
    def where(self) -> str:
        """What is printed of it, to be found in an editor."""
        return f"{self.place[0]}:{self.line} {self.name.split(' ', 1)[1]}"


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
    position: int | None
    node: ast.AST
    statement: ast.AST

    def put(self, node: ast.AST) -> None:
        """Put *node* there."""
        if self.position is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.position] = node


class Mutator:
    """Makes all mutants of one file."""

    def __init__(self, path: Path) -> None:
        self._name = str(path.relative_to(ROOT))
        self._path = str(path)
        self._tree = ast.parse(path.read_text())
        for outer in self._outermost(self._tree):
            if any(isinstance(node, ast.Name) and node.id == "super" for node in ast.walk(outer)):
                # So that it still has the cell of its class where a mutant calls no `super` any more.
                outer.body += ast.parse("__class__").body
                ast.fix_missing_locations(outer)

    def mutants(self) -> Iterator[Mutant]:
        """Yield each mutant of each function; those within another one count as a part of it."""
        for outer in self._outermost(self._tree):
            for spot in list(_inside(outer)):
                for other in alternatives(spot.node):
                    spot.put(other)
                    try:
                        compiled = list(self._compiled(self._tree, outer))
                        text = _short(other)
                    finally:
                        spot.put(spot.node)
                    statement = (self._name, spot.statement.lineno)  # type: ignore[attr-defined]
                    for place, code in compiled:
                        yield Mutant(place, statement, spot.node.lineno, _short(spot.node), text, code)  # type: ignore[attr-defined]

    def watched(self) -> Iterator[tuple[Place, CodeType]]:
        """Yield each function as it is, but for calling `REACHED` with each statement that it comes to."""
        tree = ast.parse(Path(self._path).read_text())
        for outer in self._outermost(tree):
            for parent in list(ast.walk(outer)):
                for field in ("body", "orelse", "finalbody"):
                    if isinstance(statements := getattr(parent, field, None), list):
                        setattr(
                            parent, field, [one for each in statements for one in (self._note(each), each)]
                        )
            yield from self._compiled(tree, outer)

    def _note(self, statement: ast.stmt) -> ast.stmt:
        note = ast.parse(f"{REACHED}({(self._name, statement.lineno)!r})").body[0]
        for node in ast.walk(note):
            ast.copy_location(node, statement)
        return note

    def _outermost(self, tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        for node in ast.iter_child_nodes(tree):
            if not isinstance(node, Functions):
                yield from self._outermost(node)
            elif node.name not in FOR_PEOPLE:
                yield node

    def _compiled(
        self, tree: ast.Module, outer: ast.FunctionDef | ast.AsyncFunctionDef
    ) -> Iterator[tuple[Place, CodeType]]:
        first = min((d.lineno for d in outer.decorator_list), default=outer.lineno)
        for code in _functions_of(compile(tree, self._path, "exec")):
            if code.co_firstlineno == first and code.co_name == outer.name:
                yield (self._name, code.co_qualname, first), code


def _inside(outer: ast.AST) -> Iterator[Spot]:
    """Yield each place in the body of a function, what stands there, and the statement that it is a part of."""
    waiting: list[tuple[ast.AST, Sequence[str], ast.AST]] = [(outer, ("body",), outer)]
    while waiting:
        parent, fields, around = waiting.pop()
        for field in fields:
            value = getattr(parent, field, None)
            for position, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if not isinstance(node, ast.AST) or _is_docstring(parent, position, node):
                    continue
                statement = node if isinstance(node, ast.stmt) else around
                yield Spot(parent, field, position, node, statement)
                skipped = {
                    "annotation",
                    "returns",
                    "decorator_list",
                    "args" if isinstance(node, Functions) else "",
                }
                waiting.append((node, [name for name in node._fields if name not in skipped], statement))


def _is_docstring(parent: ast.AST, position: int | None, node: ast.AST) -> bool:
    return (
        isinstance(parent, Functions)
        and position == 0
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


def main() -> int:
    """Print each survivor, and the score; end with 1 if it is below what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="*", default=MUTATED, help="globs of the files to mutate")
    parser.add_argument("--sample", type=int, help="take so many mutants, drawn with a fixed seed")
    parser.add_argument("--at-least", type=float, default=0, help="the score in percent to be reached")
    parser.add_argument(
        "--again", type=Path, help="try what survived by the output that was kept in this file"
    )
    arguments = parser.parse_args()
    os.chdir(ROOT)
    known = {line.partition("  # ")[0].strip() for line in KNOWN.read_text().splitlines()}
    paths = sorted(path for pattern in arguments.files for path in ROOT.glob(pattern))
    mutators = [Mutator(path) for path in paths]
    everything = [mutant for mutator in mutators for mutant in mutator.mutants()]
    mutants = [mutant for mutant in everything if mutant.name not in known]
    if arguments.again:
        survivors = set(_survivors(arguments.again.read_text()))
        mutants = [mutant for mutant in mutants if mutant.name in survivors]
    if arguments.sample and arguments.sample < len(mutants):
        mutants = random.Random(6).sample(mutants, arguments.sample)  # noqa: S311
    runner = Runner(mutants, dict(pair for mutator in mutators for pair in mutator.watched()))
    pytest.main(["-q", "-s", "-m", "not slow and not soak", "-p", "no:cacheprovider", *TESTS], [runner])
    if mutants and not runner.verdicts:
        return 2  # said by pytest: a test fails without a mutant
    return report(runner.verdicts, len(everything) - len(mutants), arguments.at_least)


def _survivors(output: str) -> Iterator[str]:
    """Yield the name of each mutant that a former run has printed."""
    for line in output.splitlines():
        verdict, _, where = line.partition(": ")
        if verdict in SURVIVING:
            place, _, change = where.partition(" ")
            yield f"{place.rpartition(':')[0]} {change}"


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
