"""JSON, form and query text to structs, refusing what is ambiguous: duplicate members, NaN, other encodings.

msgspec decodes and checks shapes, but takes the last of two members of one name (measured); the standard library's
`object_pairs_hook` sees them all, at any depth, after escapes are resolved.
"""

from __future__ import annotations

import functools
import json
import re
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from sessiond.http.refusals import Fault, InvalidMembers, MalformedBody

_MOST_FIELDS = 100
_MOST_DETAIL_CHARS = 200
_WHERE = re.compile(r"^(.*?)(?: - at `(?:key in )?\$?([^`]*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]|\[\.\.\.\]")


class _DuplicateMemberError(ValueError):
    """A member stands twice in one object."""


def parse_json(body: bytes) -> object:
    """Return the JSON value in *body* as Python values, or raise `MalformedBody`.

    Refused besides what is no JSON (RFC 8259): duplicate members, lone surrogates, a byte order mark, encodings other
    than UTF-8, numbers that a double or 64 bits cannot hold, nesting beyond the interpreter's limit.
    """
    try:
        value: object = msgspec.json.decode(body)
        # What a value encodes to has no second member of a name: decoding would have lost it. Most clients send such
        # texts, perhaps with spaces between, and to see that costs a tenth of looking at each object.
        encoded = msgspec.json.encode(value)
        if encoded != body and msgspec.json.format(body, indent=-1) != encoded:
            _refuse_duplicates(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise MalformedBody from None
    return value


def decode_json(body: bytes, kind: type) -> object:
    """Return *body* as a *kind*; raises `MalformedBody`, or `InvalidMembers` with every fault that can be told."""
    try:
        value: object = _decoder(kind).decode(body)
    except msgspec.ValidationError:
        _convert(parse_json(body), kind, strict=True, where="body")
        raise MalformedBody from None
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise MalformedBody from None
    parse_json(body)  # a member twice, and faults in members that the struct ignores
    return value


def parse_form(body: bytes) -> dict[str, str]:
    """Return the fields of `application/x-www-form-urlencoded`, each once, or raise `MalformedBody`."""
    try:
        items = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS
        )
    except ValueError:
        raise MalformedBody("The body is not a form in UTF-8.") from None
    fields = dict(items)
    if len(fields) != len(items):
        raise MalformedBody("A field of the form stands more than once.", duplicate=True)
    return fields


def decode_form(body: bytes, kind: type) -> object:
    """Return the form in *body* as a *kind*, its texts converted to the types of the members."""
    return _convert(parse_form(body), kind, strict=False, where="body")


def decode_query(items: Sequence[tuple[str, str]], kind: type) -> object:
    """Return the query as a *kind*; a parameter may stand more than once only where the member is a list."""
    lists = _list_members(kind)
    values: dict[str, Any] = {}
    faults = []
    for name, value in items:
        if name in lists:
            values.setdefault(name, []).append(value)
        elif name in values:
            faults.append(Fault(_pointer(name), "stands more than once"))
        else:
            values[name] = value
    if faults:
        raise InvalidMembers(faults, where="query")
    return _convert(values, kind, strict=False, where="query")


def _refuse_duplicates(body: bytes) -> None:
    try:
        _OF_UNIQUE_MEMBERS.decode(body.decode())
    except _DuplicateMemberError:
        raise MalformedBody("A member stands more than once in one object.", duplicate=True) from None
    except (ValueError, RecursionError):
        raise MalformedBody from None


def _unique(pairs: list[tuple[str, object]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise _DuplicateMemberError


_OF_UNIQUE_MEMBERS = json.JSONDecoder(object_pairs_hook=_unique)


@functools.cache
def _decoder(kind: type) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


@functools.cache
def _list_members(kind: type) -> frozenset[str]:
    return frozenset(field.encode_name for field in msgspec.structs.fields(kind) if _is_list(field.type))


def _is_list(annotation: object) -> bool:
    origin = typing.get_origin(annotation)
    if origin in {typing.Annotated, typing.Union, types.UnionType}:
        return any(_is_list(part) for part in typing.get_args(annotation))
    return (origin or annotation) in {list, tuple, set, frozenset}


def _convert(value: object, kind: type, *, strict: bool, where: str) -> object:
    try:
        return msgspec.convert(value, kind, strict=strict)
    except (msgspec.ValidationError, RecursionError) as error:
        raise InvalidMembers(_faults(value, kind, error, strict=strict), where=where) from None


def _faults(value: object, kind: type, error: Exception, *, strict: bool) -> list[Fault]:
    """Return every fault of the members, and of the objects among them, one each; else the one that msgspec names."""
    if not isinstance(value, Mapping) or not issubclass(kind, msgspec.Struct):
        return [_fault(error)]
    faults = []
    for field, inner in _refused(value, kind, strict=strict):
        below, base = _struct_of(field.type), _pointer(field.encode_name)
        found = value[field.encode_name]
        if below is None or not isinstance(found, Mapping):
            faults.append(_fault(inner, base))
            continue
        deeper = [
            _fault(each, base + _pointer(it.encode_name))
            for it, each in _refused(found, below, strict=strict)
        ]
        faults += [*deeper, *_shape_faults(found, below, base)] or [_fault(inner, base)]
    faults += _shape_faults(value, kind)
    return faults[:_MOST_FIELDS] or [_fault(error)]


def _refused(
    value: Mapping[str, object], kind: type[msgspec.Struct], *, strict: bool
) -> Iterator[tuple[msgspec.structs.FieldInfo, Exception]]:
    """Go through the members of *value* whose values are not what *kind* asks for."""
    for field in msgspec.structs.fields(kind):
        if field.encode_name in value:
            try:
                msgspec.convert(value[field.encode_name], field.type, strict=strict)
            except (msgspec.ValidationError, RecursionError) as error:
                yield field, error


def _shape_faults(value: Mapping[str, object], kind: type[msgspec.Struct], base: str = "") -> list[Fault]:
    """Return which members are missing in *value*, and which nobody knows."""
    fields = msgspec.structs.fields(kind)
    faults = [
        Fault(base + _pointer(field.encode_name), "is required")
        for field in fields
        if field.required and field.encode_name not in value
    ]
    if kind.__struct_config__.forbid_unknown_fields:
        known = {field.encode_name for field in fields}
        faults += [
            Fault(base + _pointer(str(name)), "is not a known member") for name in value if name not in known
        ]
    return faults


def _struct_of(annotation: object) -> type[msgspec.Struct] | None:
    """Return the struct that *annotation* asks for, perhaps beside null."""
    if typing.get_origin(annotation) in {typing.Annotated, typing.Union, types.UnionType}:
        parts = [_struct_of(part) for part in typing.get_args(annotation)]
        return next((part for part in parts if part is not None), None)
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return annotation
    return None


def _fault(error: Exception, base: str = "") -> Fault:
    match = _WHERE.match(str(error))
    detail, path = (match[1], match[2] or "") if match else (str(error), "")
    steps = [_pointer(name or index) for name, index in _STEP.findall(path) if name or index]
    return Fault(base + "".join(steps), detail[:_MOST_DETAIL_CHARS])


def _pointer(name: str) -> str:
    return "/" + name.replace("~", "~0").replace("/", "~1")[:_MOST_DETAIL_CHARS]
