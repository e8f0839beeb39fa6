"""What a database URL says: where the servers are, how to reach them, and what the operator takes upon himself.

`redis://[user:password@]host[:port][/number]` names one server; `redis+cluster://[…@]host:port,host:port` names some of
a cluster's, which tell of the others.
"""

from __future__ import annotations

import ipaddress
import re
import ssl
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote

import msgspec

from sessiond.domain.errors import Misconfigured

DEFAULT_PORT = 6379
DEFAULT_NAMESPACE = "sessiond"
_URL = re.compile(
    r"(?P<scheme>redis|redis\+cluster)://(?:(?P<user>[^/@:]*)(?::(?P<password>[^/@]*))?@)?"
    r"(?P<hosts>[^/?#@]+)(?:/(?P<number>\d*))?(?:\?(?P<query>[^#]*))?"
)
_NAMESPACE = re.compile(r"[A-Za-z0-9._-]{1,64}")
_FORM = (
    "a Redis URL is redis://[user:password@]host[:port][/number] or "
    "redis+cluster://[user:password@]host:port,host:port, with the parameters namespace, tls, tls_ca, wait, synced "
    "and allow"
)
_LARGEST_PORT = 65535
_MOST_REPLICAS = 100


class Address(NamedTuple):
    """Where one server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A database URL, understood.

    *wait* is how many replicas must have a write before it is acknowledged, None as many as are attached; with *synced*
    they and their master must have it on their disks. *allowed* names what would otherwise be refused: `eviction`,
    `no-aof`.
    """

    seeds: tuple[Address, ...]
    cluster: bool
    user: str | None = None
    password: str | None = None
    number: int = 0
    namespace: str = DEFAULT_NAMESPACE
    tls: bool = False
    tls_ca: str | None = None
    wait: int | None = None
    synced: bool = False
    allowed: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"Target({', '.join(map(str, self.seeds))})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []

    def tls_context(self) -> ssl.SSLContext | None:
        """Return how to speak TLS with the servers, or None where it is off."""
        if not self.tls:
            return None
        try:
            return ssl.create_default_context(cafile=self.tls_ca)
        except OSError as error:
            raise Misconfigured(f"tls_ca in the database URL cannot be read: {error.strerror}") from error


def parse_url(url: str) -> Target:
    """Return what *url* says, or raise `Misconfigured`."""
    match = _URL.fullmatch(url)
    if match is None:
        raise Misconfigured(_FORM)
    cluster = match["scheme"] == "redis+cluster"
    seeds = tuple(_address(text) for text in match["hosts"].split(","))
    if not cluster and len(seeds) > 1:
        raise Misconfigured("redis:// names one server; several are named by redis+cluster://")
    if cluster and match["number"]:
        raise Misconfigured("a Redis Cluster has no numbered databases")
    query = _query(match["query"] or "")
    return Target(
        seeds=seeds,
        cluster=cluster,
        user=unquote(match["user"]) if match["user"] else None,
        password=unquote(match["password"]) if match["password"] else None,
        number=int(match["number"] or 0),
        namespace=_namespace(query.get("namespace", DEFAULT_NAMESPACE)),
        tls=_tls(query, seeds),
        tls_ca=query.get("tls_ca"),
        wait=_wait(query.get("wait")),
        synced=_synced(query.get("synced", "off")),
        allowed=_allowed(query.get("allow", "")),
    )


def _query(text: str) -> dict[str, str]:
    pairs = parse_qsl(text, keep_blank_values=True)
    query = dict(pairs)
    unknown = query.keys() - {"namespace", "tls", "tls_ca", "wait", "synced", "allow"}
    if unknown or len(query) < len(pairs):
        raise Misconfigured(_FORM)
    return query


def _address(text: str) -> Address:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, str(DEFAULT_PORT)
    if not host or not port.isdecimal() or not 0 < int(port) <= _LARGEST_PORT:
        raise Misconfigured(_FORM)
    return Address(host.removeprefix("[").removesuffix("]"), int(port))


def _namespace(text: str) -> str:
    if not _NAMESPACE.fullmatch(text):
        raise Misconfigured("namespace in the database URL is 1 to 64 of the characters A-Z a-z 0-9 . _ -")
    return text


def _tls(query: dict[str, str], seeds: tuple[Address, ...]) -> bool:
    told = query.get("tls", "on" if "tls_ca" in query else None)
    if told is None:
        if all(_is_loopback(seed.host) for seed in seeds):
            return False
        raise Misconfigured(
            "the Redis server is on another machine: add tls=on to the database URL, or tls=off if the network between "
            "is protected in another way"
        )
    if told not in {"on", "off"}:
        raise Misconfigured("tls in the database URL is on or off")
    return told == "on"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _wait(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isdecimal() or int(text) > _MOST_REPLICAS:
        raise Misconfigured(
            "wait in the database URL is how many replicas must have a write: a number from 0 to 100"
        )
    return int(text)


def _synced(text: str) -> bool:
    if text not in {"on", "off"}:
        raise Misconfigured("synced in the database URL is on or off")
    return text == "on"


def _allowed(text: str) -> frozenset[str]:
    allowed = frozenset(filter(None, text.split(",")))
    if allowed - {"eviction", "no-aof"}:
        raise Misconfigured("allow in the database URL is eviction, no-aof or both, with a comma between")
    return allowed
