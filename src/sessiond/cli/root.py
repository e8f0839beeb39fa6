"""The root of the command line. A group of verbs is imported when one of its verbs runs, so that help is fast."""

from __future__ import annotations

import importlib
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import sessiond

VERBS = {
    "serve": "Serve the APIs.",
    "users": "People who sign in with a name and a PIN.",
    "sessions": "Sessions: list, show and revoke them.",
    "subjects": "Subjects: list, search and erase them.",
    "explain": "What a token is, and why it passes or not.",
    "server-keys": "Server keys: what applications present.",
    "master-token": "The operator's master token.",
    "projects": "Projects: tenants that never see each other.",
    "keys": "The keys that tokens are made with.",
    "policy": "A project's policy: how long its sessions live.",
    "audit": "The audit: list and export what happened, and check that nobody changed it.",
    "backup": "Copy an embedded database while the server runs.",
    "restore": "Put a backup in the place of the database.",
    "recover": "End every session after a restore.",
    "migrate": "Move everything to another database, of any engine.",
    "purge": "Remove what ended long enough ago.",
    "config": "The settings, and where each came from.",
}
"""Every verb and group of verbs with its one line of help; the module of the same name below this package has it."""


class LazyVerbs(TyperGroup):
    """Lists every verb at once, and imports the module of one when it is to run."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401  typer keeps these types to itself
        """Return the verb that *args* begin with, imported."""
        if args and args[0] in VERBS:
            self.commands[args[0]] = load_verb(args[0])
        return super().resolve_command(ctx, args)


def load_verb(name: str) -> Any:  # noqa: ANN401  the same
    """Return the command of this verb or group of verbs."""
    module = importlib.import_module(f"sessiond.cli.{name.replace('-', '_')}")
    command = typer.main.get_command(module.app)
    command.name = name
    return command


def _version(asked: bool) -> None:  # noqa: FBT001  typer calls it with the flag's value
    if asked:
        sys.stdout.write(f"sessiond {sessiond.__version__}\n")
        raise typer.Exit


app = typer.Typer(
    cls=LazyVerbs,
    add_completion=False,
    rich_markup_mode=None,  # rich help needs 0.3 s to import what it does not use
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def sessiond_command(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Issue, verify, refresh, list and revoke sessions.

    The commands work beside a running server: give them its --data-dir (and --database where it has one).
    """


def _placeholder() -> None:
    """Stand for a verb that is not imported yet."""


for _name, _help in VERBS.items():
    app.command(_name, help=_help)(_placeholder)


def run() -> None:
    """Run the command line and end the process with its exit code."""
    app()
