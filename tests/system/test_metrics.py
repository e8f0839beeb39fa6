"""`/metrics` of a real server: what it counts is what was done, and it tells nobody anything else."""

from __future__ import annotations

import http.client
import random
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import httpx
import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from sessiond.bootstrap.metrics.families import FAMILIES
from tests.canaries import found_in
from tests.server_process import ServerProcess

pytestmark = pytest.mark.slow

TOKEN = "metrics-token-0123456789abcdefghijklmnop"
READER = {"Authorization": f"Bearer {TOKEN}"}
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
MANY_PATHS = (
    "/healthz",
    "/readyz",
    "/docs",
    "/openapi.json",
    "/v1/session",
    "/v1/sessions",
    "/v1/subjects",
    "/v1/keys",
)
OPTIONAL = {
    "sessiond_audit_sealed_timestamp_seconds",
    "sessiond_events_sealed",
    "sessiond_feed_age_seconds",
    "sessiond_feed_bound_seconds",
    "sessiond_feeds_silent",
    "sessiond_key_next_activation_timestamp_seconds",
    "sessiond_limited_requests",
    "sessiond_memory_sessions",
    "sessiond_refused_attempts",
}
"""What is not shown before it happened, or on every engine."""

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "BREW", "X1", "X2")

Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server of this module's own, whose metrics have a token."""
    folder: Path = tmp_path_factory.mktemp("server")
    with ServerProcess.started(folder, settings={"SESSIOND_METRICS_TOKEN": TOKEN}) as process:
        yield process


@pytest.fixture
def http_client(server: ServerProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url) as client:
        yield client


def samples(families: Iterable[Metric]) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def read(client: httpx.Client) -> Samples:
    answer = client.get("/metrics", headers=READER)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return samples(parse_text(answer.text))


def grown(before: Samples, after: Samples, name: str, **labels: str) -> float:
    """Return by how much a sample has grown; one that was not there was 0."""
    key = (name, frozenset(labels.items()))
    return after.get(key, 0) - before.get(key, 0)


def sign_in(client: httpx.Client, server: ServerProcess, subject: str) -> dict[str, str]:
    answer = client.post("/v1/sessions", headers=server.authorization, json={"subject": subject})
    assert answer.status_code == 201, answer.text
    body = answer.json()
    return {"id": body["session"]["id"], "access": body["access_token"], "refresh": body["refresh_token"]}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_what_is_counted_is_what_was_done(http_client: httpx.Client, server: ServerProcess) -> None:
    before = read(http_client)

    session = sign_in(http_client, server, "counted")
    for _ in range(5):
        http_client.get("/v1/session", headers=bearer(session["access"]))
    http_client.post("/v1/session/refresh", json={"refresh_token": session["refresh"]})
    http_client.get("/v1/session", headers=bearer("nobody's"))
    http_client.delete(f"/v1/sessions/{session['id']}", headers=server.authorization)
    after = read(http_client)

    def requests(method: str, path: str, status: int) -> float:
        labels = {"dialect": "native", "method": method, "path": path, "status": str(status)}
        return grown(before, after, "sessiond_http_requests_total", **labels)

    verify = {"dialect": "native", "method": "GET", "path": "/v1/session"}
    duration = "sessiond_http_request_duration_seconds"
    assert requests("POST", "/v1/sessions", 201) == 1
    assert (requests("GET", "/v1/session", 200), requests("GET", "/v1/session", 401)) == (5, 1)
    assert requests("POST", "/v1/session/refresh", 200) == 1
    assert requests("DELETE", "/v1/sessions/{id}", 204) == 1
    assert grown(before, after, f"{duration}_count", **verify) == 6
    assert grown(before, after, f"{duration}_bucket", **verify, le="+Inf") == 6
    assert grown(before, after, f"{duration}_sum", **verify) > 0
    assert grown(before, after, "sessiond_refusals_total", code="invalid_token") == 1
    verified = [grown(before, after, "sessiond_verifies_total", source=each) for each in ("store", "memory")]
    assert verified[0] >= 1  # when a last use is written, memory forgets the session
    assert sum(verified) == 5
    assert grown(before, after, "sessiond_refreshes_total", token="current") == 1
    assert after["sessiond_http_requests_in_flight", frozenset()] == 1
    assert after["sessiond_http_connections", frozenset()] >= 1


def test_writes_are_counted_by_batches(http_client: httpx.Client, server: ServerProcess) -> None:
    before = read(http_client)

    for number in range(3):
        sign_in(http_client, server, f"written-{number}")
    after = read(http_client)

    operations = grown(before, after, "sessiond_store_operations_total", kind="write")
    batches = grown(before, after, "sessiond_store_batch_duration_seconds_count", kind="write")
    assert 3 <= batches <= operations
    assert ("sessiond_store_operations_waiting", frozenset({("kind", "write")})) in after


