"""The document and its page of a real server, with every dialect in it."""

from __future__ import annotations

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.server_process import ServerProcess

pytestmark = pytest.mark.slow


def test_a_real_servers_document_is_valid_and_holds_every_dialect(server: ServerProcess) -> None:
    document = httpx.get(f"{server.url}/openapi.json").json()

    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []
    assert {"native", "device", "pin_login", "pocketpaw", "session-storage", "stack_auth"} <= {
        tag["name"] for tag in document["tags"]
    }
    for item in document["paths"].values():
        for operation in item.values():
            assert {"500", "503"} <= set(operation["responses"])


def test_a_real_server_serves_its_documentation(server: ServerProcess) -> None:
    page = httpx.get(f"{server.url}/docs")

    assert page.status_code == 200
    assert "/docs/docs.js" in page.text
    assert "server" not in page.headers
