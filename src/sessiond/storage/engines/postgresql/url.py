"""The URL of a PostgreSQL database: what is ours in it is taken out, the rest goes to the driver."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

from sessiond.domain.errors import Misconfigured

DEFAULT_NAMESPACE = "sessiond"
_NAMESPACE = re.compile("[a-z][a-z0-9_]{0,47}")
_HOST = re.compile(r"(?:\[[^\[\]]*\]|[^:\[\]]*)(?::(\d{0,5}))?")
_HIGHEST_PORT = 65535
_YES_NO = {"true": True, "false": False}
_OF_THE_DRIVER = frozenset(
    {
        "host",
        "port",
        "user",
        "dbname",
        "passfile",
        "sslmode",
        "sslcert",
        "sslkey",
        "sslrootcert",
        "sslcrl",
        "sslnegotiation",
        "ssl_min_protocol_version",
        "ssl_max_protocol_version",
    }
)
_SHAPE = (
    "a PostgreSQL URL is postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with ?namespace=… where several deployments "
    "share a database; characters such as @ : / in a password are written as %40 %3A %2F"
)


class Address(NamedTuple):
    """Where a deployment lies. *dsn* may hold a password, so this shows nothing of it."""

    dsn: str
    namespace: str
    prepared: bool

    def __repr__(self) -> str:
        return f"Address(namespace={self.namespace!r})"


def parse_url(url: str) -> Address:
    """Return the address that *url* names, or raise `Misconfigured`."""
    try:
        parts = urlsplit(url)
        given = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError:
        raise Misconfigured(_SHAPE) from None
    hosts = parts.netloc.rpartition("@")[2]
    if parts.fragment or parts.scheme != "postgresql" or not all(map(_is_host, hosts.split(","))):
        raise Misconfigured(_SHAPE)
    namespace = given.pop("namespace", DEFAULT_NAMESPACE)
    if not _NAMESPACE.fullmatch(namespace) or namespace.startswith("pg_"):
        raise Misconfigured(
            "namespace in the database URL must be 1 to 48 of a-z, 0-9 and _, beginning with a letter, and not with pg_"
        )
    prepared = _YES_NO.get(given.pop("prepared", "true"))
    if prepared is None:
        raise Misconfigured("prepared in the database URL must be true or false")
    _check_parameters(given)
    if "sslmode" not in given and not _is_local(hosts, given):
        # What the driver would do by itself, `prefer`, goes on in the clear when somebody in between says so.
        given["sslmode"] = "require"
    query = f"?{urlencode(given)}" if given else ""
    return Address(f"postgresql://{parts.netloc}{parts.path}{query}", namespace, prepared)


def _check_parameters(given: Mapping[str, str]) -> None:
    if "password" in given:
        raise Misconfigured(
            "the database URL takes no password parameter: write it before the host, or give PGPASSWORD or a passfile"
        )
    unknown = sorted(given.keys() - _OF_THE_DRIVER)
    if unknown:
        known = ", ".join(sorted({"namespace", "prepared", *_OF_THE_DRIVER}))
        raise Misconfigured(f"the database URL has an unknown parameter, {unknown[0]!r}; known are {known}")


def _is_host(text: str) -> bool:
    """Tell whether *text* is a host with or without a port, or nothing."""
    port = _HOST.fullmatch(text)
    return port is not None and 0 <= int(port[1] or 0) <= _HIGHEST_PORT


def _is_local(hosts: str, given: Mapping[str, str]) -> bool:
    """Tell whether every host is this machine: loopback, or the directory of a socket."""
    named = ",".join(filter(None, (hosts, given.get("host"))))
    return all(_is_local_host(host) for host in named.split(",") if host)


def _is_local_host(host: str) -> bool:
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return name in {"localhost", "127.0.0.1", "::1"} or name.startswith(("/", "%2F", "%2f"))
