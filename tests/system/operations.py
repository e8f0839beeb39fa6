"""Every operation of a running server, from its own OpenAPI document."""

from __future__ import annotations

import re
from typing import NamedTuple

import httpx

_TEMPLATE_NAME = re.compile(r"\{[^}]+\}")
_METHODS = ("get", "post", "put", "patch", "delete")


class Operation(NamedTuple):
    """One operation: the dialect that answers for it, and what it takes."""

    dialect: str
    method: str
    template: str
    takes_body: bool

    @property
    def path(self) -> str:
        """A path that fits the template."""
        return self.with_name("a-name")

    def with_name(self, name: str) -> str:
        """Return the path with *name*, as it stands, in the place of each name of the template."""
        return _TEMPLATE_NAME.sub(lambda _: name, self.template)

    @property
    def has_name(self) -> bool:
        """Whether the path holds a name."""
        return "{" in self.template


def operations_of(url: str) -> list[Operation]:
    """Return what the server at *url* says it can do."""
    document = httpx.get(f"{url}/openapi.json").raise_for_status().json()
    return [
        Operation(operation["tags"][0], method.upper(), template, "requestBody" in operation)
        for template, item in document["paths"].items()
        for method, operation in item.items()
        if method in _METHODS
    ]
