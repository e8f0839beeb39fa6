"""`GET /metrics`: what the server has counted, in the text format of Prometheus, or as OpenMetrics.

It tells nothing of any subject, but how many sign in and how many are refused: it takes a token of its own, which opens
nothing else, or the master token.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator

from prometheus_client import exposition as text_format
from prometheus_client.core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from sessiond.crypto.secrets import Secret
from sessiond.domain.callers import Caller
from sessiond.http.answer import Answer
from sessiond.http.counting import never
from sessiond.http.credentials import Credential, SecurityScheme, bearer
from sessiond.http.dialect import Dialect
from sessiond.http.endpoint import Endpoint
from sessiond.http.problems import PROBLEM_MEDIA, refuse_with_problem
from sessiond.http.request import Request

Gather = Callable[[], Awaitable[Collector]]
"""Brings together what is to be shown."""

_SAMPLES_AT_ONCE = 100
"""About a millisecond's work; requests are answered in between."""

_END = b"# EOF\n"
_OPENMETRICS, _OPENMETRICS_VERSION = "application/openmetrics-text", "1.0.0"
_NOT_AT_ALL = re.compile(r"0(\.0*)?")

_METRICS_TOKEN = SecurityScheme(
    "metricsToken",
    {
        "type": "http",
        "scheme": "bearer",
        "description": "The token that `SESSIOND_METRICS_TOKEN` gives to who reads the metrics.",
    },
)


def metrics_dialect(gather: Gather, *, token: Secret | None, master: Credential) -> Dialect:
    """Return the dialect that shows what *gather* brings to whoever has *token*, or the master token."""

    async def show(request: Request) -> Answer:
        gathered = await gather()
        if _asks_for_openmetrics(request.header(b"accept") or ""):
            body = await _encoded(gathered, openmetrics.generate_latest)
            return Answer(200, body, content_type=openmetrics.CONTENT_TYPE_LATEST)
        body = await _encoded(gathered, text_format.generate_latest)
        return Answer(200, body, content_type=text_format.CONTENT_TYPE_PLAIN_0_0_4)

    return Dialect(
        name="metrics",
        title="Metrics",
        prefixes=(),
        refuse=refuse_with_problem,
        refusal_media=(PROBLEM_MEDIA,),
        endpoints=(
            Endpoint(
                "GET",
                "/metrics",
                show,
                summary="Read the metrics of this server",
                description="Every metric is explained in docs/operations/metrics.md.",
                credential=_reader(token, master),
                headers={"Accept": "`application/openmetrics-text` asks for OpenMetrics."},
                answers={200: str},
                answer_type=text_format.CONTENT_TYPE_PLAIN_0_0_4,
                counting=never,
            ),
        ),
    )


def _asks_for_openmetrics(accept: str) -> bool:
    """Tell whether an `Accept` names OpenMetrics in the version that there is (RFC 9110 section 12.5.1)."""
    for media_range in accept.lower().split(","):
        name, *parameters = (part.strip() for part in media_range.split(";"))
        told = {key: value for key, _, value in (each.partition("=") for each in parameters)}
        if (
            name == _OPENMETRICS
            and told.get("version", _OPENMETRICS_VERSION) == _OPENMETRICS_VERSION
            and not _NOT_AT_ALL.fullmatch(told.get("q", "1"))
        ):
            return True
    return False


class _Piece(Collector):
    """Some samples of one family."""

    def __init__(self, metric: Metric, start: int) -> None:
        self._metric = Metric(metric.name, metric.documentation, metric.type)
        self._metric.samples = metric.samples[start : start + _SAMPLES_AT_ONCE]

    def collect(self) -> Iterator[Metric]:
        yield self._metric


async def _encoded(collector: Collector, encode: Callable[[Collector], bytes]) -> bytes:
    """Return what *encode* makes of *collector*, piece by piece: what tells of a family stands before its first."""
    parts, end = list[bytes](), b""
    for metric in collector.collect():
        for start in range(0, len(metric.samples), _SAMPLES_AT_ONCE):
            text = encode(_Piece(metric, start))
            if text.endswith(_END):
                text, end = text.removesuffix(_END), _END
            parts.append(text if start == 0 else b"".join(_without_comments(text)))
            await asyncio.sleep(0)
    return b"".join([*parts, end])


def _without_comments(text: bytes) -> Iterator[bytes]:
    return (line for line in text.splitlines(keepends=True) if not line.startswith(b"#"))


def _reader(token: Secret | None, master: Credential) -> Credential:
    async def resolve(request: Request) -> Caller | None:
        presented = bearer(request)
        if token is not None and presented is not None and Secret(presented) == token:
            return None
        return await master.resolve(request)

    return Credential(
        name="metrics token",
        resolve=resolve,
        schemes=((_METRICS_TOKEN,), *master.schemes),
        headers=master.headers,
        refusals=master.refusals,
    )
