"""What every start tells people: the URL, and what is open to whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sessiond
from sessiond.bootstrap.opening import Opened
from sessiond.http.app import App
from sessiond.http.peer import Address

_PUBLIC = "public access"


def serving_line(opened: Opened, addresses: Sequence[Address]) -> str:
    """Return the line that says which sessiond serves where."""
    urls = ", ".join(url_of(address) for address in addresses)
    public_url = opened.settings.public_url
    known = f", known as {public_url}" if public_url else ""
    count = opened.settings.workers
    workers = f" with {count} workers" if count > 1 else ""
    return f"sessiond {sessiond.__version__} serves {urls}{known}{workers}; its API documentation is at /docs"


def public_access_line(app: App) -> str:
    """Return the line that says what is open without a credential, and to whom."""
    apis = _public_apis(app)
    if not apis:
        return "Every API asks for a credential."
    names = ", ".join(f"{title} ({paths})" for title, paths in apis.items())
    if not app.edge.public_open:
        return f"Public access is closed: {names} ask for a server key, like all others."
    if app.edge.local_only:
        return f"Public access is open to this machine's own users: {names} ask for no credential; all others do."
    return f"Public access is OPEN TO EVERYONE who reaches this server: {names} ask for no credential."


def url_of(address: Address) -> str:
    """Return the URL of a listening address."""
    host, port = address[0], address[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _public_apis(app: App) -> Mapping[str, str]:
    found: dict[str, list[str]] = {}
    for dialect in app.dialects:
        for endpoint in dialect.endpoints:
            if endpoint.credential.name.startswith(_PUBLIC):
                first = "/".join(endpoint.path.split("{", 1)[0].rstrip("/").split("/")[:4])
                paths = found.setdefault(dialect.title, [])
                if first not in paths:
                    paths.append(first)
    return {title: _shortest(paths) for title, paths in found.items()}


def _shortest(paths: Sequence[str]) -> str:
    kept = [
        path for path in paths if not any(path != other and path.startswith(other + "/") for other in paths)
    ]
    return ", ".join(kept)
