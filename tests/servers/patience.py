"""Stores that wait for a busy server as long as a test may, where nothing of the test is about how long they wait.

A store gives a server seconds. On a busy machine one whose core is taken away is silent for longer than that, and a
test of something else would see a refusal.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator, MutableMapping
from typing import Any, Protocol

import pytest

_SECONDS = 120
_REDIS, _POSTGRESQL = "sessiond.storage.engines.redis", "sessiond.storage.engines.postgresql"


class Patching(Protocol):
    """What sets something, such as pytest's `monkeypatch`."""

    def setattr(self, target: Any, name: str, value: object, /) -> None: ...  # noqa: ANN401  whatever it is
    def setitem(self, dic: Any, name: Any, value: Any, /) -> None: ...  # noqa: ANN401


class ForGood:
    """Sets it once and for all."""

    def setattr(self, target: object, name: str, value: object) -> None:
        """Set an attribute."""
        setattr(target, name, value)

    def setitem(self, dic: MutableMapping[Any, Any], name: object, value: object) -> None:
        """Set a member."""
        dic[name] = value


def shares_a_server(url: str) -> bool:
    """Tell whether the database at *url* is one of a server."""
    return url.startswith(("postgresql:", "redis:", "redis+cluster:"))


def be_patient(patching: Patching, url: str = "redis: postgresql:") -> None:
    """Let the stores of this process be patient from now on, at least those for *url*."""
    if "redis" in url:
        _with_redis(patching)
    if "postgresql:" in url:
        _with_postgresql(patching)


@contextlib.contextmanager
def patience(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the stores of this process be patient until the block ends."""
    with monkeypatch.context() as patching:
        be_patient(patching)
        yield


def _with_redis(patching: Patching) -> None:
    calls, link, nodes, sending = (
        importlib.import_module(f"{_REDIS}.{name}") for name in ("calls", "link", "nodes", "sending")
    )
    patching.setitem(link.Link.send.__kwdefaults__, "seconds", _SECONDS)
    patching.setattr(link, "CONNECT_SECONDS", _SECONDS)
    patching.setattr(nodes, "_MAP_SECONDS", _SECONDS)
    patching.setattr(sending, "ANSWER_SECONDS", _SECONDS)
    patching.setattr(sending, "WAIT_MILLISECONDS", _SECONDS * 1000)
    patching.setattr(calls, "MIGRATION_SECONDS", _SECONDS)


def _with_postgresql(patching: Patching) -> None:
    connections = importlib.import_module(f"{_POSTGRESQL}.connections")
    for name in ("CONNECT_SECONDS", "WAIT_SECONDS", "STATEMENT_SECONDS"):
        patching.setattr(connections, name, float(_SECONDS))
    for name in ("statement_timeout", "idle_in_transaction_session_timeout"):
        patching.setitem(connections._SETTINGS, name, f"{_SECONDS}s")  # noqa: SLF001  of no other use
