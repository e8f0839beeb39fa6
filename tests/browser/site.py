"""A whole site over https: sessiond and a small application behind an nginx that caches all it may.

Two more origins of an attacker's lead to the same nginx: one of another site (127.0.0.1 is not localhost), and one of
the same site (another port is another origin, not another site).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.browser.shop import shop_before
from tests.browser.tls import Certificate
from tests.server_process import ServerProcess, free_port
from tests.system.nginx import nginx_running, user_line

_CONFIGURATION = """
worker_processes 1;
{user}
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    proxy_cache_path {cache} keys_zone=everything:1m;
    server {{
        listen 127.0.0.1:{port} ssl;
        listen 127.0.0.1:{other_port} ssl;
        ssl_certificate {certificate.path};
        ssl_certificate_key {certificate.key_path};

        proxy_cache everything;
        proxy_cache_methods GET HEAD POST;
        proxy_cache_key $request_uri;
        proxy_cache_valid any 10m;
        proxy_cache_use_stale error timeout updating http_500 http_502 http_503 http_504;
        add_header X-Cache $upstream_cache_status always;

        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto https;
        location / {{ proxy_pass {shop}; }}
        location /v1/ {{ proxy_pass {sessiond}; }}
        location /.well-known/ {{ proxy_pass {sessiond}; }}
    }}
}}
"""


class Site(NamedTuple):
    """Where everything is. *other_site* and *same_site* are origins of an attacker's."""

    url: str
    other_site: str
    same_site: str
    cache: Path
    certificate: Certificate
    sessiond: ServerProcess


@contextlib.contextmanager
def site_in(folder: Path, certificate: Certificate, *options: str) -> Iterator[Site]:
    """Run the site with its files in *folder*; *options* are more for sessiond."""
    port, other_port = free_port(), free_port()
    url = f"https://localhost:{port}"
    options = ("--public-url", url, "--trusted-proxies", "127.0.0.1", *options)
    with ServerProcess.started(folder, *options) as sessiond, shop_before(sessiond) as shop:
        configuration = _CONFIGURATION.format(
            user=user_line(own_user=True),
            folder=folder,
            cache=folder / "cache",
            port=port,
            other_port=other_port,
            certificate=certificate,
            shop=shop,
            sessiond=sessiond.url,
        )
        with nginx_running(folder, port, configuration):
            yield Site(
                url=url,
                other_site=f"https://127.0.0.1:{port}",
                same_site=f"https://localhost:{other_port}",
                cache=folder / "cache",
                certificate=certificate,
                sessiond=sessiond,
            )
