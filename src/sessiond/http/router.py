"""From a path to what can be done there: literal paths by dict, templates by their segments."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import unquote_to_bytes

import msgspec

from sessiond.domain.errors import InvalidRequest
from sessiond.http.dialect import Dialect
from sessiond.http.endpoint import Endpoint
from sessiond.http.refusals import MethodNotAllowed, UnknownPath

_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_NO_PARAMS: Mapping[str, str] = MappingProxyType({})

MALFORMED_PATH = InvalidRequest(
    "malformed_path", "The path is not percent-encoded UTF-8 without control characters."
)


@dataclass(frozen=True, slots=True)
class Route:
    """An endpoint at one of its paths, and the dialect that answers for it."""

    endpoint: Endpoint
    dialect: Dialect
    template: str


@dataclass(slots=True)
class Place:
    """All that can be done at one path template."""

    template: str
    segments: tuple[str, ...]
    routes: dict[str, Route] = field(default_factory=dict)

    @property
    def allowed(self) -> tuple[str, ...]:
        """The methods, for `Allow`."""
        methods = set(self.routes)
        if "GET" in methods:
            methods.add("HEAD")
        if any(route.dialect.cors for route in self.routes.values()):
            methods.add("OPTIONS")
        return tuple(sorted(methods))

    @property
    def specificity(self) -> tuple[bool, ...]:
        """Sorts literal segments before names, from the left."""
        return tuple(is_name(segment) for segment in self.segments)


class Match(msgspec.Struct, frozen=True):
    """What was found for a path: its place (None: nothing), the values of the template's names, and who refuses.

    *template* is the path's, for logs; `-` where there is none.
    """

    dialect: Dialect
    place: Place | None = None
    template: str = "-"
    params: Mapping[str, str] = _NO_PARAMS
    refusal: InvalidRequest | None = None

    def route(self, method: str) -> Route:
        """Return the route of *method*, GET's for HEAD. Raises `UnknownPath` and `MethodNotAllowed`."""
        if self.refusal is not None:
            raise self.refusal
        if self.place is None:
            raise UnknownPath
        route = self.place.routes.get("GET" if method == "HEAD" else method)
        if route is None:
            raise MethodNotAllowed(self.place.allowed)
        return route


class Router:
    """Every path of every dialect. Raises `ValueError` when two endpoints claim one method of one path."""

    def __init__(self, dialects: Sequence[Dialect], fallback: Dialect) -> None:
        self._fallback = fallback
        self._literal: dict[str, Place] = {}
        self._templates: dict[int, list[Place]] = {}
        self._prefixes = sorted(
            ((tuple(_segments(prefix)), dialect) for dialect in dialects for prefix in dialect.prefixes),
            key=lambda entry: -len(entry[0]),
        )
        for dialect in dialects:
            for endpoint in dialect.endpoints:
                for template in endpoint.paths:
                    self._add(Route(endpoint, dialect, template))
        self._matches = {path: Match(_first(place), place, path) for path, place in self._literal.items()}

    @property
    def places(self) -> Sequence[Place]:
        """Every path template."""
        return [*self._literal.values(), *(place for places in self._templates.values() for place in places)]

    def match(self, path: str) -> Match:
        """Return what there is at the raw *path*; never raises."""
        match = self._matches.get(path)
        if match is not None:
            return match
        trimmed = path[:-1] if len(path) > 1 and path.endswith("/") else path
        if not path.isascii():
            return Match(self._fallback, refusal=MALFORMED_PATH)
        if "%" not in trimmed and trimmed.isprintable():
            return self._decoded(_segments(trimmed))
        segments = [decode_segment(segment) for segment in _segments(trimmed)]
        known = [segment for segment in segments if segment is not None]
        if len(known) != len(segments):
            return Match(self._owner(known), refusal=MALFORMED_PATH)
        return self._decoded(known)

    def _decoded(self, segments: Sequence[str]) -> Match:
        if all("/" not in segment for segment in segments):
            match = self._matches.get("/" + "/".join(segments))
            if match is not None:
                return match
        for place in self._templates.get(len(segments), ()):
            params = _fit(place.segments, segments)
            if params is not None:
                return Match(_first(place), place, place.template, params)
        return Match(self._owner(segments))

    def _owner(self, segments: Sequence[str]) -> Dialect:
        for prefix, dialect in self._prefixes:
            if tuple(segments[: len(prefix)]) == prefix:
                return dialect
        return self._fallback

    def _add(self, route: Route) -> None:
        segments = tuple(_segments(route.template))
        if any(is_name(segment) for segment in segments):
            places = self._templates.setdefault(len(segments), [])
            place = next((p for p in places if _shape(p.segments) == _shape(segments)), None)
            if place is None:
                place = Place(route.template, segments)
                places.append(place)
                places.sort(key=lambda entry: entry.specificity)
            elif place.segments != segments:
                raise ValueError(f"{route.template} and {place.template} name the same path differently")
        else:
            place = self._literal.setdefault(route.template, Place(route.template, segments))
        method = route.endpoint.method
        if method in place.routes:
            raise ValueError(f"{method} {route.template} is declared twice")
        place.routes[method] = route


def is_name(segment: str) -> bool:
    """Tell whether a template's segment is a name in braces."""
    return segment.startswith("{") and segment.endswith("}")


def decode_segment(segment: str) -> str | None:
    """Return a path's segment decoded, or None if it is not percent-encoded UTF-8 or holds control characters."""
    if _BROKEN_ESCAPE.search(segment):
        return None
    try:
        text = unquote_to_bytes(segment).decode()
    except UnicodeDecodeError:
        return None
    return None if _CONTROL.search(text) else text


def _segments(path: str) -> list[str]:
    return [] if path in {"", "/"} else path.removeprefix("/").split("/")


def _shape(segments: Sequence[str]) -> tuple[str, ...]:
    return tuple("{}" if is_name(segment) else segment for segment in segments)


def _first(place: Place) -> Dialect:
    return next(iter(place.routes.values())).dialect


def _fit(template: Sequence[str], segments: Sequence[str]) -> dict[str, str] | None:
    params = {}
    for wanted, given in zip(template, segments, strict=True):
        if is_name(wanted):
            if not given:
                return None
            params[wanted[1:-1]] = given
        elif wanted != given:
            return None
    return params
