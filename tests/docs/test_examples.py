"""Every operation of every API is shown: somewhere in the documentation stands a request that asks for it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from sessiond.http.dialect import Dialect
from sessiond.http.discovery import discover
from sessiond.http.edge import Edge
from sessiond.http.endpoint import Endpoint
from tests.deployment import TestDeployment
from tests.docs.pages import DOCUMENTED_URL, ROOT, statements
from tests.docs.test_docs import RUN

PLACES = {
    "native": [ROOT / "docs" / "api.md", *(ROOT / "docs" / "api").glob("*.md")],
    "oauth": [ROOT / "docs" / "api" / "oauth.md"],
    "device": [ROOT / "docs" / "dialects" / "device.md"],
    "pin_login": [ROOT / "docs" / "dialects" / "pin-login.md"],
    "pocketpaw": [ROOT / "docs" / "dialects" / "pocketpaw.md"],
    "session-storage": [ROOT / "docs" / "dialects" / "session-storage.md"],
    "stack_auth": [ROOT / "docs" / "dialects" / "stack-auth.md"],
}

_ASSIGNMENT = re.compile(r"^([A-Z_]+)=(\S+)$")
_VARIABLE = re.compile(r"\$\{?([A-Za-z_]+)\}?")
_WITH_BODY = ("-d", "--data", "--data-urlencode", "--json", "-F")


@pytest.fixture
async def dialects() -> list[Dialect]:
    return list(discover((await TestDeployment.born()).services, Edge()))


def shown(page: Path) -> set[tuple[str, str]]:
    """Return method and path of every request on *page*, a variable within a path as it stands."""
    variables = {"URL": DOCUMENTED_URL}
    found = set()
    for statement in statements(page):
        assigned = _ASSIGNMENT.match(statement.text)
        if assigned:
            variables[assigned[1]] = _with(variables, assigned[2])
        for piece in re.findall(r"curl [^|)]*", statement.text):
            found.add(_request(_with(variables, piece)))
    return found


def _with(variables: dict[str, str], text: str) -> str:
    return _VARIABLE.sub(lambda match: variables.get(match[1], match[0]), text)


def _request(line: str) -> tuple[str, str]:
    words = shlex.split(line.replace("$(", "")) if line.count('"') % 2 == 0 else line.split()
    url = next(word.strip('"') for word in words if word.strip('"').startswith(DOCUMENTED_URL))
    method = words[words.index("-X") + 1] if "-X" in words else ""
    method = method or ("POST" if any(word.startswith(_WITH_BODY) for word in words) else "GET")
    return method, url.removeprefix(DOCUMENTED_URL).partition("?")[0]


def is_shown(endpoint: Endpoint, requests: set[tuple[str, str]]) -> bool:
    patterns = [re.sub(r"\{[^}]+\}", "[^/]+", path) for path in endpoint.paths]
    return any(
        method == endpoint.method and re.fullmatch(pattern, path)
        for method, path in requests
        for pattern in patterns
    )


@pytest.mark.parametrize("name", PLACES)
async def test_every_operation_is_shown_by_a_request(dialects: list[Dialect], name: str) -> None:
    (dialect,) = (each for each in dialects if each.name == name)
    requests = set().union(*(shown(page) for page in PLACES[name]))

    missing = [f"{each.method} {each.path}" for each in dialect.endpoints if not is_shown(each, requests)]

    assert missing == []


def test_every_page_that_counts_is_run() -> None:
    assert {page for pages in PLACES.values() for page in pages} <= set(RUN)


async def test_every_dialect_counts(dialects: list[Dialect]) -> None:
    assert {dialect.name for dialect in dialects} - {"server"} == set(PLACES)
