"""`sessiond policy`: how long a project's sessions live."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

import msgspec
import typer

from sessiond.bootstrap.opening import Opened
from sessiond.cli.frame import BY, Answer, group, verb
from sessiond.cli.options import ProjectOption
from sessiond.cli.show import facts
from sessiond.config.coercion import coerce, value_text
from sessiond.config.settings import declared
from sessiond.domain.policies import Policy, Preset, under
from sessiond.services.policies import Effective

app = group("A project's policy: how long its sessions live.")

_SETTINGS = {setting.name: setting for setting in declared() if setting.section == "policy"}


def _option(name: str) -> Any:  # noqa: ANN401  typer reads what this is
    return typer.Option(metavar="VALUE", help=_SETTINGS[f"policy.{name}"].about.text)


@verb(app, "show")
async def show(opened: Opened, project: ProjectOption = "default") -> Answer:
    """Show a project's policy, and whether it is its own."""
    services = opened.services
    owner = await services.projects.find(project)
    return _answer(await services.policies.get(owner.id))


@verb(app, "set")
async def change(
    opened: Opened,
    *,
    project: ProjectOption = "default",
    preset: Annotated[str | None, _option("preset")] = None,
    absolute_timeout: Annotated[str | None, _option("absolute_timeout")] = None,
    idle_timeout: Annotated[str | None, _option("idle_timeout")] = None,
    access_token_lifetime: Annotated[str | None, _option("access_token_lifetime")] = None,
    grace: Annotated[str | None, _option("grace")] = None,
    max_sessions: Annotated[str | None, _option("max_sessions")] = None,
    on_limit: Annotated[str | None, _option("on_limit")] = None,
    justification: Annotated[str | None, _option("justification")] = None,
) -> Answer:
    """Change a project's policy; what is not named stays, but another preset brings its own timeouts along.

    Sessions that live keep the limits that they were born with.
    """
    texts = {
        "preset": preset,
        "absolute_timeout": absolute_timeout,
        "idle_timeout": idle_timeout,
        "access_token_lifetime": access_token_lifetime,
        "grace": grace,
        "max_sessions": max_sessions,
        "on_limit": on_limit,
        "justification": justification,
    }
    given = {name: _typed(name, text) for name, text in texts.items() if text is not None}
    services = opened.services
    owner = await services.projects.find(project)
    changed = await services.policies.change(owner.id, lambda present: applied(present.policy, given), by=BY)
    return _answer(changed)


@verb(app, "reset")
async def reset(opened: Opened, project: ProjectOption = "default") -> Answer:
    """Return a project to the configured policy."""
    services = opened.services
    owner = await services.projects.find(project)
    return _answer(await services.policies.change(owner.id, lambda _: None, by=BY))


def applied(present: Policy, given: Mapping[str, object]) -> Policy:
    """Return *present* with what is *given*; a preset that is given also gives its timeouts."""
    preset = given.get("preset")
    if isinstance(preset, Preset):
        present = under(present, preset)
    return msgspec.structs.replace(present, **given)


def _typed(name: str, text: str) -> object:
    return coerce(_SETTINGS[f"policy.{name}"], text, where=f"--{name.replace('_', '-')}")


def _answer(effective: Effective) -> Answer:
    source = "project" if effective.own else "configuration"
    members = {name: getattr(effective.policy, name) for name in Policy.__struct_fields__}
    told = {name: _shown(value) for name, value in members.items()}
    people = {name: value_text(value) for name, value in members.items()}
    return Answer({"policy": told, "source": source}, (facts(people | {"source": source}),))


def _shown(value: object) -> object:
    return value_text(value) if isinstance(value, timedelta) else value
