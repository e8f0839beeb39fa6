"""A request's query, read by this dialect's own schemas."""

from __future__ import annotations

from collections.abc import Mapping

from sessiond.http.dialects.stack_auth.errors import SchemaFaults
from sessiond.http.dialects.stack_auth.schema import Field, read
from sessiond.http.request import Request


def read_query(request: Request, fields: Mapping[str, Field]) -> dict[str, object]:
    """Return the query's members, each of which may stand once."""
    found: dict[str, str] = {}
    repeated = []
    for name, value in request.query_items():
        if name in found:
            repeated.append(f"query.{name[:100]} must be given once")
        found[name] = value
    if repeated:
        raise SchemaFaults(repeated)
    return read("query", fields, found)
