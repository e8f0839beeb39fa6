"""The parts of uvicorn that the protocol leans on, and that no interface promises: this fails when they move."""

from __future__ import annotations

import inspect
from importlib import metadata

import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import Server, ServerState


def source_of(name: str) -> str:
    return inspect.getsource(getattr(HttpToolsProtocol, name))


def test_the_version_is_the_one_that_is_pinned() -> None:
    pinned = [need for need in metadata.requires("sessiond") or [] if need.startswith("uvicorn")]

    assert pinned == [f"uvicorn=={uvicorn.__version__}"]


def test_a_protocol_is_made_as_ours_expects() -> None:
    assert list(inspect.signature(HttpToolsProtocol.__init__).parameters) == [
        "self", "config", "server_state", "app_state", "_loop",
    ]  # fmt: skip


def test_tasks_are_started_only_in_what_ours_replaces() -> None:
    source = inspect.getsource(HttpToolsProtocol)

    assert source.count("self._start_asgi_task(") == sum(
        source_of(replaced).count("self._start_asgi_task(")
        for replaced in ("on_headers_complete", "on_response_complete")
    )


def test_the_body_and_its_end_are_told_to_the_present_cycle() -> None:
    body, end, lost = source_of("on_body"), source_of("on_message_complete"), source_of("connection_lost")

    for used in ("self.cycle.body += body", "self.cycle.message_event.set()", "self.flow.pause_reading()"):
        assert used in body
    for used in (
        "self.cycle.response_complete",
        "self.cycle.more_body = False",
        "self.cycle.message_event.set()",
    ):
        assert used in end
    for used in (
        "self.cycle.disconnected = True",
        "self.cycle.message_event.set()",
        "self.connections.discard(self)",
    ):
        assert used in lost


def test_a_shutdown_closes_idle_connections_and_lets_busy_ones_finish() -> None:
    shutdown = source_of("shutdown")

    assert "self.cycle is None or self.cycle.response_complete" in shutdown
    assert "self.cycle.keep_alive = False" in shutdown


def test_no_timer_is_set_but_in_what_ours_replaces() -> None:
    setting = [
        name for name, member in vars(HttpToolsProtocol).items()
        if inspect.isfunction(member) and "call_later" in inspect.getsource(member)
    ]  # fmt: skip

    assert setting == ["on_response_complete"]


def test_the_server_keeps_its_state_where_ours_looks() -> None:
    state = ServerState()

    assert (state.connections, state.tasks, state.total_requests, state.default_headers) == (
        set(),
        set(),
        0,
        [],
    )
    assert {"write_paused", "pause_reading", "resume_reading", "drain"} <= set(dir(FlowControl)) | set(
        FlowControl.__init__.__code__.co_names
    )
    for name in ("startup", "capture_signals", "serve", "on_tick"):
        assert callable(getattr(Server, name))
