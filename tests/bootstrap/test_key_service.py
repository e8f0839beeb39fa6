"""A key service keeps what opens the wrapping key: starts and moves ask it, and nothing else does."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import httpx
import pytest

from sessiond.bootstrap.aws_kms import AwsKms
from sessiond.bootstrap.key_services import key_wrapper
from sessiond.bootstrap.opening import Opened, open_deployment
from sessiond.bootstrap.rewrapping import rewrap, start_over
from sessiond.config.loading import load
from sessiond.config.secrets import encode_key
from sessiond.domain.errors import Misconfigured, Unavailable
from sessiond.domain.ids import DEFAULT_PROJECT
from sessiond.domain.keys import KeyKind
from sessiond.domain.startup import Start
from sessiond.services.ports import KeyWrapper
from sessiond.storage.engine import Role
from sessiond.testing.key_wrapper_contract import INSTALL_ID, KEY, KeyWrapperContract
from tests.deployment import BY
from tests.server_process import WITHIN_SECONDS, ServerProcess, sessiond_command
from tests.servers.kms import REGION, KmsServer
from tests.system.waiting import eventually

pytestmark = pytest.mark.slow  # botocore and moto are large


class Cut(Exception):
    """The process ended here."""


@pytest.fixture(scope="module")
def shared() -> Iterator[KmsServer]:
    with KmsServer.started() as server:
        yield server


@pytest.fixture
def kms(shared: KmsServer, monkeypatch: pytest.MonkeyPatch) -> KmsServer:
    """A key service that is there when a test begins, and that this process finds."""
    shared.come_back()
    for name, text in shared.environment.items():
        monkeypatch.setenv(name, text)
    return shared


class TestAwsKms(KeyWrapperContract):
    """AWS KMS keeps the contract of key services."""

    @pytest.fixture
    def wrapper(self, kms: KmsServer) -> KeyWrapper:
        return AwsKms(kms.new_key())

    @pytest.fixture
    def other(self, kms: KmsServer) -> KeyWrapper:
        return AwsKms(kms.new_key())

    def test_a_service_that_does_not_answer_is_unavailable(self, wrapper: KeyWrapper, kms: KmsServer) -> None:
        kms.go_away()

        with pytest.raises(Unavailable) as refusal:
            wrapper.wrap(KEY, install_id=INSTALL_ID)

        assert refusal.value.code == "key_service_unavailable"

    @pytest.mark.usefixtures("kms")
    def test_a_key_that_does_not_exist_is_told(self) -> None:
        missing = f"arn:aws:kms:{REGION}:123456789012:key/7d5bd8c2-54c6-4fd9-9d86-9f5e1f3a1d10"

        with pytest.raises(Misconfigured, match="NotFoundException"):
            AwsKms(missing).wrap(KEY, install_id=INSTALL_ID)

    @pytest.mark.usefixtures("kms")
    def test_an_endpoint_on_which_others_could_listen_is_refused(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", "http://kms.example.org")

        with pytest.raises(Misconfigured, match="https"):
            AwsKms(f"arn:aws:kms:{REGION}:123456789012:key/1")

    @pytest.mark.usefixtures("kms")
    def test_an_alias_needs_a_region(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_REGION", raising=False)
        monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)

        with pytest.raises(Misconfigured, match="region"):
            AwsKms("alias/sessiond")


def test_without_its_library_the_setting_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "sessiond.bootstrap.aws_kms")
    monkeypatch.setitem(sys.modules, "botocore.config", None)

    with pytest.raises(Misconfigured, match=r"sessiond\[aws\]"):
        key_wrapper("aws-kms:alias/sessiond")


class Machine:
    """One data directory, and the key service of its settings."""

    def __init__(self, data_dir: Path, key: str) -> None:
        self.data_dir = data_dir
        self.key = key

    async def opened(self, role: Role = Role.TOOL, *, service: bool = True) -> Opened:
        flags = {"data_dir": str(self.data_dir)}
        if service:
            flags["key_service"] = f"aws-kms:{self.key}"
        return await open_deployment(load(environ={}, flags=flags), role)

    async def rewrapped(self, *, service: bool = True, cut_after: int | None = None) -> None:
        said: list[str] = []

        def say(line: str) -> None:
            said.append(line)
            if len(said) == cut_after:
                raise Cut

        opened = await self.opened(service=service)
        try:
            await rewrap(opened, say, by=BY)
        finally:
            await opened.close()

    def give_next_key(self) -> None:
        path = self.data_dir / "secrets" / "next-key"
        path.write_text(encode_key(KEY))
        path.chmod(0o600)

    def files(self) -> list[str]:
        names = (path.name for path in (self.data_dir / "secrets").iterdir())
        return sorted(re.sub("former-key-.*", "former-key", name) for name in names if "key" in name)


@pytest.fixture
def machine(tmp_path: Path, kms: KmsServer) -> Machine:
    return Machine(tmp_path / "data", kms.new_key())


async def within(seconds: float, look: Callable[[], Awaitable[int]]) -> int:
    """Return what *look* returns once it is available; it is asked until then."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return await look()
        except Unavailable:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)


