"""Every refusal in the source is documented with its status, and nothing else is."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import sessiond
from sessiond.domain.endings import Ending
from sessiond.domain.errors import Refusal, Unauthenticated
from sessiond.http.discovery import discover
from sessiond.http.edge import Edge
from sessiond.http.openapi import sample_refusals
from sessiond.http.protocol import Protocol
from sessiond.http.refusals import status_of
from tests.deployment import TestDeployment
from tests.docs.pages import ROOT

SOURCE = ROOT / "src" / "sessiond"
PAGE = (ROOT / "docs" / "api" / "errors.md").read_text()
COMMANDS = "## Of the command line"
FINER_STATUSES = {"too_slow": 408, "head_too_large": 431}
"""What the protocol refuses before there is a request, in its own statuses."""

_CODE = re.compile(r"[a-z][a-z_]+")
_OTHER_CODES = SOURCE / "http" / "dialects" / "stack_auth"
"""Its known errors are the original's, and listed there."""


def documented(text: str) -> dict[str, set[str]]:
    """Return the statuses of each code in the tables of *text*."""
    found: dict[str, set[str]] = defaultdict(set)
    for statuses, codes in re.findall(r"^\| ([\d, –]+) \| (`.+?`) \|", text, re.MULTILINE):
        for code in re.findall(r"`([a-z_]+)`", codes):
            found[code] |= set(statuses.split(", "))
    return found


@cache
def refusal_classes() -> dict[str, type[Refusal]]:
    """Return every class of refusals by its name."""
    assert Protocol is not None
    for module in pkgutil.walk_packages(sessiond.__path__, "sessiond."):
        if ".engines." not in module.name and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    return {kind.__name__: kind for kind in _below(Refusal)}


def _below(kind: type[Refusal]) -> Iterator[type[Refusal]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _below(child)


def in_source(path: Path) -> Iterator[tuple[str, type[Refusal]]]:
    """Yield each code that stands in a module, with the class that is raised with it."""
    classes = refusal_classes()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef) and node.name in classes:
            given = [each for inner in ast.walk(node) for each in _of_class(inner)]
            yield from ((code, classes[node.name]) for code in given)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in classes:
            yield from ((code, classes[node.func.id]) for code in _codes(_given(node)))


def _of_class(node: ast.AST) -> Iterator[str]:
    """Yield the code that a class of refusals gives to the class above it, or has unless another is given."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "__init__":
        yield from _codes(_given(node))
    elif isinstance(node, ast.arguments):
        pairs = zip(node.kwonlyargs, node.kw_defaults, strict=True)
        yield from _codes([default for argument, default in pairs if argument.arg == "code"])


def _given(call: ast.Call) -> list[ast.expr | None]:
    return [*call.args[:1], *(each.value for each in call.keywords if each.arg == "code")]


def _codes(given: Sequence[ast.expr | None]) -> Iterator[str]:
    """Yield each that is a code in so many letters."""
    for node in given:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _CODE.fullmatch(node.value):
            yield node.value


@cache
def raised() -> dict[str, set[str]]:
    """Return the statuses of each code in the source; those that only commands raise have none."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in SOURCE.rglob("*.py"):
        if _OTHER_CODES in path.parents:
            continue
        for code, kind in in_source(path):
            status = FINER_STATUSES.get(code) or status_of(kind.__new__(kind))
            found[code].add("–" if path.parent.name == "cli" else str(status))
    for why in Ending:
        found[why.value].add(str(status_of(Unauthenticated(why.value, ""))))
    for where in ("body", "query"):
        found[f"invalid_{where}"].add("400")
    return found


def test_every_code_in_the_source_is_documented_and_no_other() -> None:
    assert set(documented(PAGE)) == set(raised())


def test_a_code_is_documented_with_each_status_that_it_comes_with() -> None:
    requests, _, commands = PAGE.partition(COMMANDS)
    only_commands = documented(commands)

    assert set(only_commands).isdisjoint(documented(requests))
    expected = {code: statuses - {"–"} for code, statuses in raised().items() if code not in only_commands}
    assert {code: documented(PAGE)[code] for code in expected} == expected


async def test_what_endpoints_declare_is_documented_with_its_status() -> None:
    services, edge = (await TestDeployment.born()).services, Edge()
    declared = {
        (refusal.code, str(dialect.refuse(refusal, None).status))
        for dialect in discover(services, edge)
        if dialect.name in {"native", "oauth"}
        for endpoint in dialect.endpoints
        for refusal in sample_refusals(endpoint)
    }
    pages = documented(PAGE)

    # An OAuth grant that is refused is 400, whatever the code says elsewhere (RFC 6749 section 5.2).
    unknown = {(code, status) for code, status in declared if status not in pages[code]}
    assert {status for _, status in unknown} <= {"400"}
    assert {code for code, _ in unknown} <= set(pages)
