"""Settings: everything that can be set, with its default, its range and a sentence about it.

A setting's name is its path: `port`, `policy.grace`. The file writes it as TOML, the environment as `SESSIOND_` and
the path in capitals with underscores. Its declaration here is the only place: reading, `config show` and
`docs/configuration.md` all come from it.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec

from sessiond.domain.described import Described
from sessiond.domain.freshness import LONGEST, STRICT
from sessiond.domain.policies import Policy
from sessiond.domain.rules import (
    DeviceRules,
    ImpersonationRules,
    LimitRules,
    OperatorRules,
    PinRules,
    PurgeRules,
    Rules,
    StackRules,
    VaultRules,
)
from sessiond.http.cookies import SessionCookie
from sessiond.http.edge import PublicAccess


class LogLevel(enum.StrEnum):
    """From which level on log lines are written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class CacheSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What memory may answer."""

    records: Annotated[
        int,
        Described(text="How many records are kept in memory; about 2 KiB each.", least=0, most=10_000_000),
    ] = 100_000
    max_staleness: Annotated[
        timedelta,
        Described(
            text="For how long a verify may still accept what another node ended. 0s: never, every verify on "
            "PostgreSQL and Redis reads the database. From 100ms on, memory may answer. SQLite is always strict.",
            least=STRICT,
            most=LONGEST,
        ),
    ] = STRICT


_EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104  names to compare with, nothing is bound to them


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The effective settings of one process."""

    host: Annotated[str, Described(text="The address to listen on.")] = "127.0.0.1"
    port: Annotated[
        int, Described(text="The port to listen on; 0 takes a free one.", least=0, most=65535)
    ] = 8000
    data_dir: Annotated[
        Path, Described(text="Where the embedded database and the secrets lie; made with mode 0700.")
    ] = Path("data")
    database: Annotated[
        str | None,
        Described(
            text="The database's URL: sqlite:///path, postgresql://…, redis://…, redis+cluster://… or memory://. "
            "Default: sessiond.db in the data directory."
        ),
    ] = None
    workers: Annotated[
        int, Described(text="How many processes serve; SQLite is served by one.", least=1, most=1024)
    ] = 1
    secrets_dir: Annotated[
        Path | None,
        Described(text="Where keys and first secrets lie. Default: secrets in the data directory."),
    ] = None
    key_service: Annotated[
        str | None,
        Described(
            text="The key service that wraps the wrapping key: aws-kms: and a key's ARN or alias. Default: the key "
            "itself lies in the secrets directory, or is given."
        ),
    ] = None
    public_url: Annotated[
        str | None,
        Described(text="Where clients reach this server, scheme and host only; https makes cookies Secure."),
    ] = None
    trusted_proxies: Annotated[
        tuple[str, ...],
        Described(
            text="Addresses and networks of proxies whose X-Forwarded-* and Forwarded headers are believed."
        ),
    ] = ()
    public_access: Annotated[
        PublicAccess,
        Described(
            text="Whether endpoints that their documents show without a credential are open: auto opens them while "
            "only loopback is listened on and no public_url or trusted_proxies is set."
        ),
    ] = PublicAccess.AUTO
    login_url: Annotated[
        str | None, Described(text="Where /v1/verify sends a browser without a session; none answers 401.")
    ] = None
    return_to: Annotated[
        tuple[str, ...],
        Described(
            text="Origins and whole URLs that /v1/verify may name to login_url as the page to return to; what was "
            "asked for is believed from trusted_proxies only."
        ),
    ] = ()
    session_cookie: Annotated[
        SessionCookie,
        Described(
            text="What the session cookie is called on https; no other name counts there. A change signs browsers out."
        ),
    ] = SessionCookie.HOST
    log_level: Annotated[LogLevel, Described(text="From which level on log lines are written.")] = (
        LogLevel.INFO
    )
    access_log: Annotated[bool, Described(text="Whether each request gets a log line.")] = True
    drain_timeout: Annotated[
        timedelta,
        Described(
            text="How long requests in flight may take after SIGTERM.",
            least=timedelta(0),
            most=timedelta(minutes=10),
        ),
    ] = timedelta(seconds=10)
    policy: Policy = Policy()
    cache: CacheSettings = CacheSettings()
    pocketpaw: OperatorRules = OperatorRules()
    device: DeviceRules = DeviceRules()
    pin: PinRules = PinRules()
    vault: VaultRules = VaultRules()
    stack_auth: StackRules = StackRules()
    impersonation: ImpersonationRules = ImpersonationRules()
    limits: LimitRules = LimitRules()
    purge: PurgeRules = PurgeRules()

    @property
    def rules(self) -> Rules:
        """The rules that the services are run by."""
        return Rules(
            policy=self.policy,
            operator=self.pocketpaw,
            device=self.device,
            pin=self.pin,
            vault=self.vault,
            stack=self.stack_auth,
            impersonation=self.impersonation,
            limits=self.limits,
            purge=self.purge,
        )

    @property
    def base_url(self) -> str:
        """The URL that issued JWTs name: the public one, else where this server listens (everywhere: `localhost`)."""
        if self.public_url is not None:
            return self.public_url.rstrip("/")
        host = "localhost" if self.host in _EVERYWHERE else self.host
        host = f"[{host}]" if ":" in host else host
        return f"http://{host}:{self.port}"

    @property
    def database_url(self) -> str:
        """The database's URL, with the default written out."""
        return self.database or f"sqlite:///{self.data_dir.absolute() / 'sessiond.db'}"

    @property
    def secrets_directory(self) -> Path:
        """Where keys and first secrets lie, with the default written out."""
        return self.secrets_dir or self.data_dir / "secrets"


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One setting as it is declared. *kind* is its type without None; *optional* tells whether None is a value."""

    name: str
    kind: Any
    optional: bool
    default: object
    about: Described

    @property
    def variable(self) -> str:
        """The environment variable of this setting."""
        return variable_of(self.name)

    @property
    def section(self) -> str:
        """The table it stands in, empty for the top level."""
        return self.name.rpartition(".")[0]


class SecretSetting(msgspec.Struct, frozen=True, kw_only=True):
    """A secret that can be given: by its variable, or in a file of its own that `NAME_file` names."""

    name: str
    about: str

    @property
    def variable(self) -> str:
        """The environment variable that holds the secret itself."""
        return variable_of(self.name)

    @property
    def file_setting(self) -> str:
        """The setting that names a file with the secret in it."""
        return f"{self.name}_file"

    @property
    def file_variable(self) -> str:
        """The environment variable that names a file with the secret in it."""
        return variable_of(self.file_setting)


KEY = SecretSetting(
    name="key",
    about="The wrapping key, 32 bytes in base64url, in place of the file key in the secrets directory.",
)
NEXT_KEY = SecretSetting(
    name="next_key",
    about="The wrapping key that `sessiond keys rewrap` moves to; until then, and after, this or `key` opens the keys.",
)
SERVER_KEY = SecretSetting(
    name="server_key",
    about="The first server key, in place of one that is made. Another value at a later start retires the former one.",
)
MASTER_TOKEN = SecretSetting(
    name="master_token",
    about="The master token of the first start, in place of one that is made. Another value later is refused.",
)
PUBLISHABLE_CLIENT_KEY = SecretSetting(
    name="stack_auth.publishable_client_key",
    about="The key that Stack Auth clients of the default project must present; without it they need none.",
)
METRICS_TOKEN = SecretSetting(
    name="metrics_token",
    about="Reads `/metrics` and opens nothing else; without it only the master token does.",
)
SECRETS = (KEY, NEXT_KEY, SERVER_KEY, MASTER_TOKEN, PUBLISHABLE_CLIENT_KEY, METRICS_TOKEN)

RELOADED = ("log_level", "limits", "purge")
"""Settings and sections that SIGHUP reads anew; the others need a restart."""


def variable_of(name: str) -> str:
    """Return the environment variable of the setting *name*."""
    return "SESSIOND_" + name.replace(".", "_").upper()


def declared() -> Iterator[Setting]:
    """Yield every setting, the top level first, in the order of the declarations."""
    sections: list[tuple[str, type[msgspec.Struct]]] = []
    for name, hint, default in _fields(Settings):
        if get_origin(hint) is Annotated:
            yield _setting(name, hint, default)
        else:
            sections.append((name, hint))
    for section, struct in sections:
        for name, hint, default in _fields(struct):
            yield _setting(f"{section}.{name}", hint, default)


def _fields(struct: type[msgspec.Struct]) -> Iterator[tuple[str, Any, object]]:
    hints = get_type_hints(struct, include_extras=True)
    for field in msgspec.structs.fields(struct):
        yield field.name, hints[field.name], field.default


def _setting(name: str, hint: object, default: object) -> Setting:
    kind, about = get_args(hint)[:2]
    members = get_args(kind)
    optional = type(None) in members
    if optional:
        kind = next(member for member in members if member is not type(None))
    return Setting(name=name, kind=kind, optional=optional, default=default, about=about)
