"""The contract of key services: each sentence of `services.ports.KeyWrapper` that needs a service as a test.

A suite of a service is a subclass with two fixtures: `wrapper` yields one, and `other` yields one of the same service
that wraps under another key.
"""

# ruff: noqa: D102, S101  a test's name is its sentence, and it is made of asserts

from __future__ import annotations

import pytest

from sessiond.domain.errors import Misconfigured
from sessiond.services.ports import KeyWrapper

KEY = bytes(range(32))
INSTALL_ID = "7d5bd8c2-54c6-4fd9-9d86-9f5e1f3a1d10"


class KeyWrapperContract:
    """Everything a key service promises."""

    def test_what_is_wrapped_is_unwrapped(self, wrapper: KeyWrapper) -> None:
        wrapped = wrapper.wrap(KEY, install_id=INSTALL_ID)

        assert KEY not in wrapped
        assert wrapper.unwrap(wrapped, install_id=INSTALL_ID) == KEY

    def test_another_installation_unwraps_nothing(self, wrapper: KeyWrapper) -> None:
        wrapped = wrapper.wrap(KEY, install_id=INSTALL_ID)

        with pytest.raises(Misconfigured):
            wrapper.unwrap(wrapped, install_id=INSTALL_ID.replace("7", "8"))

    def test_a_changed_byte_is_noticed(self, wrapper: KeyWrapper) -> None:
        wrapped = bytearray(wrapper.wrap(KEY, install_id=INSTALL_ID))
        wrapped[-1] ^= 1

        with pytest.raises(Misconfigured) as refusal:
            wrapper.unwrap(bytes(wrapped), install_id=INSTALL_ID)

        assert repr(KEY) not in str(refusal.value)

    def test_what_another_key_wrapped_is_refused(self, wrapper: KeyWrapper, other: KeyWrapper) -> None:
        wrapped = other.wrap(KEY, install_id=INSTALL_ID)

        with pytest.raises(Misconfigured):
            wrapper.unwrap(wrapped, install_id=INSTALL_ID)
