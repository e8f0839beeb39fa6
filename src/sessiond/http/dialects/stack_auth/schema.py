"""Input as yup reads it: values are cast, every problem is listed, and the messages are yup's.

The messages were taken from the original's own schemas (`@stackframe/stack-shared` 2.8.108, yup 1.x), run on each case
of `tests/dialects/test_stack_auth_schema.py`. Lists are not cast to scalars, which yup does by accident of JavaScript.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from sessiond.http.dialects.stack_auth.errors import SchemaFaults

_MOST_PRINTED = 300
_DEEPEST_PRINTED = 4
_DECIMAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_RADIX = re.compile(r"0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+")
_INFINITE = re.compile(r"[+-]?Infinity")
_TRUE, _FALSE = re.compile(r"true|1", re.IGNORECASE), re.compile(r"false|0", re.IGNORECASE)

Rule = Callable[[object], str | None]
"""Returns what is wrong with a cast value, as the end of a sentence that starts with its path, or None."""


class _NotThisTypeError(Exception):
    """A value cannot be cast; *final* is what casting made of it."""

    def __init__(self, name: str, final: object) -> None:
        super().__init__(name)
        self.name = name
        self.final = final


class Field(Protocol):
    """One member: whether it must be there, whether null will do, how it is cast and what it must keep."""

    @property
    def required(self) -> bool:
        """Whether it must be there."""
        ...

    @property
    def nullable(self) -> bool:
        """Whether null will do."""
        ...

    @property
    def rules(self) -> Sequence[Rule]:
        """What a cast value must keep."""
        ...

    def cast(self, value: object) -> object:
        """Return the value as the member's type."""
        ...


@dataclass(frozen=True, slots=True)
class _Member:
    required: bool = False
    nullable: bool = False
    rules: Sequence[Rule] = ()


class Text(_Member):
    """A string; numbers and booleans are cast."""

    __slots__ = ()

    def cast(self, value: object) -> object:
        """Return the value as JavaScript's `toString` writes it."""
        if isinstance(value, str):
            return value
        if isinstance(value, bool | int | float):
            return _number_text(value)
        raise _NotThisTypeError("string", value)


class Number(_Member):
    """A number; strings are cast as JavaScript's `Number` does."""

    __slots__ = ()

    def cast(self, value: object) -> object:
        """Return an int or float."""
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value
        number = _number_of(value) if isinstance(value, str) else None
        if number is None:
            raise _NotThisTypeError("number", math.nan)
        return number


class Flag(_Member):
    """A boolean; `"true"`, `1` and their like are cast."""

    __slots__ = ()

    def cast(self, value: object) -> object:
        """Return a bool."""
        if isinstance(value, bool):
            return value
        text = _number_text(value) if isinstance(value, int | float) else value
        if isinstance(text, str):
            if _TRUE.fullmatch(text):
                return True
            if _FALSE.fullmatch(text):
                return False
        raise _NotThisTypeError("boolean", value)


class Anything(_Member):
    """Any JSON, as it stands."""

    __slots__ = ()

    def cast(self, value: object) -> object:
        """Return the value."""
        return value


def read(where: str, fields: Mapping[str, Field], value: object, *, closed: bool = True) -> dict[str, object]:
    """Return the members of *value* that *fields* name, cast; raises `SchemaFaults` with every problem.

    *where* is `body`, `query` or `params`. *closed*: members that *fields* does not name are a problem, else ignored.
    """
    if value is msgspec.UNSET:
        raise SchemaFaults([f"{where} must be defined"])
    if value is None:
        raise SchemaFaults([f"{where} cannot be null"])
    if not isinstance(value, dict):
        raise SchemaFaults([where + _wrong_type("object", value, value)])
    lines: list[str] = []
    found: dict[str, object] = {}
    for name, field in fields.items():
        problems, cast = _member(field, value.get(name, msgspec.UNSET))
        lines += [f"{where}.{name}{problem}" for problem in problems]
        if cast is not msgspec.UNSET:
            found[name] = cast
    unknown = [name[:_MOST_PRINTED] for name in value if name not in fields]
    if closed and unknown:
        lines.append(f"{where} contains unknown properties: {', '.join(unknown)}")
    if lines:
        raise SchemaFaults(lines)
    return found


