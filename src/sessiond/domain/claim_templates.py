"""Claims templates: which claims a project adds to its JWT access tokens, and where their values come from.

A declaration, not code: a constant, or the path of something that a session or its subject says. No template sets a
claim that means something to us or to a verifier (RFC 7519, RFC 8693, RFC 9068).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from sessiond.domain.documents import MOST_DIGITS, fits_jwts

MOST_CLAIMS = 30
LONGEST_CONSTANT = 512
"""Bytes of JSON that a constant may have."""

LONGEST_VALUE = 1024
"""Bytes of JSON that a value from a session or subject may have in a token; a longer one is left out."""

UNFIT_NUMBER = f"is not whole, negative, or of more than {MOST_DIGITS} digits"

RESERVED = frozenset(
    {
        *("iss", "sub", "aud", "exp", "nbf", "iat", "jti", "sid", "gen", "client_id", "use"),
        *(
            "scope",
            "act",
            "may_act",
            "cnf",
            "azp",
            "nonce",
            "at_hash",
            "c_hash",
            "s_hash",
            "events",
            "toe",
            "txn",
        ),
        *(
            "typ",
            "alg",
            "kid",
            "authorization_details",
            "token_introspection",
            "sub_jwk",
            "sub_id",
            "vp",
            "status",
        ),
    }
)
_ONLY_FROM = {"acr": "session.acr", "amr": "session.amr", "auth_time": "session.authenticated_at"}
_PATHS = frozenset(
    {*_ONLY_FROM.values(), "session.kind", "session.client.name", "subject.name", "subject.kind"}
)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.:/-]{0,99}")
_INTO = re.compile(r"(?:session\.metadata|subject\.profile)((?:\.[A-Za-z0-9_-]{1,64}){1,8})")


class Claim(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where one claim's value comes from: the constant *value*, or what *path* leads to."""

    path: str | UnsetType = msgspec.field(name="from", default=UNSET)
    value: object | UnsetType = UNSET


Template = Mapping[str, Claim]


class TemplateFault(NamedTuple):
    """A claim of a template and what is wrong with it; *member* is empty for the claim itself."""

    claim: str
    member: str
    detail: str


def template_faults(template: Template) -> Sequence[TemplateFault]:
    """Return everything that is wrong with *template*."""
    faults = (
        [] if len(template) <= MOST_CLAIMS else [TemplateFault("", "", f"has more than {MOST_CLAIMS} claims")]
    )
    for name, claim in template.items():
        faults += [TemplateFault(name, member, detail) for member, detail in _faults(name, claim)]
    return faults


def may_be_added(name: str) -> bool:
    """Tell whether a template may have set the claim *name*."""
    return name not in RESERVED and _NAME.fullmatch(name) is not None


def steps_of(path: str) -> Sequence[str]:
    """Return the members that *path* leads through, below the metadata or profile."""
    found = _INTO.fullmatch(path)
    return found[1].split(".")[1:] if found else ()


def _faults(name: str, claim: Claim) -> Sequence[tuple[str, str]]:
    wrong = _name_fault(name)
    if wrong is not None:
        return [("", wrong)]
    if isinstance(claim.path, str):
        return _path_faults(name, claim.path, alone=claim.value is UNSET)
    if claim.value is UNSET or claim.value is None:
        return [("", "needs a value, or from")]
    if name in _ONLY_FROM:
        return [("/value", f"comes from {_ONLY_FROM[name]} only")]
    if len(msgspec.json.encode(claim.value)) > LONGEST_CONSTANT:
        return [("/value", f"has more than {LONGEST_CONSTANT} bytes")]
    return [] if fits_jwts(claim.value) else [("/value", f"has a number that {UNFIT_NUMBER}")]


def _name_fault(name: str) -> str | None:
    if name in RESERVED:
        return "is a claim with a meaning of its own, which no template sets"
    if not may_be_added(name):
        return "is no name of a claim: a letter, then at most 99 letters, digits and _ . : / -"
    return None


def _path_faults(name: str, path: str, *, alone: bool) -> Sequence[tuple[str, str]]:
    if not alone:
        return [("", "has a value or from, not both")]
    if path not in _PATHS and not steps_of(path):
        known = ", ".join(sorted(_PATHS))
        return [("/from", f"is none of {known}, session.metadata.… and subject.profile.…")]
    if _ONLY_FROM.get(name, path) != path:
        return [("/from", f"comes from {_ONLY_FROM[name]} only")]
    return []
