"""Where settings come from: the file, the environment, the command line. Each becomes names with raw values."""

from __future__ import annotations

import difflib
import enum
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from sessiond.config.settings import SECRETS, declared, variable_of
from sessiond.domain.errors import Misconfigured

PREFIX = "SESSIOND_"
CONFIG_VARIABLE = "SESSIOND_CONFIG"
_LARGEST_FILE = 1 << 20


class Source(enum.StrEnum):
    """Where a value came from, the weakest first."""

    DEFAULT = "default"
    FILE = "file"
    ENVIRONMENT = "environment"
    FLAG = "flag"


class Origin(msgspec.Struct, frozen=True):
    """A value's source, and which file, variable or flag it was."""

    source: Source
    where: str = ""

    def __str__(self) -> str:
        return f"{self.source} {self.where}".rstrip()


class Given(msgspec.Struct, frozen=True):
    """A raw value as a source gave it, under its origin; *label* names it in a refusal."""

    raw: object
    origin: Origin
    label: str


_FILE_SETTINGS = {secret.file_setting for secret in SECRETS}
_SECRET_NAMES = {secret.name for secret in SECRETS}


def read_file(path: Path) -> dict[str, Given]:
    """Return what the TOML file at *path* sets, by name.

    Raises `Misconfigured` for a file that cannot be read, for unknown names and for secrets in it.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(_LARGEST_FILE + 1)
        if len(content) > _LARGEST_FILE:
            raise Misconfigured(f"The configuration file {path} is larger than 1 MiB")
        tables = tomllib.loads(content.decode())
    except OSError as error:
        raise Misconfigured(f"The configuration file {path} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Misconfigured(f"The configuration file {path} is not TOML: {error}") from None
    return _flatten(tables, path)


def _flatten(tables: Mapping[str, object], path: Path) -> dict[str, Given]:
    known = {setting.name for setting in declared()} | _FILE_SETTINGS
    sections = {name.rpartition(".")[0] for name in known} - {""}
    flat: dict[str, object] = {}
    for name, value in tables.items():
        if name in sections and isinstance(value, dict):
            flat |= {f"{name}.{member}": inner for member, inner in value.items()}
        else:
            flat[name] = value
    for name in flat:
        if name in _SECRET_NAMES:
            raise Misconfigured(
                f"{name} is a secret and must not stand in {path}: give {variable_of(name)}, or {name}_file"
            )
        if name in sections:
            raise Misconfigured(f"{name} in {path} must be a table: [{name}]")
        if name not in known:
            raise Misconfigured(f"{path} sets {name}, which is no setting{_nearest(name, known)}")
    origin = Origin(Source.FILE, str(path))
    return {name: Given(value, origin, f"{name} in {path}") for name, value in flat.items()}


def read_environment(environ: Mapping[str, str]) -> dict[str, Given]:
    """Return what `SESSIOND_*` variables set, by name; secrets are not among them.

    An empty variable counts as not set. Raises `Misconfigured` for an unknown variable.
    """
    names = {variable_of(name): name for name in _FILE_SETTINGS}
    names |= {setting.variable: setting.name for setting in declared()}
    apart = {secret.variable for secret in SECRETS} | {CONFIG_VARIABLE}
    given = {}
    for variable, text in environ.items():
        if not variable.startswith(PREFIX) or variable in apart:
            continue
        if variable not in names:
            raise Misconfigured(f"{variable} is no setting of sessiond{_nearest(variable, {*names, *apart})}")
        if text:
            given[names[variable]] = Given(text, Origin(Source.ENVIRONMENT, variable), variable)
    return given


def read_flags(flags: Mapping[str, str | None], pairs: Iterable[str] = ()) -> dict[str, Given]:
    """Return what flags set, by name: *flags* by setting name (None: not given), *pairs* as `NAME=VALUE` of `--set`."""
    given = {}
    for name, text in flags.items():
        if text is not None:
            flag = "--" + name.replace(".", "-").replace("_", "-")
            given[name] = Given(text, Origin(Source.FLAG, flag), flag)
    known = {setting.name for setting in declared()} | _FILE_SETTINGS
    for pair in pairs:
        name, sign, text = pair.partition("=")
        if not sign:
            raise Misconfigured(f"--set {name} has no value: write --set NAME=VALUE")
        if name in _SECRET_NAMES:
            raise Misconfigured(
                f"{name} is a secret and no flag, which others could see: give {variable_of(name)}"
            )
        if name not in known:
            raise Misconfigured(f"--set {name} is no setting{_nearest(name, known)}")
        given[name] = Given(text, Origin(Source.FLAG, f"--set {name}"), f"--set {name}")
    return given


def _nearest(name: str, known: Iterable[str]) -> str:
    # Without the prefix, which would make any two variables alike.
    bare = {each.removeprefix(PREFIX): each for each in known}
    found = difflib.get_close_matches(name.removeprefix(PREFIX), list(bare), n=1, cutoff=0.75)
    return f"; did you mean {bare[found[0]]}?" if found else "; `sessiond config show` lists them all"