def _member(field: Field, value: object) -> tuple[Sequence[str], object]:
    if value is msgspec.UNSET:
        return ([" must be defined"], value) if field.required else ([], value)
    if value is None:
        return ([], None) if field.nullable else ([" cannot be null"], None)
    try:
        cast = field.cast(value)
    except _NotThisTypeError as error:
        return [_wrong_type(error.name, error.final, value)], None
    problems = [rule(cast) for rule in field.rules]
    return [f" {problem}" for problem in problems if problem is not None], cast


# -- rules ----------------------------------------------------------------------------------------------------------


def at_least(limit: int) -> Rule:
    """Demand a number that is not below *limit*."""
    message = f"must be greater than or equal to {limit}"
    return lambda value: message if isinstance(value, int | float) and value < limit else None


def at_most(limit: int) -> Rule:
    """Demand a number that is not above *limit*."""
    message = f"must be less than or equal to {limit}"
    return lambda value: message if isinstance(value, int | float) and value > limit else None


def whole(value: object) -> str | None:
    """Demand a whole number."""
    fractional = isinstance(value, float) and not value.is_integer()
    return "must be an integer" if fractional else None


def one_of(*choices: str) -> Rule:
    """Demand one of *choices*."""
    message = f"must be one of the following values: {', '.join(choices)}"
    return lambda value: None if value in choices else message


def characters_at_most(limit: int) -> Rule:
    """Demand a text of at most *limit* characters."""
    message = f"must be at most {limit} characters"
    return lambda value: message if isinstance(value, str) and len(value) > limit else None


def accepted(check: Callable[[str], object], message: str) -> Rule:
    """Demand a text for which *check* is true."""
    return lambda value: None if isinstance(value, str) and check(value) else message


# -- JavaScript's ways ------------------------------------------------------------------------------------------------


def _number_of(text: str) -> int | float | None:
    compact = "".join(text.split())
    if len(compact) > _MOST_PRINTED or not compact.isascii():
        return None
    if _RADIX.fullmatch(compact):
        return int(compact, 0)
    if _INFINITE.fullmatch(compact):
        return float(compact)
    if _DECIMAL.fullmatch(compact) is None:
        return None
    number = float(compact)
    return int(number) if number.is_integer() else number


def _number_text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:  # noqa: PLR2004 - ECMA-262 section 6.1.6.1.20
        return str(int(value))
    return str(value)


def _wrong_type(name: str, final: object, original: object) -> str:
    cast_from = "" if final is original else f" (cast from the value `{_printed(original)}`)"
    return f" must be a `{name}` type, but the final value was: `{_printed(final)}`{cast_from}."


def _printed(value: object) -> str:
    """Return the value as yup prints it: scalars within lists and objects are quoted."""
    simple = _simple(value)
    if simple is None:
        simple = json.dumps(_quoted(value), indent=2, ensure_ascii=False)
    return simple if len(simple) <= _MOST_PRINTED else simple[:_MOST_PRINTED] + "…"


def _simple(value: object) -> str | None:
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    if isinstance(value, bool | int | float):
        return _number_text(value)
    if isinstance(value, str):
        return f'"{value}"'
    return None


def _quoted(value: object, depth: int = 0) -> object:
    if depth > _DEEPEST_PRINTED:
        return "…"
    if isinstance(value, dict):
        return {name: _quoted(member, depth + 1) for name, member in value.items()}
    if isinstance(value, list):
        return [_quoted(member, depth + 1) for member in value]
    simple = _simple(value)
    return value if simple is None else simple
