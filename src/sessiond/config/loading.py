"""Loading: the sources, one over the other, become `Settings`; each value keeps its origin."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, MutableMapping
from pathlib import Path
from typing import Any

import msgspec

from sessiond.config.checks import check_settings
from sessiond.config.coercion import coerce
from sessiond.config.secrets import Secrets, read_secrets
from sessiond.config.settings import Setting, Settings, declared
from sessiond.config.sources import (
    CONFIG_VARIABLE,
    Given,
    Origin,
    Source,
    read_environment,
    read_file,
    read_flags,
)
from sessiond.domain.errors import Misconfigured
from sessiond.domain.policies import Preset, preset_policy

_DEFAULT = Origin(Source.DEFAULT)


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """The effective settings, where each came from, and the secrets that were given.

    *origins* has every setting's name. *given* is how it was asked for, so that it can be loaded again.
    """

    settings: Settings
    origins: Mapping[str, Origin]
    secrets: Secrets
    config: Path | None
    flags: Mapping[str, Given]

    def value_of(self, name: str) -> object:
        """Return the effective value of the setting *name*."""
        section, _, member = name.rpartition(".")
        holder = getattr(self.settings, section) if section else self.settings
        return getattr(holder, member)

    def reloaded(self, environ: Mapping[str, str]) -> Loaded:
        """Return the settings as they are now in the file; flags and secrets stay.

        Raises `Misconfigured` like the first load.
        """
        given = _gather(self.config, environ, self.flags)
        settings, origins = _settle(given)
        return msgspec.structs.replace(self, settings=settings, origins=origins)


def load(
    *,
    config: Path | None = None,
    flags: Mapping[str, str | None] | None = None,
    pairs: Iterable[str] = (),
    environ: MutableMapping[str, str] | None = None,
) -> Loaded:
    """Return the settings from the file at *config* (or `SESSIOND_CONFIG`), the environment and the flags.

    A flag goes before the environment, the environment before the file, the file before the default. Secrets are
    taken out of *environ* (the process's own unless given). Raises `Misconfigured`.
    """
    environment = os.environ if environ is None else environ
    if config is None and environment.get(CONFIG_VARIABLE):
        config = Path(environment[CONFIG_VARIABLE])
    from_flags = read_flags(flags or {}, pairs)
    given = _gather(config, environment, from_flags)
    settings, origins = _settle(given)
    secrets = read_secrets(environment, given)
    return Loaded(settings=settings, origins=origins, secrets=secrets, config=config, flags=from_flags)


def _gather(config: Path | None, environ: Mapping[str, str], flags: Mapping[str, Given]) -> dict[str, Given]:
    from_file = read_file(config) if config is not None else {}
    return from_file | read_environment(environ) | dict(flags)


def _settle(given: Mapping[str, Given]) -> tuple[Settings, dict[str, Origin]]:
    values: dict[str, dict[str, object]] = {}
    origins: dict[str, Origin] = {}
    for setting in declared():
        found = given.get(setting.name)
        origins[setting.name] = found.origin if found else _DEFAULT
        if found is not None:
            member = setting.name.rpartition(".")[2]
            values.setdefault(setting.section, {})[member] = coerce(setting, found.raw, where=found.label)
    settings = _build(values)
    try:
        check_settings(settings)
    except Misconfigured as error:
        raise Misconfigured(_with_origin(str(error), origins)) from None
    return settings, origins


def _build(values: Mapping[str, Mapping[str, object]]) -> Settings:
    top: dict[str, Any] = dict(values.get("", {}))
    base = Settings()
    for section, members in values.items():
        if section:
            holder = getattr(base, section)
            if section == "policy":
                holder = _preset_of(members.get("preset"))
            top[section] = msgspec.structs.replace(holder, **members)
    return Settings(**top)


def _preset_of(preset: object) -> object:
    # A preset chosen by name brings its own limits; what is set beside it goes before them.
    if isinstance(preset, Preset) and preset is not Preset.CUSTOM:
        return preset_policy(preset)
    return Settings().policy


def _with_origin(sentence: str, origins: Mapping[str, Origin]) -> str:
    name = sentence.split(" ", 1)[0]
    origin = origins.get(name, _DEFAULT)
    return sentence if origin.source is Source.DEFAULT else f"{sentence} (from {origin})"


def settings_of(loaded: Loaded) -> Iterable[tuple[Setting, object, Origin]]:
    """Yield every setting with its effective value and its origin."""
    for setting in declared():
        yield setting, loaded.value_of(setting.name), loaded.origins[setting.name]
