from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sessiond.bootstrap.opening import Opened, open_deployment, settle_server, without_password
from sessiond.bootstrap.tools import tools
from sessiond.config.loading import load
from sessiond.config.secrets import encode_key
from sessiond.domain.errors import Misconfigured, Refusal
from sessiond.domain.initiators import Initiator
from sessiond.domain.startup import Start
from sessiond.storage.engine import Role
from tests.deployment import BY

SEED = "first-server-key-0123456789abcdefghij"
OTHER_SEED = "other-server-key-0123456789abcdefghij"
MASTER = "the-master-token-0123456789abcdefghij"


class Machine:
    """One data directory, started again and again."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.secrets = data_dir / "secrets"
        self.said: list[str] = []

    @asynccontextmanager
    async def served(self, **variables: str) -> AsyncIterator[Opened]:
        environ = {f"SESSIOND_{name}": text for name, text in variables.items()}
        loaded = load(environ=environ, flags={"data_dir": str(self.data_dir)})
        opened = await open_deployment(loaded, Role.SERVER)
        try:
            await settle_server(opened, self.said.append)
            yield opened
        finally:
            await opened.close()

    async def start(self, **variables: str) -> Opened:
        async with self.served(**variables) as opened:
            return opened


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "data")


def copied(database: Path, to: Path) -> None:
    with sqlite3.connect(database) as source, sqlite3.connect(to) as target:
        source.backup(target)
    source.close()
    target.close()


async def test_a_first_start_makes_keys_a_server_key_and_the_master_token_for_the_owner_alone(
    machine: Machine,
) -> None:
    async with machine.served() as opened:
        assert opened.start is Start.FIRST
        server_key = (machine.secrets / "server-key").read_text().strip()
        assert await opened.services.server_keys.find(server_key)
        assert await opened.services.credentials.is_master(
            (machine.secrets / "master-token").read_text().strip()
        )

    assert sorted(path.name for path in machine.secrets.iterdir()) == [
        "key",
        "master-token",
        "server-key",
        "witness",
    ]
    modes = {stat.S_IMODE(path.stat().st_mode) for path in machine.data_dir.rglob("*") if path.is_file()}
    assert modes == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (machine.data_dir, machine.secrets)} == {0o700}


async def test_a_second_start_is_ordinary_and_makes_nothing(machine: Machine) -> None:
    await machine.start()
    before = {path.name: path.read_bytes() for path in machine.secrets.iterdir()}

    opened = await machine.start()

    assert opened.start is Start.ORDINARY
    assert {path.name: path.read_bytes() for path in machine.secrets.iterdir()} == before
    assert machine.said == []


async def test_given_secrets_are_not_written_down(machine: Machine) -> None:
    await machine.start(SERVER_KEY=SEED, MASTER_TOKEN=MASTER, KEY=encode_key(bytes(range(32))))

    assert [path.name for path in machine.secrets.iterdir()] == ["witness"]


async def test_a_first_start_that_was_interrupted_can_be_repeated(machine: Machine) -> None:
    await machine.start()
    kept = (machine.secrets / "server-key").read_text()
    (machine.secrets / "witness").unlink()
    for path in machine.data_dir.glob("sessiond.db*"):
        path.unlink()

    opened = await machine.start()

    assert opened.start is Start.FIRST
    assert (machine.secrets / "server-key").read_text() == kept


async def test_a_wrapping_key_that_does_not_fit_is_refused(machine: Machine) -> None:
    await machine.start()

    with pytest.raises(Misconfigured, match="does not open the key ring"):
        await machine.start(KEY=encode_key(bytes(range(32))))


async def test_a_missing_wrapping_key_is_refused(machine: Machine) -> None:
    await machine.start()
    (machine.secrets / "key").unlink()

    with pytest.raises(Misconfigured, match="its wrapping key is not in"):
        await machine.start()
    assert not (machine.secrets / "key").exists()


async def test_an_empty_database_beside_an_initialised_key_is_refused(machine: Machine) -> None:
    await machine.start()
    for path in machine.data_dir.glob("sessiond.db*"):
        path.unlink()

    with pytest.raises(Misconfigured, match=r"is empty, but .* belongs to an installation"):
        await machine.start()


async def test_the_database_of_another_installation_is_refused(machine: Machine, tmp_path: Path) -> None:
    other = Machine(tmp_path / "other")
    await machine.start()
    await other.start()
    shutil.copy(other.data_dir / "sessiond.db", machine.data_dir / "sessiond.db")

    with pytest.raises(Misconfigured, match="of another installation"):
        await machine.start()


async def restored_backup(machine: Machine, backup: Path) -> int:
    """Put back a database that lacks what happened since; return its epoch."""
    epoch = (await machine.start()).services.keys.deployment.epoch
    copied(machine.data_dir / "sessiond.db", backup)
    async with machine.served() as opened:
        await opened.services.projects.add("later", by=BY)
        opened.files.write_witness(await opened.services.recovery.witness())
    for path in machine.data_dir.glob("sessiond.db*"):
        path.unlink()
    shutil.copy(backup, machine.data_dir / "sessiond.db")
    return epoch


async def test_a_restored_backup_gets_a_new_epoch_loudly(machine: Machine, tmp_path: Path) -> None:
    before = await restored_backup(machine, tmp_path / "backup")

    restored = await machine.start()
    again = await machine.start()

    assert restored.start is Start.BEHIND
    assert restored.services.keys.deployment.epoch != before
    assert "every session has been ended" in machine.said[0]
    assert again.start is Start.ORDINARY
    assert again.services.keys.deployment.epoch == restored.services.keys.deployment.epoch


async def test_commands_write_nothing_to_a_restored_backup_before_it_has_a_new_epoch(
    machine: Machine, tmp_path: Path
) -> None:
    """Each of their events would bring the database nearer to its witness, until no start notices any more."""
    before = await restored_backup(machine, tmp_path / "backup")
    loaded = load(environ={}, flags={"data_dir": str(machine.data_dir)})

    with pytest.raises(Misconfigured, match="run `sessiond recover`"):
        async with tools(loaded):
            pytest.fail("a command was let in")

    async with tools(loaded, recovers=True) as beside:
        assert beside.start is Start.BEHIND
        await beside.services.recovery.recover(by=BY, reason="restored")
        beside.files.write_witness(await beside.services.recovery.witness())
    async with tools(loaded) as beside:
        assert beside.start is Start.ORDINARY
        assert beside.services.keys.deployment.epoch != before


async def test_a_witness_that_was_lost_is_told_and_kept_anew(machine: Machine) -> None:
    await machine.start()
    (machine.secrets / "witness").unlink()

    await machine.start()

    assert "There was no witness" in machine.said[0]
    assert (machine.secrets / "witness").exists()


async def test_another_seeded_server_key_retires_the_former(machine: Machine) -> None:
    await machine.start(SERVER_KEY=SEED)

    async with machine.served(SERVER_KEY=OTHER_SEED) as opened:
        assert await opened.services.server_keys.find(OTHER_SEED)
        assert await opened.services.server_keys.find(SEED) is None
    assert "is revoked" in machine.said[0]


async def test_a_server_key_in_a_file_of_ours_outlives_a_seed(machine: Machine) -> None:
    await machine.start()
    kept = (machine.secrets / "server-key").read_text().strip()

    async with machine.served(SERVER_KEY=SEED) as opened:
        assert await opened.services.server_keys.find(kept)
        assert await opened.services.server_keys.find(SEED)


async def test_another_master_token_at_a_later_start_is_refused(machine: Machine) -> None:
    await machine.start(MASTER_TOKEN=MASTER)
    await machine.start(MASTER_TOKEN=MASTER)

    with pytest.raises(Misconfigured, match="only seeds the first start"):
        await machine.start(MASTER_TOKEN=MASTER[::-1])


async def test_a_key_file_that_others_can_read_is_refused(machine: Machine) -> None:
    await machine.start()
    (machine.secrets / "key").chmod(0o640)

    with pytest.raises(Misconfigured, match="chmod 600"):
        await machine.start()


async def test_a_data_directory_that_others_can_look_into_is_refused(machine: Machine) -> None:
    await machine.start()
    machine.data_dir.chmod(0o755)

    with pytest.raises(Misconfigured, match="chmod 700"):
        await machine.start()


async def test_the_memory_engine_starts_anew_each_time_with_the_same_secrets(machine: Machine) -> None:
    first = await machine.start(DATABASE="memory://")
    kept = (machine.secrets / "server-key").read_text()
    second = await machine.start(DATABASE="memory://")

    assert first.start is second.start is Start.FIRST
    assert (machine.secrets / "server-key").read_text() == kept


async def test_a_command_works_beside_a_server(machine: Machine) -> None:
    async with machine.served() as opened:
        async with tools(load(environ={}, flags={"data_dir": str(machine.data_dir)})) as beside:
            project = await beside.services.projects.add("side", by=Initiator("cli"))

        assert await opened.services.projects.get(project.id) == project


@pytest.mark.parametrize("there", [True, False])
async def test_a_command_that_may_not_begin_makes_nothing(machine: Machine, there: bool) -> None:
    if there:
        machine.data_dir.mkdir(mode=0o700)

    with pytest.raises(Misconfigured, match="There is no installation in"):
        async with tools(load(environ={}, flags={"data_dir": str(machine.data_dir)})):
            pass
    assert list(machine.data_dir.rglob("*")) == []


async def test_a_command_that_may_begin_makes_the_installation(machine: Machine) -> None:
    loaded = load(environ={}, flags={"data_dir": str(machine.data_dir)})

    async with tools(loaded, begin=True) as opened:
        assert opened.start is Start.FIRST

    assert (await machine.start()).start is Start.ORDINARY


async def test_a_command_cannot_reach_memory(machine: Machine) -> None:
    with pytest.raises(Misconfigured, match="lives inside the server's process"):
        async with tools(
            load(environ={}, flags={"data_dir": str(machine.data_dir), "database": "memory://"})
        ):
            pass


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://user:secret@host/db", "postgresql://user:…@host/db"),
        ("postgresql://user:se/c@ret@host/db?namespace=a@b", "postgresql://user:…@host/db?namespace=a@b"),
        ("redis://:secret@host:6379/0", "redis://:…@host:6379/0"),
        ("sqlite:////var/lib/sessiond.db", "sqlite:////var/lib/sessiond.db"),
    ],
)
def test_a_database_is_shown_without_its_password(url: str, shown: str) -> None:
    assert without_password(url) == shown


@pytest.fixture
def one_core() -> Iterator[None]:
    """Let this thread, and those that it starts, run on one core alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.skipif(sys.platform != "linux", reason="a process can be told its cores on Linux alone")
@pytest.mark.usefixtures("one_core")
async def test_no_more_pins_are_hashed_at_once_than_there_are_cores_to_hash_on(machine: Machine) -> None:
    async with machine.served(PIN_HASHING_THREADS="2") as opened:
        hashing = opened.services.pin_hashing
        permits = [hashing.permit() for _ in range(17)]
        with pytest.raises(Refusal, match="Too many PINs"):
            permits.append(hashing.permit())
