"""What a PostgreSQL URL may say: ours is taken out, the driver's is passed on, nothing of it shows."""

from __future__ import annotations

import pytest

from sessiond.domain.errors import Misconfigured
from sessiond.storage.engines.postgresql.url import parse_url

PASSWORD = "canary-password-31415926"


@pytest.mark.parametrize(
    ("url", "dsn"),
    [
        ("postgresql://localhost/db", "postgresql://localhost/db"),
        ("postgresql://u:p@[::1]:5433/db?namespace=a", "postgresql://u:p@[::1]:5433/db"),
        ("postgresql:///db?host=/run/postgresql", "postgresql:///db?host=%2Frun%2Fpostgresql"),
        ("postgresql://db.example/db", "postgresql://db.example/db?sslmode=require"),
        (
            "postgresql://localhost,db.example:5433/db",
            "postgresql://localhost,db.example:5433/db?sslmode=require",
        ),
        ("postgresql:///db?host=db.example", "postgresql:///db?host=db.example&sslmode=require"),
        ("postgresql://db.example/db?sslmode=disable", "postgresql://db.example/db?sslmode=disable"),
        ("postgresql://db.example/db?sslmode=verify-full", "postgresql://db.example/db?sslmode=verify-full"),
    ],
)
def test_off_this_machine_a_connection_is_encrypted_unless_it_is_said_otherwise(url: str, dsn: str) -> None:
    assert parse_url(url).dsn == dsn


def test_the_namespace_is_a_schema_of_its_own() -> None:
    assert parse_url("postgresql://localhost/db").namespace == "sessiond"
    assert parse_url("postgresql://localhost/db?namespace=shop_2").namespace == "shop_2"


def test_prepared_statements_can_be_left_out_for_a_pooler() -> None:
    assert parse_url("postgresql://localhost/db").prepared
    assert not parse_url("postgresql://localhost/db?prepared=false").prepared


@pytest.mark.parametrize(
    "wrong",
    [
        "namespace=",
        "namespace=Shop",
        "namespace=pg_temp",
        'namespace=a"b',
        f"namespace={'a' * 49}",
        "prepared=no",
        "statement_timeout=0",
        f"password={PASSWORD}",
        "sslmode",
    ],
)
def test_a_wrong_parameter_is_refused_without_the_password(wrong: str) -> None:
    with pytest.raises(Misconfigured) as refusal:
        parse_url(f"postgresql://user:{PASSWORD}@localhost/db?{wrong}")

    assert PASSWORD not in str(refusal.value)


@pytest.mark.parametrize(
    "wrong",
    [
        f"postgresql://user:{PASSWORD}@localhost:99999/db",
        f"postgresql://user:{PASSWORD}@localhost:54x/db",
        f"postgresql://user:{PASSWORD}/x@localhost/db",
        f"postgresql://user:{PASSWORD}@localhost/db#part",
        f"postgresql://user:{PASSWORD}@[::1/db",
    ],
)
def test_what_is_no_url_is_refused_without_the_password(wrong: str) -> None:
    with pytest.raises(Misconfigured, match="a PostgreSQL URL is") as refusal:
        parse_url(wrong)

    assert PASSWORD not in str(refusal.value)


def test_an_address_shows_nothing_of_its_password() -> None:
    assert PASSWORD not in repr(parse_url(f"postgresql://user:{PASSWORD}@localhost/db"))
