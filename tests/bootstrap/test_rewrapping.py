"""Moving to another wrapping key: nothing is lost, whenever it is cut off, and running servers follow."""

from __future__ import annotations

from pathlib import Path

import pytest

from sessiond.bootstrap.opening import Opened, open_deployment
from sessiond.bootstrap.rewrapping import rewrap, start_over
from sessiond.config.loading import load
from sessiond.config.secrets import encode_key
from sessiond.domain.errors import Misconfigured, Unavailable
from sessiond.domain.ids import DEFAULT_PROJECT
from sessiond.domain.startup import Start
from sessiond.storage.engine import Role
from tests.deployment import BY

ONE, TWO, THREE = (encode_key(bytes(range(start, start + 32))) for start in (0, 1, 2))


class Cut(Exception):
    """The process ended here."""


class Machine:
    """One data directory and what of its secrets is given from outside."""

    def __init__(self, data_dir: Path, **variables: str) -> None:
        self.data_dir = data_dir
        self.variables = variables

    async def opened(self, role: Role = Role.TOOL, **variables: str) -> Opened:
        environ = {f"SESSIOND_{name}": text for name, text in (self.variables | variables).items()}
        loaded = load(environ=environ, flags={"data_dir": str(self.data_dir)})
        return await open_deployment(loaded, role)

    async def serving(self) -> Opened:
        return await self.opened(Role.SERVER)

    async def rewrapped(self, *, cut_after: int | None = None, **variables: str) -> None:
        said: list[str] = []

        def say(line: str) -> None:
            said.append(line)
            if len(said) == cut_after:
                raise Cut

        opened = await self.opened(Role.TOOL, **variables)
        try:
            await rewrap(opened, say, by=BY)
        finally:
            await opened.close()

    def files(self) -> list[str]:
        names = (path.name for path in (self.data_dir / "secrets").iterdir())
        return sorted(
            "former-key" if name.startswith("former-key-") else name for name in names if "key" in name
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "data")


async def kid(opened: Opened) -> int:
    await opened.services.keys.reload(at_once=True)
    return opened.services.keys.ring.active_root(DEFAULT_PROJECT).kid


async def test_the_ring_moves_and_the_former_key_is_kept(machine: Machine) -> None:
    server = await machine.serving()
    before, former = await kid(server), server.services.keys.fingerprint

    await machine.rewrapped()

    assert await kid(server) == before
    assert server.services.keys.fingerprint != former
    assert machine.files() == ["former-key", "key", "server-key"]
    assert (machine.data_dir / "secrets" / f"former-key-{former}").stat().st_mode & 0o777 == 0o600
    await server.close()
    again = await machine.serving()
    assert (again.start, await kid(again)) == (Start.ORDINARY, before)
    await again.close()


@pytest.mark.parametrize("step", [1, 2])
async def test_a_move_that_was_cut_off_is_survived_and_repeated(machine: Machine, step: int) -> None:
    server = await machine.serving()
    before, former = await kid(server), server.services.keys.fingerprint

    with pytest.raises(Cut):
        await machine.rewrapped(cut_after=step)

    assert await kid(server) == before
    await server.close()
    restarted = await machine.serving()
    assert (restarted.start, await kid(restarted)) == (Start.ORDINARY, before)
    assert (restarted.services.keys.fingerprint == former) is (step == 1)
    await machine.rewrapped()
    assert await kid(restarted) == before
    assert restarted.services.keys.fingerprint != former
    assert machine.files() == ["former-key", "key", "server-key"]
    await restarted.close()


async def test_keys_that_are_given_are_moved_between_without_touching_a_file(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "data", KEY=ONE)
    await (await machine.opened()).close()
    server = await machine.opened(Role.SERVER, NEXT_KEY=TWO)

    await machine.rewrapped(NEXT_KEY=TWO)

    before = await kid(server)
    await server.close()
    assert machine.files() == ["server-key"]
    after = await Machine(tmp_path / "data", KEY=TWO).opened()
    assert await kid(after) == before
    await after.close()
    with pytest.raises(Misconfigured):
        await machine.opened()


async def test_a_given_key_needs_the_next_one_given(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "data", KEY=ONE)

    with pytest.raises(Misconfigured, match="SESSIOND_NEXT_KEY"):
        await machine.rewrapped()


async def test_a_server_without_the_next_key_says_so_and_goes_on_once_it_is_there(
    tmp_path: Path,
) -> None:
    machine = Machine(tmp_path / "data", KEY=ONE)
    server = await machine.opened(Role.SERVER)
    await machine.rewrapped(NEXT_KEY=TWO)

    with pytest.raises(Unavailable) as refusal:
        await kid(server)

    assert refusal.value.code == "key_unavailable"
    await server.close()


async def test_a_next_key_that_is_given_is_kept_where_the_present_one_is(machine: Machine) -> None:
    await (await machine.opened()).close()

    await machine.rewrapped(NEXT_KEY=TWO)

    assert (machine.data_dir / "secrets" / "key").read_text().strip() == TWO


async def test_an_installation_begins_under_the_present_key(machine: Machine) -> None:
    await (await machine.opened(NEXT_KEY=TWO)).close()

    assert machine.files() == ["key", "server-key"]
    await (await machine.opened()).close()


async def test_two_different_next_keys_are_refused(machine: Machine) -> None:
    await (await machine.opened()).close()
    with pytest.raises(Cut):
        await machine.rewrapped(cut_after=1, NEXT_KEY=TWO)

    with pytest.raises(Misconfigured, match="another next key"):
        await machine.rewrapped(NEXT_KEY=THREE)


async def test_starting_over_refuses_every_key_and_moves_the_ring(machine: Machine) -> None:
    server = await machine.serving()
    before, former = await kid(server), server.services.keys.fingerprint
    epoch = server.services.keys.deployment.epoch

    tool = await machine.opened()
    await start_over(tool, lambda _: None, by=BY)
    await tool.close()

    assert await kid(server) != before
    assert server.services.keys.ring.root(before) is None
    assert server.services.keys.deployment.epoch != epoch
    assert server.services.keys.fingerprint != former
    await server.close()
    again = await machine.serving()
    assert again.start is Start.ORDINARY
    await again.close()


async def test_starting_over_trusts_no_key_of_a_move_that_was_cut_off(machine: Machine) -> None:
    await (await machine.opened()).close()
    with pytest.raises(Cut):
        await machine.rewrapped(cut_after=2)
    tool = await machine.opened()
    halfway = tool.services.keys.fingerprint

    await start_over(tool, lambda _: None, by=BY)

    assert tool.services.keys.fingerprint != halfway
    assert machine.files() == ["former-key", "former-key", "key", "server-key"]
    await tool.close()
