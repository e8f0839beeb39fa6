"""What stands beside a setting where it is declared: a sentence for people, and the range it must lie in."""

from __future__ import annotations

from datetime import timedelta

import msgspec


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """The annotation of a setting: `Annotated[timedelta, Described(text="…", least=…)]`.

    *least* and *most* are inclusive; *step* is what a value must be a whole multiple of.
    """

    text: str
    least: timedelta | int | None = None
    most: timedelta | int | None = None
    step: timedelta | None = None
