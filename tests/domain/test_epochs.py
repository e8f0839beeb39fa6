from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sessiond.domain.projects import EPOCH_ENTROPY, draw_epoch

drawn = st.binary(min_size=EPOCH_ENTROPY, max_size=EPOCH_ENTROPY)


@given(entropy=drawn, other=drawn)
def test_an_epoch_fits_64_bits_and_is_another_for_other_entropy(entropy: bytes, other: bytes) -> None:
    epoch = draw_epoch(entropy)

    assert -(2**63) <= epoch < 2**63
    assert (epoch == draw_epoch(other)) == (entropy == other)
