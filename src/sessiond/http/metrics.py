"""`GET /metrics`: what the server has counted, in the text format of Prometheus, or as OpenMetrics.

It tells nothing of any subject, but how many sign in and how many are refused: it takes a token of its own, which opens
nothing else, or the master token.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder
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
        encode, content_type = choose_encoder(request.header("accept") or "")
        return Answer(200, encode(await gather()), content_type=content_type)

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
                answer_type=CONTENT_TYPE_PLAIN_0_0_4,
                counting=never,
            ),
        ),
    )


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
