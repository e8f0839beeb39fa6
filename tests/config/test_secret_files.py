from __future__ import annotations

import stat
from pathlib import Path

import pytest

from sessiond.config.secret_files import SecretFiles, make_private_directory
from sessiond.crypto.secrets import Secret
from sessiond.domain.errors import Misconfigured, Unavailable
from sessiond.domain.startup import Witness

WITNESS = Witness(install_id="i", epoch=-5, newest_event=7)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def files(tmp_path: Path) -> SecretFiles:
    made = SecretFiles(tmp_path / "data" / "secrets")
    made.make()
    return made


def test_directories_are_made_for_their_owner_alone(tmp_path: Path) -> None:
    make_private_directory(tmp_path / "a" / "b")

    assert mode_of(tmp_path / "a" / "b") == 0o700


def test_an_empty_directory_of_ours_is_closed_to_others(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir(mode=0o755)

    make_private_directory(empty)

    assert mode_of(empty) == 0o700


def test_a_directory_in_use_that_is_open_to_others_is_refused_and_left_alone(tmp_path: Path) -> None:
    used = tmp_path / "used"
    used.mkdir()
    (used / "file").touch()
    used.chmod(0o750)

    with pytest.raises(Misconfigured, match=r"mode 0750.*chmod 700"):
        make_private_directory(used)
    assert mode_of(used) == 0o750


def test_a_file_where_the_directory_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(Misconfigured, match="cannot be used: File exists"):
        make_private_directory(tmp_path / "file")


def test_a_secret_is_written_once_with_mode_0600(files: SecretFiles) -> None:
    first = files.add("key", Secret("one"))
    second = files.add("key", Secret("two"))

    assert first.reveal() == second.reveal() == "one"
    assert mode_of(files.path("key")) == 0o600


def test_a_secret_that_cannot_be_written_leaves_nothing_behind(files: SecretFiles) -> None:
    files.path("server-key").mkdir()

    with pytest.raises(Misconfigured, match="no regular file"):
        files.add("server-key", Secret("one"))
    assert [path.name for path in files.directory.iterdir()] == ["server-key"]


def test_a_secret_that_is_not_there_is_none(files: SecretFiles) -> None:
    assert files.read("key") is None


def test_the_kept_master_token_is_replaced(files: SecretFiles) -> None:
    files.add("master-token", Secret("one"))

    with files.replacing(Secret("two")):
        assert mode_of(files.path("master-token")) == 0o600

    kept = files.read("master-token")
    assert kept is not None
    assert kept.reveal() == "two"
    assert mode_of(files.path("master-token")) == 0o600
    assert sorted(path.name for path in files.directory.iterdir()) == ["master-token"]


def test_the_kept_master_token_stays_when_its_replacement_fails(files: SecretFiles) -> None:
    files.add("master-token", Secret("one"))

    with pytest.raises(Unavailable, match="store"), files.replacing(Secret("two")):
        raise Unavailable("store_unavailable", "not now")

    kept = files.read("master-token")
    assert kept is not None
    assert kept.reveal() == "one"
    assert sorted(path.name for path in files.directory.iterdir()) == ["master-token"]


def test_the_witness_is_read_as_it_was_written(files: SecretFiles) -> None:
    assert files.read_witness() is None

    files.write_witness(WITNESS)

    assert files.read_witness() == WITNESS
    assert mode_of(files.path("witness")) == 0o600


def test_a_damaged_witness_is_refused_with_what_to_do(files: SecretFiles) -> None:
    files.write_witness(WITNESS)
    files.path("witness").write_text('{"install_id": 5}')

    with pytest.raises(Misconfigured, match="sessiond recover"):
        files.read_witness()


def test_a_witness_that_others_can_write_is_refused(files: SecretFiles) -> None:
    files.write_witness(WITNESS)
    files.path("witness").chmod(0o622)

    with pytest.raises(Misconfigured, match="chmod 600"):
        files.read_witness()


def test_a_witness_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot be written"):
        SecretFiles(tmp_path / "gone").write_witness(WITNESS)
