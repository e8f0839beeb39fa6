"""The device dialect over TCP: what an address may bring, and what is kept of an identifier."""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.canaries import everything_in, found_in
from tests.dialects.device_calls import DAY, PATH, a_device, opened, session_of
from tests.server_process import ServerProcess

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("setting", ["SESSIOND_DEVICE_NEW_PER_HOUR", "SESSIOND_DEVICE_MAX_SESSIONS_PER_IP"])
def test_an_address_may_bring_so_many_devices_also_over_a_restart(tmp_path: Path, setting: str) -> None:
    with (
        ServerProcess.started(tmp_path, settings={setting: "2"}) as server,
        httpx.Client(base_url=server.url) as http,
    ):
        first = a_device()
        opened(http, first)
        opened(http, a_device())
        server.kill()
        server.restart()

        refused = http.post(PATH, json={"identifier": a_device()})

        assert refused.status_code == 429
        assert 0 < int(refused.headers["retry-after"]) <= 30 * DAY
        assert refused.json() == {"error": "too many devices from this address, try again later"}
        assert opened(http, first)


def test_thirty_new_devices_an_hour_are_let_in_by_default_and_many_at_once_are_not_more(
    tmp_path: Path,
) -> None:
    with ServerProcess.started(tmp_path) as server:

        def call(_: int) -> int:
            return httpx.post(server.url + PATH, json={"identifier": a_device()}).status_code

        with ThreadPoolExecutor(16) as pool:
            statuses = list(pool.map(call, range(48)))

    assert statuses.count(200) == 30
    assert statuses.count(429) == 18


@pytest.mark.in_files
def test_nothing_readable_of_the_identifier_is_kept_or_logged(tmp_path: Path) -> None:
    canary = f"canary-{uuid.uuid4()}"
    with ServerProcess.started(tmp_path) as server, httpx.Client(base_url=server.url) as http:
        token = opened(http, canary)
        session_of(http, token)
        http.post(PATH, json={"identifier": canary + "\n"})
        http.post(PATH, content=json.dumps({"identifier": canary}), headers={"Content-Type": "text/plain"})
        http.get(PATH, params={"identifier": canary})
        kept = everything_in(server)
        server.kill()
        kept += everything_in(server)

    assert found_in(kept, [canary, canary[:12], canary[-12:], token, token.split(".")[2]]) == []
