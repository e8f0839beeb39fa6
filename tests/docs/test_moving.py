"""The page about moving is true: its lines, run beside a server, move it, and the server then refuses as it says."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.docs.pages import ROOT, matches, run, statements
from tests.server_process import ServerProcess
from tests.system.writers import bearer

pytestmark = pytest.mark.slow

PAGE = ROOT / "docs" / "operations" / "moving.md"


def test_the_lines_of_the_page_move_a_served_database(tmp_path: Path) -> None:
    settings = {"SESSIOND_DATABASE": f"sqlite:///{tmp_path}/data/sessiond.db"}
    with ServerProcess.started(tmp_path, settings=settings) as old:
        made = httpx.post(f"{old.url}/v1/sessions", json={"subject": "alice"}, headers=old.authorization)
        token = bearer(made.json()["access_token"])
        answers = run(PAGE, tmp_path, old.url)
        refused = httpx.get(f"{old.url}/v1/session", headers=token)
    with ServerProcess.started(
        tmp_path, settings={"SESSIOND_DATABASE": f"sqlite:///{tmp_path}/new/sessiond.db"}
    ) as new:
        served = httpx.get(f"{new.url}/v1/session", headers=token)

    shown = [(each.shown, real) for each, real in zip(statements(PAGE), answers, strict=True) if each.shown]
    assert [real.body for said, real in shown if real and not matches(said.body, real.body)] == []
    assert len(shown) == 2
    assert (refused.status_code, served.status_code) == (503, 200)
    assert "retry-after" in refused.headers
