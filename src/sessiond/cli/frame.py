"""What every verb shares: its common options, how it is run, how it answers, and which exit code a refusal gets.

A verb is an async function that takes an open deployment and its own arguments and returns an `Answer`. `verb` makes a
command of it.
"""

from __future__ import annotations

import asyncio
import enum
import inspect
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import msgspec
import typer
from rich.console import Console, RenderableType

from sessiond.bootstrap.first_start import first_start_text
from sessiond.bootstrap.tools import tools
from sessiond.cli.show import print_people
from sessiond.config.loading import Loaded, load
from sessiond.domain.errors import Misconfigured, NotFound, Refusal, Unavailable
from sessiond.domain.initiators import COMMAND_LINE
from sessiond.domain.startup import Start

BY = COMMAND_LINE
"""Whom events name for what a verb did."""


class Exit(enum.IntEnum):
    """The exit codes, as `docs/cli.md` has them."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    NOT_FOUND = 3
    UNAVAILABLE = 4
    INTERRUPTED = 130


class Answer(msgspec.Struct, frozen=True):
    """What a verb answers: *data* for machines (`--json`), *shown* for people, and the exit code.

    *data* None: the verb has written its answer itself.
    """

    data: Any
    shown: tuple[RenderableType, ...]
    exit: Exit = Exit.DONE


class Common(msgspec.Struct, frozen=True, kw_only=True):
    """The options that every verb has."""

    config: Path | None = None
    data_dir: str | None = None
    database: str | None = None
    secrets_dir: str | None = None
    pairs: list[str] = []
    as_json: bool = False

    def load(self) -> Loaded:
        """Return the settings that these options, the environment and the file give."""
        flags = {"data_dir": self.data_dir, "database": self.database, "secrets_dir": self.secrets_dir}
        return load(config=self.config, flags=flags, pairs=self.pairs)


_OPTIONS: Mapping[str, tuple[Any, Any]] = {
    "config": (Annotated[Path | None, typer.Option(metavar="FILE", help="The configuration file.")], None),
    "data_dir": (
        Annotated[str | None, typer.Option(metavar="DIR", help="The server's data directory.")],
        None,
    ),
    "database": (Annotated[str | None, typer.Option(metavar="URL", help="The server's database.")], None),
    "secrets_dir": (
        Annotated[str | None, typer.Option(metavar="DIR", help="The server's secrets directory.")],
        None,
    ),
    "pairs": (
        Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any other setting.")],
        None,
    ),
    "as_json": (Annotated[bool, typer.Option("--json", help="Answer in JSON, on standard output.")], False),
}

V = TypeVar("V", bound=Callable[..., Awaitable[Answer]])
P = TypeVar("P", bound=Callable[..., Answer])


def group(summary: str) -> typer.Typer:
    """Return an empty group of verbs; it stays a group when it has one verb only."""
    app = single()

    def several() -> None:
        """Have verbs below it."""

    app.callback(help=summary, no_args_is_help=True)(several)
    return app


def single() -> typer.Typer:
    """Return a place for one verb that stands at the top level."""
    return typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


def verb(app: typer.Typer, name: str, *, begins: bool = False, recovers: bool = False) -> Callable[[V], V]:
    """Make a command *name* of an async function that takes the open deployment first.

    One that *begins* may be the first thing that is ever done to an installation, before any server served it. One
    that *recovers* may be the first that is done to a restored database.
    """

    def register(function: V) -> V:
        def work(common: Common, values: Mapping[str, Any]) -> Answer:
            return asyncio.run(_beside_server(function, common, values, begins=begins, recovers=recovers))

        _register(app, name, function, work)
        return function

    return register


def plain_verb(app: typer.Typer, name: str) -> Callable[[P], P]:
    """Make a command *name* of a function that takes the common options first and opens nothing."""

    def register(function: P) -> P:
        def work(common: Common, values: Mapping[str, Any]) -> Answer:
            return function(common, **values)

        _register(app, name, function, work)
        return function

    return register


def _register(
    app: typer.Typer,
    name: str,
    function: Callable[..., Any],
    work: Callable[[Common, Mapping[str, Any]], Answer],
) -> None:
    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
    shared = [
        inspect.Parameter(option, inspect.Parameter.KEYWORD_ONLY, annotation=hint, default=default)
        for option, (hint, default) in _OPTIONS.items()
    ]

    def command(**values: Any) -> None:  # noqa: ANN401  typer hands over what the signature below says
        options = {option: values.pop(option) for option in _OPTIONS}
        options["pairs"] = options["pairs"] or []
        common = Common(**options)
        answer_or_exit(common.as_json, lambda: work(common, values))

    command.__doc__ = function.__doc__
    command.__annotations__ = {each.name: each.annotation for each in (*own, *shared)}
    command.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]  # inspect reads it
    app.command(name)(command)


async def _beside_server(
    function: Callable[..., Awaitable[Answer]],
    common: Common,
    values: Mapping[str, Any],
    *,
    begins: bool,
    recovers: bool,
) -> Answer:
    loaded = common.load()
    logging.basicConfig(level=logging.WARNING, format="sessiond: %(message)s", stream=sys.stderr)
    async with tools(loaded, begin=begins, recovers=recovers) as opened:
        if opened.start is Start.FIRST:
            sys.stderr.write(first_start_text(opened) + "\n")
        return await function(opened, **values)


def answer_or_exit(as_json: bool, work: Callable[[], Answer]) -> None:  # noqa: FBT001  one flag, named at its only calls
    """Do *work* and print its answer; end the process with the exit code of what refuses it."""
    code = Exit.DONE
    try:
        answer = work()
        code = answer.exit
        if as_json and answer.data is not None:
            sys.stdout.write(msgspec.json.format(msgspec.json.encode(answer.data), indent=2).decode() + "\n")
        else:
            print_people(answer.shown)
        sys.stdout.flush()
    except (Refusal, Misconfigured) as refusal:
        fail(refusal, as_json=as_json)
    except KeyboardInterrupt:
        raise typer.Exit(Exit.INTERRUPTED) from None
    except BrokenPipeError:
        # The reader went away, which is its right; keep the interpreter from telling at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if code is not Exit.DONE:
        raise typer.Exit(code)


def fail(refusal: Refusal | Misconfigured, *, as_json: bool) -> NoReturn:
    """Say on standard error why it was refused, and end the process with the refusal's exit code."""
    code, detail = "misconfigured", str(refusal)
    if isinstance(refusal, Refusal):
        code, detail = refusal.code, refusal.detail
    if as_json:
        error = {"error": {"code": code, "detail": detail}}
        sys.stderr.write(msgspec.json.encode(error).decode() + "\n")
    else:
        Console(stderr=True, soft_wrap=True).print(f"sessiond: {detail}", markup=False, highlight=False)
    raise typer.Exit(exit_code_of(refusal))


def exit_code_of(refusal: Refusal | Misconfigured) -> Exit:
    """Return the exit code of a refusal."""
    match refusal:
        case Misconfigured():
            return Exit.USAGE
        case NotFound():
            return Exit.NOT_FOUND
        case Unavailable():
            return Exit.UNAVAILABLE
        case _:
            return Exit.REFUSED
