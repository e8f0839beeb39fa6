"""Mutants: what may stand in the place of a node of the syntax tree, and the code of each function changed so.

Not mutated: module level, decorators, defaults, annotations, and texts for people (strings with a space, repr).
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import CodeType
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent

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
