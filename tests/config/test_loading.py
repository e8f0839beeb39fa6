from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from sessiond.config.loading import Loaded, load
from sessiond.config.sources import Source
from sessiond.domain.errors import Misconfigured
from sessiond.domain.policies import Preset
from sessiond.http.edge import PublicAccess


def written(path: Path, text: str) -> Path:
    file = path / "sessiond.toml"
    file.write_text(text)
    return file


def from_environment(**variables: str) -> Loaded:
    return load(environ={f"SESSIOND_{name}": text for name, text in variables.items()})


def test_without_anything_given_the_defaults_count() -> None:
    loaded = load(environ={})

    assert loaded.settings.port == 8000
    assert loaded.settings.host == "127.0.0.1"
    assert {origin.source for origin in loaded.origins.values()} == {Source.DEFAULT}


def test_a_flag_goes_before_the_environment_which_goes_before_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, 'port = 1\nhost = "10.0.0.1"\npublic_access = "off"\n')

    loaded = load(
        config=file,
        environ={"SESSIOND_PORT": "2", "SESSIOND_HOST": "10.0.0.2"},
        flags={"port": "3"},
    )

    assert (loaded.settings.port, loaded.settings.host) == (3, "10.0.0.2")
    assert loaded.settings.public_access is PublicAccess.OFF
    assert str(loaded.origins["port"]) == "flag --port"
    assert str(loaded.origins["host"]) == "environment SESSIOND_HOST"
    assert str(loaded.origins["public_access"]) == f"file {file}"


def test_the_environment_may_name_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, "port = 4711\n")

    assert load(environ={"SESSIOND_CONFIG": str(file)}).settings.port == 4711


def test_sections_are_tables_in_the_file_and_prefixes_in_the_environment(tmp_path: Path) -> None:
    file = written(tmp_path, '[policy]\ngrace = "10s"\n[device]\nnew_per_hour = 7\n')

    loaded = load(config=file, environ={"SESSIOND_POLICY_MAX_SESSIONS": "3"})

    assert loaded.settings.policy.grace == timedelta(seconds=10)
    assert loaded.settings.policy.max_sessions == 3
    assert loaded.settings.rules.device.new_per_hour == 7


def test_any_setting_can_be_given_by_name_on_the_command_line() -> None:
    loaded = load(environ={}, pairs=["policy.grace=0s", "trusted_proxies=10.0.0.5, 192.168.0.0/16"])

    assert loaded.settings.policy.grace == timedelta(0)
    assert loaded.settings.trusted_proxies == ("10.0.0.5", "192.168.0.0/16")


def test_an_empty_variable_counts_as_not_set() -> None:
    assert from_environment(PORT="").settings.port == 8000


def test_none_takes_a_value_away(tmp_path: Path) -> None:
    file = written(tmp_path, 'public_url = "https://a.example"\n')

    assert load(config=file, environ={"SESSIOND_PUBLIC_URL": "none"}).settings.public_url is None


def test_a_preset_brings_its_limits() -> None:
    policy = from_environment(POLICY_PRESET="aal2").settings.policy

    assert (policy.absolute_timeout, policy.idle_timeout) == (timedelta(hours=24), timedelta(hours=1))


def test_what_is_set_beside_a_preset_goes_before_it() -> None:
    policy = from_environment(POLICY_PRESET="aal3", POLICY_ABSOLUTE_TIMEOUT="1h").settings.policy

    assert (policy.absolute_timeout, policy.idle_timeout) == (timedelta(hours=1), timedelta(minutes=15))


def test_a_custom_policy_with_a_justification_goes_beyond_nist() -> None:
    policy = from_environment(
        POLICY_PRESET="custom", POLICY_ABSOLUTE_TIMEOUT="400d", POLICY_JUSTIFICATION="kiosks"
    ).settings.policy

    assert policy.preset is Preset.CUSTOM
    assert policy.absolute_timeout == timedelta(days=400)


