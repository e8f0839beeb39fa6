"""The documentation is true: links lead somewhere, names exist, and every request that is shown answers as shown."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, Statement, anchors, links, matches, name_of, run, statements
from tests.server_process import ServerProcess

README = ROOT / "README.md"
API = ROOT / "docs" / "api.md"
RUN = [
    README,
    API,
    *sorted((ROOT / "docs" / "api").glob("*.md")),
    *sorted((ROOT / "docs" / "dialects").glob("*.md")),
]
FILES = [path for folder in ("src", "tests", "scripts", "bench") for path in (ROOT / folder).rglob("*.*")]
DECISIONS = ROOT / "docs" / "decisions"
NOT_SEEDED = {"SESSIOND_SERVER_KEY": "", "SESSIOND_MASTER_TOKEN": ""}


def requests(page: Path) -> list[Statement]:
    return [statement for statement in statements(page) if statement.is_curl]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)

    assert broken == []


def test_every_page_is_found_from_the_readme() -> None:
    reached, waiting = set(), [README]
    while waiting:
        page = waiting.pop()
        if page not in reached:
            reached.add(page)
            targets = [(page.parent / link.partition("#")[0]).resolve() for link in links(page)]
            waiting += [target for target in targets if target.suffix == ".md"]

    assert [page for page in PAGES if page not in reached] == []


@pytest.mark.parametrize("page", RUN, ids=name_of)
def test_every_request_is_shown_with_its_answer(page: Path) -> None:
    assert requests(page)
    assert [request.text for request in requests(page) if request.shown is None] == []


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN, ids=name_of)
def test_every_shown_answer_is_what_a_new_server_answers(page: Path, tmp_path: Path) -> None:
    (tmp_path / ".venv").symlink_to(Path(sys.executable).parents[1])

    with ServerProcess.started(tmp_path, settings=NOT_SEEDED) as server:
        answers = run(page, tmp_path, server.url)

    for statement, real in zip(statements(page), answers, strict=True):
        shown = statement.shown
        if shown is None or real is None:
            continue
        assert (real.status, statement.text) == (shown.status, statement.text)
        assert matches(shown.body, real.body), f"{statement.text}\nshown {shown.body}\nreal  {real.body}"
        for name, value in shown.headers:
            sent = [each for key, each in real.headers if key.lower() == name.lower()]
            assert any(matches(value, each) for each in sent), (
                f"{statement.text}\n{name}: {value}\nreal {sent}"
            )


def test_the_readme_shows_every_api() -> None:
    paths = " ".join(request.text for request in requests(README))

    for path in (
        "/v1/sessions",
        "/api/auth/session",
        "/api/sessions",
        "/auth/login",
        "/api/v1/session-storage",
    ):
        assert f"{path} " in paths
    assert "/auth/sessions " in paths


def test_the_commands_of_the_readme_are_made() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert {"run", "test"} <= targets
    assert set(re.findall(r"`?make ([a-z-]+)", README.read_text())) <= targets


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_source_file_that_is_named_exists(page: Path) -> None:
    named = re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.(?:py|sql))`", page.read_text())

    assert [name for name in named if not any(path.match(name) for path in FILES)] == []


def test_every_page_that_the_code_names_exists() -> None:
    sources = [path for path in FILES if path.suffix in {".py", ".sql", ".lua", ".sh"}]
    named = {name for path in sources for name in re.findall(r"docs/[\w/-]+\.md", path.read_text("utf-8"))}

    assert len(named) > 5
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_every_decision_is_listed_once_under_a_number_of_its_own() -> None:
    pages = sorted(path.name for path in DECISIONS.glob("*.md") if path.name != "README.md")
    index = re.findall(r"^- (\d{4}) \[.+\]\((.+?)\)", (DECISIONS / "README.md").read_text(), re.MULTILINE)

    assert sorted(name for _, name in index) == pages
    numbers = [number for number, _ in index]
    assert numbers == sorted(set(numbers))
    for number, name in index:
        assert (DECISIONS / name).read_text().startswith(f"# {number}: ")
        assert name.startswith(number)


@pytest.mark.parametrize(
    ("shown", "real", "same"),
    [
        ('{"a":"x…z"}', '{"a":"xyz"}', True),
        ('{"a":"x…z"}', '{"a":"x","b":"z"}', False),
        ('{"a":1,…}', '{"a":1,"b":"c"}', True),
        ('{"a":1}', '{"a":1,"b":2}', False),
        ('{"a":"2026-01-01T00:00:00Z"}', '{"a":"2027-01-01T00:00:00.125Z"}', True),
        ('{"a":600}', '{"a":601}', False),
    ],
)
def test_what_is_left_out_hides_nothing_else(shown: str, real: str, same: bool) -> None:
    assert matches(shown, real) is same
