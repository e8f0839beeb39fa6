"""A site over https, and a real Chromium to visit it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Playwright, sync_playwright

from tests.browser.site import Site, site_in
from tests.browser.tls import Certificate, make_certificate
from tests.browser.visitor import Visitor

_PATIENCE_MS = 120_000
"""How long Playwright waits for what happens at once on any machine that is not busy."""

_OFFLINE = "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE localhost , EXCLUDE 127.0.0.1"


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """The certificate that Chromium takes."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, certificate: Certificate) -> Iterator[Site]:
    """The site, one for all tests."""
    with site_in(tmp_path_factory.mktemp("site"), certificate) as running:
        yield running


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """Playwright; ended with the module, because the tests after it have event loops of their own."""
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def chromium(playwright: Playwright, certificate: Certificate) -> Iterator[Browser]:
    """The browser of Debian, never a downloaded one."""
    browser = playwright.chromium.launch(
        executable_path=chromium_path(), args=arguments(certificate), timeout=_PATIENCE_MS
    )
    yield browser
    browser.close()


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """A browser of somebody's own: no cookies, nothing stored."""
    with contextlib.closing(chromium.new_context()) as fresh:
        fresh.set_default_timeout(_PATIENCE_MS)
        yield fresh


@pytest.fixture
def visitor(context: BrowserContext, site: Site) -> Visitor:
    """Somebody with a fresh browser."""
    return Visitor(context, site)


@pytest.fixture
def neighbour(chromium: Browser, site: Site) -> Iterator[Visitor]:
    """Somebody else, with a fresh browser of their own."""
    with contextlib.closing(chromium.new_context()) as fresh:
        fresh.set_default_timeout(_PATIENCE_MS)
        yield Visitor(fresh, site)


@contextlib.contextmanager
def profile(playwright: Playwright, site: Site, folder: Path) -> Iterator[Visitor]:
    """Somebody whose browser keeps its profile in *folder*; leaving the block closes the browser."""
    context = playwright.chromium.launch_persistent_context(
        folder, executable_path=chromium_path(), args=arguments(site.certificate), timeout=_PATIENCE_MS
    )
    with contextlib.closing(context):
        context.set_default_timeout(_PATIENCE_MS)
        yield Visitor(context, site)


def chromium_path() -> str:
    """Return the path of Chromium, or fail with the line that installs it."""
    found = shutil.which("chromium")
    assert found, "chromium is missing: apt-get install --no-install-recommends chromium"
    return found


def arguments(certificate: Certificate) -> list[str]:
    """Return the options with which Chromium takes the certificate, and looks up no other name."""
    return [f"--ignore-certificate-errors-spki-list={certificate.spki_hash}", _OFFLINE]