@pytest.mark.parametrize(
    ("variable", "text", "part"),
    [
        ("PORTT", "1", "did you mean SESSIOND_PORT?"),
        ("PORT", "eighty", "must be a whole number, not 'eighty'"),
        ("PORT", "--8", "must be a whole number"),
        ("PORT", "65536", "must be 0 to 65535"),
        ("POLICY_GRACE", "30", "duration with its unit"),
        ("POLICY_GRACE", "1m", "duration with its unit"),
        (
            "POLICY_GRACE",
            "301s",
            "policy.grace must lie between 0s and 300s (from environment SESSIOND_POLICY_GRACE)",
        ),
        ("POLICY_PRESET", "aal4", "one of aal1, aal2, aal3, custom"),
        ("POLICY_PRESET", "custom", "policy.justification is needed"),
        ("POLICY_ABSOLUTE_TIMEOUT", "31d", "above what preset aal1 allows"),
        ("CACHE_MAX_STALENESS", "99ms", "cache.max_staleness must be 0s, or 100ms and more"),
        ("CACHE_MAX_STALENESS", "61s", "must be 0s to 1min"),
        ("POLICY_MAX_SESSIONS", "0", "must be at least 1"),
        ("POCKETPAW_SESSION_TTL", "90min", "in whole steps of 1h"),
        ("STACK_AUTH_MAX_LIFETIME", "368d", "1min to 367d"),
        ("STACK_AUTH_DEFAULT_LIFETIME", "368d", "must not be above stack_auth.max_lifetime"),
        ("PUBLIC_ACCESS", "yes", "one of auto, on, off"),
        ("PUBLIC_URL", "sessions.example.org", "must be a scheme and a host"),
        ("PUBLIC_URL", "https://example.org/prefix", "must be a scheme and a host"),
        ("PUBLIC_URL", "https://user:pw@example.org", "must be a scheme and a host"),
        ("LOGIN_URL", "javascript:alert(1)", "must be an http or https URL"),
        ("TRUSTED_PROXIES", "0.0.0.0/0", "every client could then choose its own address"),
        ("TRUSTED_PROXIES", "proxy", "must hold addresses or networks"),
        ("HOST", "127.0.0.1/8", "must be an address or a name"),
        ("DATABASE", "sessiond.db", "must be a URL"),
        ("DATABASE", "oracle://db", "names no known engine"),
        ("KEY_SERVICE", "alias/sessiond", "key_service must be aws-kms:"),
        ("KEY_SERVICE", "vault:transit/sessiond", "key_service must be aws-kms:"),
        ("WORKERS", "2", "SQLite is served by one process"),
        ("WORKERS", "0", "must be 1 to 1024"),
        ("LOG_LEVEL", "loud", "one of debug, info, warning, error"),
        ("PIN_ACCESS_TOKEN_LIFETIME", "2h", "1s to 1h"),
    ],
)
def test_a_wrong_value_is_refused_in_one_sentence_that_names_it(variable: str, text: str, part: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        from_environment(**{variable: text})

    assert part in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("porto = 1", "sets porto, which is no setting; did you mean port?"),
        ("[policy]\ngrac = '1s'", "sets policy.grac, which is no setting; did you mean policy.grace?"),
        ("[nothing]\nx = 1", "sets nothing, which is no setting"),
        ("policy = 1", "policy in"),
        ("port = '8000x'", "must be a whole number"),
        ("port = true", "must be a whole number"),
        ("host = 1", "must be text that is not empty"),
        ("policy.grace = 30", "duration with its unit"),
        ("trusted_proxies = [1]", "must be a list of texts"),
        ("server_key = 'x'", "is a secret and must not stand in"),
        ("stack_auth.publishable_client_key = 'x'", "is a secret and must not stand in"),
        ("port = ", "is not TOML"),
    ],
)
def test_a_wrong_file_is_refused_in_one_sentence(tmp_path: Path, text: str, part: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        load(config=written(tmp_path, text), environ={})

    assert part in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot be read: No such file"):
        load(config=tmp_path / "none.toml", environ={})


def test_an_unknown_name_on_the_command_line_is_refused() -> None:
    with pytest.raises(Misconfigured, match=r"did you mean policy\.grace"):
        load(environ={}, pairs=["policy.grase=1s"])
    with pytest.raises(Misconfigured, match="NAME=VALUE"):
        load(environ={}, pairs=["port"])
    with pytest.raises(Misconfigured, match="is a secret"):
        load(environ={}, pairs=["master_token=0123"])


def test_a_database_password_is_not_in_the_refusal() -> None:
    with pytest.raises(Misconfigured) as refused:
        from_environment(DATABASE="oracle://user:hunter2hunter2@db")

    assert "hunter2" not in str(refused.value)


def test_the_file_is_read_anew_and_the_flags_stay(tmp_path: Path) -> None:
    file = written(tmp_path, 'port = 1\nlog_level = "info"\n')
    loaded = load(config=file, environ={}, flags={"port": "9"})
    file.write_text('port = 2\nlog_level = "debug"\n')

    again = loaded.reloaded({})

    assert (again.settings.port, again.settings.log_level.value) == (9, "debug")


def test_the_default_database_lies_in_the_data_directory(tmp_path: Path) -> None:
    settings = load(environ={}, flags={"data_dir": str(tmp_path)}).settings

    assert settings.database_url == f"sqlite:///{tmp_path}/sessiond.db"
    assert settings.secrets_directory == tmp_path / "secrets"