async def kid(opened: Opened) -> int:
    """Return what tells one ring from another, as *opened* reads it now."""
    await opened.services.keys.reload(at_once=True)
    return opened.services.keys.ring.active_root(DEFAULT_PROJECT).kid


async def kid_after_a_move(server: Opened) -> int:
    """Return `kid` once the key service has answered the server, which it does not wait for without end."""
    return await within(WITHIN_SECONDS, lambda: kid(server))


async def test_an_installation_that_begins_under_a_service_leaves_no_wrapping_key_on_the_machine(
    machine: Machine, kms: KmsServer
) -> None:
    first = await machine.opened(Role.SERVER)
    before, deployment = await kid(first), first.services.keys.deployment
    await first.close()

    again = await machine.opened(Role.SERVER)

    assert (first.start, again.start, await kid(again)) == (Start.FIRST, Start.ORDINARY, before)
    await again.close()
    key = kms.unwrapped(machine.key, deployment.wrapped_key or b"", deployment.install_id)
    kept = b"".join(path.read_bytes() for path in machine.data_dir.rglob("*") if path.is_file())
    assert "key" not in machine.files()
    assert not any(
        text in kept for text in (key, b64encode(key), encode_key(key).encode(), key.hex().encode())
    )


async def test_a_first_start_without_the_service_makes_nothing_and_can_be_repeated(
    machine: Machine, kms: KmsServer
) -> None:
    kms.go_away()
    with pytest.raises(Unavailable) as refusal:
        await machine.opened(Role.SERVER)
    kms.come_back()

    opened = await machine.opened(Role.SERVER)

    assert refusal.value.code == "key_service_unavailable"
    assert opened.start is Start.FIRST
    await opened.close()


async def test_a_start_without_the_service_is_refused_and_a_running_server_goes_on(
    machine: Machine, kms: KmsServer
) -> None:
    server = await machine.opened(Role.SERVER)
    before = await kid(server)
    kms.go_away()

    with pytest.raises(Unavailable, match="does not answer"):
        await machine.opened(Role.TOOL)
    await server.services.rotating.rotate(DEFAULT_PROJECT, KeyKind.ROOT, by=BY)

    assert await kid(server) == before  # its successor is younger than a minute
    assert any(key.activates_at for key in server.services.keys.ring.held())
    await server.close()


async def test_a_move_that_the_service_does_not_answer_changes_nothing(
    machine: Machine, kms: KmsServer
) -> None:
    server = await machine.opened(Role.SERVER)
    before = server.services.keys.fingerprint, server.services.keys.deployment
    kms.go_away()

    with pytest.raises(Unavailable) as refusal:
        await rewrap(server, lambda _: None, by=BY)

    await server.services.keys.reload(at_once=True)
    assert refusal.value.code == "key_service_unavailable"
    assert (server.services.keys.fingerprint, server.services.keys.deployment) == before
    await server.close()


async def test_the_ring_moves_from_a_file_to_the_service_and_back_beside_a_running_server(
    machine: Machine,
) -> None:
    await (await machine.opened(service=False)).close()
    server = await machine.opened(Role.SERVER)
    before, fingerprints = await kid(server), [server.services.keys.fingerprint]

    await machine.rewrapped()
    seen = [await kid_after_a_move(server)]
    fingerprints.append(server.services.keys.fingerprint)
    wrapped, files = server.services.keys.deployment.wrapped_key, machine.files()
    await machine.rewrapped()
    seen.append(await kid_after_a_move(server))
    fingerprints.append(server.services.keys.fingerprint)
    machine.give_next_key()
    await machine.rewrapped()
    seen.append(await kid_after_a_move(server))
    fingerprints.append(server.services.keys.fingerprint)

    assert seen == [before] * 3
    assert len(set(fingerprints)) == 4
    assert wrapped is not None
    assert files == ["former-key", "server-key"]
    assert server.services.keys.deployment.wrapped_key is None
    await server.close()
    after = await machine.opened(Role.SERVER, service=False)
    assert (after.start, await kid(after)) == (Start.ORDINARY, before)
    assert machine.files() == ["former-key", "key", "server-key"]
    await after.close()


