"""From what a source holds (text, or a TOML value) to a setting's type, or one clear sentence."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import get_origin

from sessiond.config.durations import duration_text, parse_duration
from sessiond.config.settings import Setting
from sessiond.domain.errors import Misconfigured

_NONE = "none"
_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})
_SHOWN = 60
_NUMBER = re.compile(r"-?[0-9]{1,18}", re.ASCII)


class _Unfit(Exception):
    """The value does not fit; the message says what would."""


def coerce(setting: Setting, raw: object, *, where: str) -> object:
    """Return *raw* as the type of *setting*; *where* names its source in the sentence of `Misconfigured`."""
    try:
        value = _typed(setting, raw)
        _in_range(setting, value)
    except _Unfit as unfit:
        raise Misconfigured(f"{where} must be {unfit}, not {_shown(setting, raw)}") from None
    return value


def value_text(value: object) -> str:
    """Return *value* as a setting of it is written."""
    match value:
        case None:
            return _NONE
        case bool():
            return "true" if value else "false"
        case timedelta():
            return duration_text(value)
        case tuple():
            return ", ".join(str(member) for member in value)
        case _:
            return str(value)


def kind_text(setting: Setting) -> str:
    """Return what a setting's value is, for the reference."""
    kind = setting.kind
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        text = ", ".join(member.value for member in kind)
    elif get_origin(kind) is tuple:
        text = "list"
    else:
        text = {bool: "true or false", int: "number", timedelta: "duration", Path: "path"}.get(kind, "text")
    return f"{text}, or none" if setting.optional else text


def range_text(setting: Setting) -> str:
    """Return the range of a setting's value, empty for none."""
    least, most, step = setting.about.least, setting.about.most, setting.about.step
    parts = []
    if least is not None and most is not None:
        parts.append(f"{value_text(least)} to {value_text(most)}")
    elif least is not None:
        parts.append(f"at least {value_text(least)}")
    elif most is not None:
        parts.append(f"at most {value_text(most)}")
    if step is not None:
        parts.append(f"in whole steps of {value_text(step)}")
    return " ".join(parts)


def _typed(setting: Setting, raw: object) -> object:
    kind = setting.kind
    if setting.optional and isinstance(raw, str) and raw.lower() == _NONE:
        return None
    if get_origin(kind) is tuple:
        return _texts(raw)
    if issubclass(kind, enum.Enum):
        return _member(kind, raw)
    return _READERS[kind](raw)


def _text(raw: object) -> str:
    if not isinstance(raw, str) or not raw.strip():
        raise _Unfit("text that is not empty")
    return raw


def _path(raw: object) -> Path:
    if not isinstance(raw, str) or not raw or "\0" in raw:
        raise _Unfit("a path")
    return Path(raw).expanduser()


def _texts(raw: object) -> tuple[str, ...]:
    members = [part.strip() for part in raw.split(",")] if isinstance(raw, str) else raw
    if not isinstance(members, list) or not all(isinstance(member, str) for member in members):
        raise _Unfit("a list of texts")
    return tuple(member for member in members if member)


def _member(kind: type[enum.Enum], raw: object) -> enum.Enum:
    for member in kind:
        if member.value == raw:
            return member
    raise _Unfit("one of " + ", ".join(member.value for member in kind))


def _duration(raw: object) -> timedelta:
    duration = parse_duration(raw) if isinstance(raw, str) else None
    if duration is None:
        raise _Unfit("a duration with its unit, such as 30d, 24h, 10min, 60s or 250ms")
    return duration


def _whole_number(raw: object) -> int:
    if isinstance(raw, str) and _NUMBER.fullmatch(raw):
        return int(raw)
    if not isinstance(raw, int) or isinstance(raw, bool):
        raise _Unfit("a whole number")
    return raw


def _truth(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, str) and raw.lower() in _TRUE | _FALSE:
        return raw.lower() in _TRUE
    raise _Unfit("true or false")


_READERS: Mapping[type, Callable[[object], object]] = {
    bool: _truth,
    int: _whole_number,
    str: _text,
    timedelta: _duration,
    Path: _path,
}


def _in_range(setting: Setting, value: object) -> None:
    least, most, step = setting.about.least, setting.about.most, setting.about.step
    if not isinstance(value, int | timedelta):
        return
    below = least is not None and value < least  # type: ignore[operator]  # a declaration's range has its type
    above = most is not None and value > most  # type: ignore[operator]  # the same
    uneven = step is not None and isinstance(value, timedelta) and bool(value % step)
    if below or above or uneven:
        raise _Unfit(range_text(setting))


def _shown(setting: Setting, raw: object) -> str:
    if setting.name == "database":
        return "what was given"  # it may hold a password
    text = repr(raw)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