def test_both_formats_show_every_declared_family_and_no_other(http_client: httpx.Client) -> None:
    declared = {family.name.removesuffix("_total") for family in FAMILIES}
    for path in MANY_PATHS:  # so many that a family is made in several pieces
        http_client.get(path)

    told = http_client.get("/metrics", headers=READER).text
    text = list(parse_text(told))
    answer = http_client.get("/metrics", headers=READER | {"Accept": OPENMETRICS})
    openmetrics = list(parse_openmetrics(answer.text))  # type: ignore[no-untyped-call]

    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    types = [line for line in told.splitlines() if line.startswith("# TYPE ")]
    assert len(types) == len(set(types)) == len(text)
    for form in (text, openmetrics):
        ours = {family.name for family in form if not family.name.startswith("process_")}
        assert ours <= declared
        assert declared - ours <= OPTIONAL
    labels = {family.name.removesuffix("_total"): set(family.labels) for family in FAMILIES}
    for family in text:
        for sample in family.samples:
            assert family.name not in labels or set(sample.labels) - {"le"} == labels[family.name]


def test_a_thousand_paths_and_methods_make_few_series(
    http_client: httpx.Client, server: ServerProcess
) -> None:
    drawn = random.Random(6)
    before = read(http_client)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)

    for number in range(1000):
        path = (
            drawn.choice(("/", "/v1/sessions/", "/v1/", "/auth/", "/v1/subjects/", "/x/y/"))
            + uuid.UUID(int=drawn.getrandbits(128)).hex
        )
        connection.request(METHODS[number % len(METHODS)], path)
        connection.getresponse().read()
    connection.close()
    after = read(http_client)

    assert (
        sum(
            grown(before, after, name, **dict(labels))
            for name, labels in after
            if name == "sessiond_http_requests_total"
        )
        == 1001
    )
    new = [
        (name, labels)
        for name, labels in after
        if (name, labels) not in before and name == "sessiond_http_requests_total"
    ]
    assert len(new) < 30
    assert all(
        path.startswith("-") or "{" in path for _, labels in new for label, path in labels if label == "path"
    )


@pytest.mark.parametrize("who", ["nobody", "server key", "session", "another token"])
def test_nobody_else_may_read(http_client: httpx.Client, server: ServerProcess, who: str) -> None:
    headers = {
        "nobody": dict[str, str](),
        "server key": server.authorization,
        "session": bearer(sign_in(http_client, server, "curious")["access"]),
        "another token": bearer(TOKEN[:-1] + "0"),
    }[who]

    answer = http_client.get("/metrics", headers=headers)

    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert "sessiond_" not in answer.text


def test_a_wrong_token_is_an_attempt_that_is_counted(http_client: httpx.Client) -> None:
    before = read(http_client)

    http_client.get("/metrics", headers=bearer(TOKEN + "0"))
    http_client.get("/metrics")
    after = read(http_client)

    assert grown(before, after, "sessiond_refused_attempts_total", attempt="master_token") == 1


def test_the_master_token_may_read(http_client: httpx.Client, server: ServerProcess) -> None:
    assert http_client.get("/metrics", headers=bearer(server.master_token)).status_code == 200


@pytest.mark.parametrize("path", ["/v1/sessions?subject=a", "/v1/session", "/v1/keys", "/v1/verify"])
def test_the_token_opens_nothing_else(http_client: httpx.Client, path: str) -> None:
    assert http_client.get(path, headers=READER).status_code == 401


def test_nothing_of_anybody_is_shown(http_client: httpx.Client, server: ServerProcess) -> None:
    session = sign_in(http_client, server, "canary-subject")
    http_client.get("/v1/session", headers=bearer(session["access"]))
    http_client.get(f"/v1/sessions/{session['id']}", headers=server.authorization)
    http_client.get(
        "/canary-path?canary-query=1", headers={"User-Agent": "canary-agent", "X-Canary": "canary"}
    )
    http_client.request("CANARY", "/v1/session")

    shown = http_client.get("/metrics", headers=READER).content

    told = [*session.values(), "canary", "CANARY", "127.0.0.1", TOKEN, server.server_key, server.master_token]
    assert found_in(shown, told) == []


def test_the_token_stands_in_no_log(http_client: httpx.Client, server: ServerProcess) -> None:
    http_client.get("/metrics", headers=READER)

    assert found_in(server.log().encode(), [TOKEN]) == []
