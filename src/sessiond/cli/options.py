"""Options that several verbs share."""

from __future__ import annotations

from typing import Annotated

import typer

ProjectOption = Annotated[str, typer.Option(metavar="NAME", help="The project, by name or id.")]
LimitOption = Annotated[int, typer.Option(min=1, max=1000, help="How many to list at most.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
OffsetOption = Annotated[int, typer.Option(min=0, help="How many to skip.")]
