"""`docs/operations/metrics.md` is what the code declares, and what it shows to copy can be used."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from sessiond.bootstrap.metrics.families import FAMILIES, Kind
from sessiond.bootstrap.metrics.reference import table
from tests.docs.pages import ROOT

PAGE = (ROOT / "docs" / "operations" / "metrics.md").read_text(encoding="utf-8")
SCRAPE, RULES = (
    yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
)
ALERTS: list[dict[str, Any]] = [rule for group in RULES["groups"] for rule in group["rules"]]
QUERIES = [alert["expr"] for alert in ALERTS] + re.findall(r"^\| [^|`]+ \| `([^`]+)` \|$", PAGE, re.MULTILINE)

_NAME = re.compile(r"\b(?:sessiond|process)_[a-z_]+")
_SELECTOR = re.compile(r"\b(sessiond_[a-z_]+)\{([^}]*)\}")
_BY = re.compile(r"\bby \(([^)]*)\)")
_OF_PROMETHEUS = {"instance", "job", "le"}


def samples() -> dict[str, set[str]]:
    """Return the labels of every sample that is declared, by its name."""
    found: dict[str, set[str]] = {}
    for family in FAMILIES:
        suffixes = ("_bucket", "_count", "_sum") if family.kind is Kind.HISTOGRAM else ("",)
        found |= {family.name + suffix: set(family.labels) for suffix in suffixes}
    return found


def test_the_table_is_what_the_code_declares() -> None:
    assert table() in PAGE, "run: python -m sessiond.bootstrap.metrics.reference"


def test_the_scrape_configuration_presents_a_token_and_names_the_rules() -> None:
    (job,) = SCRAPE["scrape_configs"]

    assert job["authorization"]["credentials_file"].startswith("/")
    assert job["static_configs"][0]["targets"]
    assert [f"# {name}\n" in PAGE for name in SCRAPE["rule_files"]] == [True]


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert["alert"]))
def test_an_alert_says_what_is_wrong_and_how_urgent_it_is(alert: dict[str, Any]) -> None:
    assert set(alert) <= {"alert", "expr", "for", "labels", "annotations"}
    assert alert["labels"]["severity"] in {"page", "ticket"}
    assert re.fullmatch(r"\d+[smh]", alert.get("for", "1m"))
    assert alert["annotations"]["summary"].endswith(".")


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_asks_for_what_there_is(query: str) -> None:
    declared = samples()
    bare = re.sub(r'"[^"]*"', '""', query)

    assert set(_NAME.findall(bare)) <= set(declared)
    assert [bare.count(opening) - bare.count(closing) for opening, closing in ("()", "[]", "{}")] == [0, 0, 0]
    for name, matchers in _SELECTOR.findall(bare):
        assert set(re.findall(r"(\w+)=", matchers)) <= declared[name]
    asked = set().union(*(declared[name] for name in _NAME.findall(bare)))
    for grouped in _BY.findall(bare):
        assert set(re.split(r",\s*", grouped)) <= asked | _OF_PROMETHEUS
    for metric in re.findall(r"(?:rate|increase)\((\w+)", bare):
        assert metric.endswith(("_total", "_bucket", "_count"))


def test_there_are_queries_and_alerts() -> None:
    assert len(ALERTS) >= 5
    assert len(QUERIES) >= len(ALERTS) + 5
