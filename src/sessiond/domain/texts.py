"""Short texts that people or their software wrote and others will read: names, reasons, what assurance there was."""

from __future__ import annotations

import re
from typing import Annotated

from msgspec import Meta

LONGEST_USER_AGENT = 512

Name = Annotated[str, Meta(min_length=1, max_length=128)]
Reason = Annotated[str, Meta(min_length=1, max_length=200)]
ContextClass = Annotated[str, Meta(min_length=1, max_length=255)]
"""An `acr`: a name or a URI (OpenID Connect Core section 2)."""

Method = Annotated[str, Meta(min_length=1, max_length=64)]
"""One of `amr` (RFC 8176)."""

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


def text_fault(text: str | None) -> str | None:
    """Return why *text* cannot be shown to others, or None."""
    return "has control characters" if text is not None and _CONTROL.search(text) else None


def shown_user_agent(text: str) -> str:
    """Return a `User-Agent` as it is kept: at most 512 characters, those that do not print replaced."""
    text = text[:LONGEST_USER_AGENT]
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
