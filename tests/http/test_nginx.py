"""A forgotten proxy: open public access is refused through a real nginx with a plain `proxy_pass`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from sessiond.http.edge import Edge
from tests.http.surface import Surface
from tests.server_process import free_port

pytestmark = pytest.mark.real("nginx")

CONFIGURATION = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{upstream}; {more} }} }}
}}
"""


@contextlib.asynccontextmanager
async def nginx(folder: Path, upstream: int, more: str = "") -> AsyncIterator[str]:
    """Run nginx before *upstream*; gives its URL."""
    port = free_port()
    configuration = folder / "nginx.conf"
    configuration.write_text(CONFIGURATION.format(folder=folder, port=port, upstream=upstream, more=more))
    binary = shutil.which("nginx") or "/usr/sbin/nginx"
    process = await asyncio.create_subprocess_exec(
        binary, "-c", str(configuration), "-e", str(folder / "error.log"), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(120):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                await asyncio.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


async def test_open_public_access_is_refused_through_a_plain_proxy_pass(tmp_path: Path) -> None:
    async with Surface().served() as server:
        upstream = server.addresses[0][1]
        async with nginx(tmp_path, upstream) as proxy, httpx.AsyncClient() as client:
            directly = await client.get(f"http://127.0.0.1:{upstream}/public")
            through = await client.get(f"{proxy}/public")

    assert directly.status_code == 200
    assert (through.status_code, through.json()) == (401, {"oops": "public_access_closed"})


@pytest.mark.skipif(os.geteuid() != 0, reason="nginx' worker is another user's only when root starts it")
async def test_open_public_access_is_refused_through_a_proxy_that_shows_nothing_of_itself(
    tmp_path: Path,
) -> None:
    hidden = 'proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host localhost;'

    async with (
        Surface().served() as server,
        nginx(tmp_path, server.addresses[0][1], hidden) as proxy,
        httpx.AsyncClient() as client,
    ):
        through = await client.get(f"{proxy}/public")

    assert (through.status_code, through.json()) == (401, {"oops": "public_access_closed"})


async def test_a_trusted_proxy_tells_the_clients_address_and_scheme(tmp_path: Path) -> None:
    said = "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto https;"
    surface = Surface(Edge(trusted_proxies=["127.0.0.1"]))

    async with (
        surface.served() as server,
        nginx(tmp_path, server.addresses[0][1], said) as proxy,
        httpx.AsyncClient() as client,
    ):
        spoofed = await client.get(f"{proxy}/odd/1", headers={"x-forwarded-for": "6.6.6.6"})
        signed_in = await client.post(f"{proxy}/sign-in")

    assert (
        spoofed.json()["address"] == "6.6.6.6"
    )  # the chain is 6.6.6.6, 127.0.0.1; and 127.0.0.1 is trusted here
    assert "Secure" in signed_in.headers["set-cookie"]
