"""Values that have the right type and would still be wrong or unsafe."""

from __future__ import annotations

import re
from datetime import timedelta
from ipaddress import ip_network
from urllib.parse import SplitResult, urlsplit

from sessiond.config.settings import Settings
from sessiond.domain.errors import Misconfigured
from sessiond.domain.freshness import SHORTEST, STRICT
from sessiond.domain.policies import check
from sessiond.http.login_page import LoginPage
from sessiond.storage.open import is_shared, known_engines

_KEY_SERVICE = re.compile(r"aws-kms:[A-Za-z0-9:/_-]{1,512}")


def check_settings(settings: Settings) -> None:
    """Raise `Misconfigured` with the first thing that is wrong; the sentence begins with the setting's name."""
    check(settings.policy)
    _check_host(settings.host)
    _check_database(settings.database)
    _check_workers(settings)
    _check_staleness(settings.cache.max_staleness)
    _check_key_service(settings.key_service)
    _check_public_url(settings.public_url)
    _check_login_url(settings)
    for network in settings.trusted_proxies:
        _check_proxy(network)
    _check_lifetimes(settings)


def _check_workers(settings: Settings) -> None:
    if settings.workers > 1 and not is_shared(settings.database_url):
        raise Misconfigured(
            f"workers must be 1, not {settings.workers}: SQLite is served by one process; several can share a "
            "PostgreSQL or Redis database"
        )


def _check_staleness(bound: timedelta) -> None:
    if STRICT < bound < SHORTEST:
        raise Misconfigured("cache.max_staleness must be 0s, or 100ms and more")


def _check_host(host: str) -> None:
    if any(c.isspace() or c in "/@[]" for c in host):
        raise Misconfigured(
            "host must be an address or a name, such as 127.0.0.1, ::1 or 0.0.0.0, without a port"
        )


def _check_database(url: str | None) -> None:
    known = ", ".join(f"{name}://" for name in known_engines())
    if url is None:
        return
    if "://" not in url:
        raise Misconfigured(
            f"database must be a URL that begins with one of {known}, such as sqlite:///path/to/file"
        )
    if url.partition("://")[0] not in known_engines():
        raise Misconfigured(f"database names no known engine; it must begin with one of {known}")


def _check_key_service(name: str | None) -> None:
    if name is not None and _KEY_SERVICE.fullmatch(name) is None:
        raise Misconfigured(
            "key_service must be aws-kms: and the ARN or the alias of a key, such as aws-kms:alias/sessiond"
        )


def _check_public_url(url: str | None) -> None:
    if url is None:
        return
    parts = _split(url)
    if parts is None or parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise Misconfigured(
            "public_url must be a scheme and a host, such as https://sessions.example.org, and no more"
        )


def _check_login_url(settings: Settings) -> None:
    url = settings.login_url
    if url is None:
        if settings.return_to:
            raise Misconfigured("return_to names pages to return to from login_url: set that, too")
        return
    if _split(url) is None:
        raise Misconfigured("login_url must be an http or https URL, such as https://app.example.org/login")
    LoginPage(url, settings.return_to)


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    strange = any(c.isspace() or not c.isprintable() for c in url)
    if strange or parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
        return None
    return parts


def _check_proxy(text: str) -> None:
    try:
        network = ip_network(text)
    except ValueError:
        raise Misconfigured(
            f"trusted_proxies must hold addresses or networks, such as 10.0.0.5 or 10.0.0.0/8, not {text!r}"
        ) from None
    if network.prefixlen == 0:
        raise Misconfigured(
            f"trusted_proxies must not hold {text}: every client could then choose its own address; name the proxies"
        )


def _check_lifetimes(settings: Settings) -> None:
    stack, pin = settings.stack_auth, settings.pin
    for name in ("default_lifetime", "impersonation_lifetime"):
        if getattr(stack, name) > stack.max_lifetime:
            raise Misconfigured(f"stack_auth.{name} must not be above stack_auth.max_lifetime")
    if pin.access_token_lifetime > pin.session_ttl:
        raise Misconfigured("pin.access_token_lifetime must not be above pin.session_ttl")
