"""Short texts that people wrote and others will read: names of clients, reasons, references."""

from __future__ import annotations

import re
from typing import Annotated

from msgspec import Meta

from sessiond.domain.errors import InvalidRequest

LONGEST_NAME = 128
LONGEST_REASON = 200

Name = Annotated[str, Meta(min_length=1, max_length=LONGEST_NAME)]
Reason = Annotated[str, Meta(min_length=1, max_length=LONGEST_REASON)]

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


def check_text(text: str, pointer: str) -> str:
    """Return *text*, the member at *pointer*, or raise `InvalidRequest` (`invalid_text`) for control characters."""
    if _CONTROL.search(text):
        fault = {"pointer": pointer, "detail": "has control characters"}
        raise InvalidRequest("invalid_text", f"{pointer} has control characters.", {"errors": [fault]})
    return text