@pytest.mark.parametrize(("step", "back"), [(2, False), (1, True), (2, True)])
async def test_a_move_that_was_cut_off_is_survived_and_repeated(
    machine: Machine, step: int, *, back: bool
) -> None:
    await (await machine.opened(service=back)).close()
    server = await machine.opened(Role.SERVER)
    before = await kid(server)
    if back:
        machine.give_next_key()

    with pytest.raises(Cut):
        await machine.rewrapped(cut_after=step)

    assert await kid_after_a_move(server) == before
    await server.close()
    restarted = await machine.opened(Role.SERVER)
    assert (restarted.start, await kid(restarted)) == (Start.ORDINARY, before)
    await machine.rewrapped()
    assert await kid_after_a_move(restarted) == before
    assert (restarted.services.keys.deployment.wrapped_key is None) is back
    assert ("key" in machine.files()) is back
    await restarted.close()


async def test_a_server_that_meets_a_moved_ring_while_the_service_is_away_goes_on_once_it_is_back(
    machine: Machine, kms: KmsServer
) -> None:
    server = await machine.opened(Role.SERVER)
    before = await kid(server)
    await machine.rewrapped()
    kms.go_away()

    with pytest.raises(Unavailable) as refusal:
        await kid(server)
    kms.come_back()

    assert refusal.value.code == "key_unavailable"
    assert await kid_after_a_move(server) == before
    await server.close()


async def test_a_node_without_the_setting_is_told_what_is_missing(machine: Machine) -> None:
    await (await machine.opened()).close()

    with pytest.raises(Misconfigured, match="set key_service"):
        await machine.opened(service=False)


async def test_a_row_whose_key_somebody_else_wrapped_opens_nothing(machine: Machine, kms: KmsServer) -> None:
    await (await machine.opened()).close()
    machine.key = kms.new_key()

    with pytest.raises(Misconfigured, match="refuses to decrypt"):
        await machine.opened()


async def test_starting_over_draws_another_wrapping_key_under_the_service(machine: Machine) -> None:
    server = await machine.opened(Role.SERVER)
    before, former = await kid(server), server.services.keys.fingerprint

    await start_over(server, lambda _: None, by=BY)

    assert server.services.keys.ring.root(before) is None
    assert server.services.keys.fingerprint != former
    await server.close()


def test_neither_the_log_nor_a_command_shows_the_key_and_a_sealed_backup_opens_by_the_service(
    tmp_path: Path, kms: KmsServer
) -> None:
    key = kms.new_key()
    settings = {**kms.environment, "SESSIOND_KEY_SERVICE": f"aws-kms:{key}", "SESSIOND_LOG_LEVEL": "debug"}
    with ServerProcess.started(tmp_path, settings=settings) as server:
        made = server.run("backup", str(tmp_path / "backup"), "--sealed")
        moved = server.run("keys", "rewrap", "--json")
        alive = eventually(
            lambda: (
                httpx.post(
                    f"{server.url}/v1/sessions", json={"subject": "alice"}, headers=server.authorization
                ).status_code
                == httpx.codes.CREATED
            )
        )
        server.stop()
        restored = server.run("restore", str(tmp_path / "backup"), "--yes")
        server.restart()
        log, environment = server.log(), server.command_environment

    assert alive
    assert [made.returncode, moved.returncode, restored.returncode] == [0, 0, 0]
    assert f"wrapped by aws-kms:{key}" in log
    assert "every session has been ended" in log
    assert "botocore" not in log
    kms.go_away()
    refused = subprocess.run(
        [*sessiond_command(), "serve", "--port", "0"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=WITHIN_SECONDS,
        check=False,
    )
    assert (refused.returncode, "does not answer" in refused.stderr) == (4, True)
