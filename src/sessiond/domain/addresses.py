"""Network addresses, as far as limits count by them."""

from __future__ import annotations

import ipaddress


def canonical_address(text: str) -> str | None:
    """Return the IP address that *text* is, in its usual form, or None for anything else (a zone included)."""
    try:
        return None if "%" in text else str(ipaddress.ip_address(text))
    except ValueError:
        return None


def network_of(address: str) -> str:
    """Return what is counted for *address*: an IPv4 address itself, the /64 of an IPv6 one."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is None:
            return str(ipaddress.ip_network((parsed, 64), strict=False))
        parsed = parsed.ipv4_mapped
    return str(parsed)
