"""In which form metrics are shown, and to whom, whatever is collected."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from sessiond.crypto.secrets import Secret
from sessiond.http.app import App
from sessiond.http.credentials import Credentials
from sessiond.http.edge import Edge
from sessiond.http.metrics import metrics_dialect
from tests.deployment import SetClock
from tests.http.oddities import Callers
from tests.http.surface import Answered, ask

TOKEN = "metrics-token-0123456789abcdefghijklmnop"
READER = ("authorization", f"Bearer {TOKEN}")
MANY = 450
TEXT, OPENMETRICS = (
    "text/plain; version=0.0.4; charset=utf-8",
    "application/openmetrics-text; version=1.0.0; charset=utf-8",
)
OF_PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;"
    "q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)


class ManySamples(Collector):
    """So many of one family that they are made in several pieces, and another family after them."""

    def collect(self) -> Iterator[Metric]:
        many = GaugeMetricFamily("many", "Many of them.", labels=["number"])
        for number in range(MANY):
            many.add_metric([str(number)], number)
        yield many
        yield GaugeMetricFamily("last", "The last one.", value=7)


async def gather() -> Collector:
    return ManySamples()


async def asked(*headers: tuple[str, str], token: str | None = TOKEN) -> Answered:
    dialect = metrics_dialect(
        gather, token=None if token is None else Secret(token), master=Credentials(Callers()).master
    )
    app = App([dialect], edge=Edge(), clock=SetClock())
    return await partial(ask, app)("GET", "/metrics", headers=list(headers))


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (None, TEXT),
        ("*/*", TEXT),
        ("text/plain", TEXT),
        (OF_PROMETHEUS, OPENMETRICS),
        ("application/openmetrics-text", OPENMETRICS),
        ("text/html, Application/OpenMetrics-Text ; version=1.0.0", OPENMETRICS),
        ("application/openmetrics-text;q=0", TEXT),
        ("application/openmetrics-text;q=0.000", TEXT),
        ("application/openmetrics-text;version=99.9.9", TEXT),
        ("application/openmetrics-text;version=abc", TEXT),
        ("application/openmetrics-text;version=\xb2", TEXT),
        ("text/plain;version=abc;escaping=dots", TEXT),
        (",;=,;;==", TEXT),
    ],
)
async def test_openmetrics_is_for_who_asks_for_it(accept: str | None, content_type: str) -> None:
    answer = await asked(READER, *([] if accept is None else [("accept", accept)]))

    assert (answer.status, answer.header("content-type")) == (200, content_type)
    assert answer.body.endswith(b"# EOF\n") is (content_type == OPENMETRICS)


async def test_a_family_of_many_samples_is_told_of_once() -> None:
    text = (await asked(READER)).body.decode()
    openmetrics = (await asked(READER, ("accept", OPENMETRICS))).body.decode()

    assert text == openmetrics.removesuffix("# EOF\n")
    many, last = text_string_to_metric_families(openmetrics)  # type: ignore[no-untyped-call]
    assert [sample.value for sample in many.samples] == list(range(MANY))
    assert [sample.value for sample in last.samples] == [7]


async def test_without_a_token_of_its_own_no_token_is_it() -> None:
    assert (await asked(READER, token=None)).status == 401
    assert (await asked(token=None)).status == 401
