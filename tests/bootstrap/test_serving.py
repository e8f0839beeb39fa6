from __future__ import annotations

import signal
from pathlib import Path

import httpx
import pytest

from tests.server_process import ServerProcess
from tests.system.waiting import eventually

pytestmark = pytest.mark.slow


def test_a_hangup_reads_the_file_again_limits_too_and_a_bad_one_changes_nothing(tmp_path: Path) -> None:
    config = tmp_path / "sessiond.toml"
    config.write_text('log_level = "info"\n')
    with ServerProcess.started(tmp_path, "--config", str(config)) as server:
        config.write_text('log_level = "loud"\n')
        server.process.send_signal(signal.SIGHUP)
        eventually(lambda: "the settings were not reloaded" in server.log())

        config.write_text('log_level = "debug"\n[limits]\nby_server_key = 5\n')
        server.process.send_signal(signal.SIGHUP)
        eventually(lambda: "the settings were reloaded" in server.log())

        listed = httpx.get(f"{server.url}/v1/sessions?subject=a", headers=server.authorization)
        assert listed.headers["RateLimit-Policy"] == '"server_key";q=5;w=60'


def test_a_server_that_is_told_to_stop_ends_well_and_its_witness_is_up_to_date(tmp_path: Path) -> None:
    with ServerProcess.started(tmp_path) as server:
        for subject in ("a", "b"):
            httpx.post(f"{server.url}/v1/sessions", json={"subject": subject}, headers=server.authorization)

        assert server.stop() == 0

        server.restart()
        assert "behind" not in server.log()


def test_a_server_that_was_killed_starts_again_and_ends_no_session(tmp_path: Path) -> None:
    with ServerProcess.started(tmp_path) as server:
        created = httpx.post(f"{server.url}/v1/sessions", json={"subject": "a"}, headers=server.authorization)
        server.kill()
        server.restart()

        header = {"Authorization": f"Bearer {created.json()['access_token']}"}
        assert httpx.get(f"{server.url}/v1/session", headers=header).status_code == 200
