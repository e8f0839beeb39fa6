"""`sessiond serve`: serve the APIs."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

from sessiond.bootstrap.serving import serve
from sessiond.cli.frame import Exit, fail, single
from sessiond.config.coercion import kind_text
from sessiond.config.loading import load
from sessiond.config.settings import Setting, declared
from sessiond.domain.errors import Misconfigured, Refusal

app = single()

_FLAGS = [setting for setting in declared() if not setting.section]


def _serve(
    *,
    config: Annotated[Path | None, typer.Option(metavar="FILE", help="The configuration file.")] = None,
    pairs: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any other setting.")
    ] = None,
    **flags: str | None,
) -> None:
    """Serve the APIs until SIGTERM; requests in flight are answered first.

    The first start makes keys, a server key and the master token, and says where they are. SIGHUP reads again what can
    be reloaded. Every option is a setting (docs/configuration.md): SESSIOND_PORT is --port.
    """
    try:
        serve(load(config=config, flags=flags, pairs=pairs or ()))
    except (Misconfigured, Refusal) as refusal:
        fail(refusal, as_json=False)
    except KeyboardInterrupt:
        raise typer.Exit(Exit.INTERRUPTED) from None


def _option(setting: Setting) -> inspect.Parameter:
    values = kind_text(setting).removesuffix(", or none").replace(" or ", "|").replace(", ", "|")
    hint = Annotated[str | None, typer.Option(metavar=values.upper(), help=setting.about.text)]
    return inspect.Parameter(setting.name, inspect.Parameter.KEYWORD_ONLY, annotation=hint, default=None)


def _with_flags() -> Any:  # noqa: ANN401  a command with one option for each setting
    own = [
        each
        for each in inspect.signature(_serve, eval_str=True).parameters.values()
        if each.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    options = [_option(setting) for setting in _FLAGS]
    _serve.__signature__ = inspect.Signature([*options, *own])  # type: ignore[attr-defined]  # inspect reads it
    _serve.__annotations__ = {each.name: each.annotation for each in (*options, *own)}
    return _serve


app.command("serve")(_with_flags())
