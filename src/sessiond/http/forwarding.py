"""What trusted proxies say about a request: `X-Forwarded-For`, `X-Forwarded-Proto` and `Forwarded` (RFC 7239)."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Sequence

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Headers = Sequence[tuple[bytes, bytes]]


@functools.lru_cache(maxsize=4096)
def is_within(host: str, networks: tuple[Network, ...]) -> bool:
    """Tell whether the address *host* lies in one of *networks*."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in network for network in networks)


def forwarded_chain(headers: Headers) -> list[str | None]:
    """Return the addresses that the proxies noted, the client's first; None stands for one that cannot be read.

    Where both headers are there and differ, one of them passed through from the client, and nobody can know which:
    the chain is empty then, and the nearest proxy stands for the client.
    """
    plain = [_address(part) for part in _listed(headers, b"x-forwarded-for")]
    standard = [_address(_parameter(part, "for")) for part in _listed(headers, b"forwarded")]
    if plain and standard and plain != standard:
        return []
    return plain or standard


def forwarded_scheme(headers: Headers) -> str | None:
    """Return the scheme that the nearest proxy was asked with, or None when it does not say."""
    said = _listed(headers, b"x-forwarded-proto") or [
        _parameter(part, "proto") for part in _listed(headers, b"forwarded")
    ]
    scheme = said[-1].lower() if said else ""
    return scheme if scheme in {"http", "https"} else None


def _listed(headers: Headers, name: bytes) -> list[str]:
    values = [value.decode("latin-1") for found, value in headers if found == name]
    return [part.strip() for part in ",".join(values).split(",")] if values else []


def _parameter(element: str, name: str) -> str:
    for pair in element.split(";"):
        left, _, value = pair.partition("=")
        if left.strip().lower() == name:
            return value.strip().strip('"')
    return ""


def _address(text: str) -> str | None:
    """Return the address in `1.2.3.4`, `1.2.3.4:80`, `::1` or `[::1]:80`, or None."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)
