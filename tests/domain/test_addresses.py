"""Addresses: what one client may have many of counts as one."""

from __future__ import annotations

import pytest

from sessiond.domain.addresses import canonical_address, network_of


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::9", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("192.0.2.7%eth0", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("", ""),
        ("testclient", "testclient"),
    ],
)
def test_ipv6_counts_by_64_and_ipv4_by_itself(address: str, network: str) -> None:
    assert network_of(address) == network


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:DB8:0::9", "2001:db8::9"),
        ("fe80::1%eth0", None),
        ("192.0.2.7 ", None),
        ("192.0.2.07", None),
        ("", None),
    ],
)
def test_an_address_has_one_text_and_anything_else_is_none(text: str, address: str | None) -> None:
    assert canonical_address(text) == address
