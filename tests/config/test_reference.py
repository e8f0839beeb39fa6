from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiond.config.coercion import coerce, value_text
from sessiond.config.durations import duration_text, parse_duration
from sessiond.config.reference import reference
from sessiond.config.settings import SECRETS, declared

ROOT = Path(__file__).parents[2]


def test_every_setting_and_secret_is_documented() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()

    assert page == reference(), "run: python -m sessiond.config.reference > docs/configuration.md"
    assert all(f"`{setting.name}`" in page for setting in declared())
    assert all(f"`{secret.variable}`" in page for secret in SECRETS)


def test_no_two_settings_share_a_variable() -> None:
    variables = [setting.variable for setting in declared()]
    variables += [name for secret in SECRETS for name in (secret.variable, secret.file_variable)]

    assert len(variables) == len(set(variables))


def test_every_default_lies_in_its_own_range_and_is_written_as_it_is_read() -> None:
    for setting in declared():
        text = value_text(setting.default)
        if text:
            assert coerce(setting, text, where=setting.name) == setting.default


@given(st.integers(min_value=0, max_value=10**9))
def test_a_duration_is_read_as_it_was_written(milliseconds: int) -> None:
    duration = timedelta(milliseconds=milliseconds)

    assert parse_duration(duration_text(duration)) == duration


@pytest.mark.parametrize("text", ["", "5", "5m", "5 s", "-5s", "1h30min", "٣s", "5S", "1.5h", "1e3s"])
def test_what_is_no_duration_is_not_read_as_one(text: str) -> None:
    assert parse_duration(text) is None
