"""The nginx lines of the API's page, in a real nginx: live sessions pass, and the application hears whose."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from tests.docs.pages import DOCUMENTED_URL, ROOT
from tests.server_process import ServerProcess
from tests.system.nginx import nginx_before

pytestmark = [pytest.mark.slow, pytest.mark.real("nginx")]

APPLICATION = "    proxy_pass http://127.0.0.1:3000;\n"


class Application(BaseHTTPRequestHandler):
    """Answers whose session it was told of."""

    def do_GET(self) -> None:
        body = ",".join(self.headers.get_all("X-Session-Subject", [])).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the standard library's name
        pass


@pytest.fixture
def application() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Application) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def example(server: ServerProcess) -> str:
    """Return what stands within the first location and after it."""
    found = re.search(
        r"```nginx\nlocation / \{\n(.*?)\}\n```", (ROOT / "docs" / "api.md").read_text(), re.DOTALL
    )
    assert found is not None
    assert APPLICATION in found[1]
    return found[1].replace(APPLICATION, "").replace(DOCUMENTED_URL, server.url)


def test_nginx_lets_live_sessions_through_and_tells_whose_they_are(
    server: ServerProcess, application: str, tmp_path: Path
) -> None:
    body = httpx.post(
        f"{server.url}/v1/sessions", headers=server.authorization, json={"subject": "alice"}
    ).json()
    session = {"Authorization": f"Bearer {body['access_token']}"}

    with nginx_before(application, tmp_path / "nginx", example(server)) as url:
        nobody = httpx.get(url, headers={"X-Session-Subject": "alice"})
        alice = httpx.get(url, headers=session | {"X-Session-Subject": "mallory"})
        httpx.delete(f"{server.url}/v1/session", headers=session)
        ended = httpx.get(url, headers=session)

    assert (nobody.status_code, ended.status_code) == (401, 401)
    assert (alice.status_code, alice.text) == (200, "alice")
