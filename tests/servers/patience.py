"""Stores that wait for a busy server as long as a test may, where nothing of the test is about how long they wait.

A store gives a server seconds. On a busy machine one whose core is taken away is silent for longer than that, and a
test of something else would see a refusal.
"""

from __future__ import annotations

import pytest

from sessiond.storage.engines.postgresql import connections
from sessiond.storage.engines.redis import calls, link, nodes
from tests.server_process import WITHIN_SECONDS


def be_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the stores of this process be patient from now on, until the test's end."""
    defaults = link.Link.send.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "seconds", WITHIN_SECONDS)
    monkeypatch.setattr(link, "CONNECT_SECONDS", WITHIN_SECONDS)
    monkeypatch.setattr(nodes, "_MAP_SECONDS", WITHIN_SECONDS)
    monkeypatch.setattr(calls, "ANSWER_SECONDS", WITHIN_SECONDS)
    monkeypatch.setattr(calls, "WAIT_MILLISECONDS", WITHIN_SECONDS * 1000)
    monkeypatch.setattr(calls, "MIGRATION_SECONDS", float(WITHIN_SECONDS))
    for name in ("CONNECT_SECONDS", "WAIT_SECONDS", "STATEMENT_SECONDS"):
        monkeypatch.setattr(connections, name, float(WITHIN_SECONDS))
    for name in ("statement_timeout", "idle_in_transaction_session_timeout"):
        monkeypatch.setitem(connections._SETTINGS, name, f"{WITHIN_SECONDS}s")  # noqa: SLF001  of no other use
