"""A page of an attacker's in a real Chromium: another site, or another origin of the same site. It changes nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Page, Response

from tests.browser.site import Site
from tests.browser.visitor import Visitor, ask

pytestmark = [pytest.mark.slow, pytest.mark.real("chromium"), pytest.mark.real("nginx")]

CROSS_SITE, SAME_SITE = "other_site", "same_site"

_ATTACKS: dict[str, str] = {
    "form": """([url, body]) => {
        const form = document.createElement("form");
        form.method = "post"; form.action = url; form.enctype = "text/plain";
        const field = document.createElement("input");
        field.name = body.slice(0, -1) + ', "x": "'; field.value = '"}';
        form.append(field); document.body.append(form); form.submit();
    }""",
    "fetch": """([url, body]) => {
        fetch(url, {method: "POST", mode: "no-cors", credentials: "include", body}).catch(() => null);
    }""",
    "beacon": """([url, body]) => { navigator.sendBeacon(url, body); }""",
}

_IN_A_SANDBOX = """([url, body]) => new Promise(done => {
    onmessage = message => done(message.data);
    const frame = document.createElement("iframe");
    frame.sandbox = "allow-scripts";
    const asked = JSON.stringify({method: "POST", mode: "no-cors", credentials: "include", body});
    frame.srcdoc = `<script>
        fetch("${url}", ${asked}).then(
            answer => parent.postMessage(answer.type, "*"), error => parent.postMessage(error.name, "*"));
    </` + "script>";
    document.body.append(frame);
})"""


class Victim:
    """Somebody with two accounts, who then comes to the attacker's page."""

    def __init__(self, visitor: Visitor) -> None:
        self.visitor = visitor
        self.page = visitor.open()
        visitor.sign_in(self.page)
        visitor.sign_in(self.page)
        self.before = self.accounts()
        self.cookie = visitor.session_cookie

    def accounts(self) -> Any:  # noqa: ANN401  what the server answers
        """Return the accounts, the current one first."""
        items = json.loads(ask(self.page, "GET", "/v1/session/accounts").text)["items"]
        return [(item["session"], item["is_current"]) for item in items]

    def at(self, origin: str) -> Page:
        """Open the attacker's page at one of its origins."""
        return self.visitor.open(f"{getattr(self.visitor.site, origin)}/prize")

    def assert_unharmed(self) -> None:
        """Fail unless everything is as it was."""
        assert self.visitor.session_cookie == self.cookie
        assert self.accounts() == self.before


@pytest.fixture
def victim(visitor: Visitor) -> Victim:
    return Victim(visitor)


def attacked(page: Page, attack: str, url: str, body: str) -> Response:
    """Run the attack; return how its request was answered."""
    with page.expect_response(url) as answered:
        page.evaluate(_ATTACKS[attack], [url, body])
    return answered.value


@pytest.mark.parametrize("attack", _ATTACKS)
@pytest.mark.parametrize("origin", [CROSS_SITE, SAME_SITE])
def test_no_page_of_anothers_switches_the_account(
    victim: Victim, site: Site, origin: str, attack: str
) -> None:
    body = json.dumps({"session": victim.before[1][0]})

    answer = attacked(victim.at(origin), attack, f"{site.url}/v1/session/switch", body)

    # Chromium leaves the cookie out (401), but for another origin of the same site: there the server refuses (403).
    assert answer.status == (403 if origin == SAME_SITE else 401)
    victim.assert_unharmed()


@pytest.mark.parametrize("origin", [CROSS_SITE, SAME_SITE])
def test_no_page_without_an_origin_switches_the_account(victim: Victim, site: Site, origin: str) -> None:
    body = json.dumps({"session": victim.before[1][0]})

    answered = victim.at(origin).evaluate(_IN_A_SANDBOX, [f"{site.url}/v1/session/switch", body])

    assert answered == "opaque"
    victim.assert_unharmed()


@pytest.mark.parametrize("origin", [CROSS_SITE, SAME_SITE])
def test_no_page_of_anothers_signs_out_or_reads(victim: Victim, site: Site, origin: str) -> None:
    page = victim.at(origin)

    outcomes = page.evaluate(
        """async url => {
            const attempt = async (path, more) => {
                try { return (await fetch(url + path, {credentials: "include", ...more})).status; }
                catch (error) { return error.name; }
            };
            return [
                await attempt("/v1/session", {method: "DELETE"}),
                await attempt("/v1/session", {}),
                await attempt("/v1/session/accounts", {}),
                await attempt("/v1/session/switch", {
                    method: "POST", headers: {"Content-Type": "application/json"}, body: "{}",
                }),
            ];
        }""",
        site.url,
    )

    assert outcomes == ["TypeError"] * 4  # the preflight, or the answer, allows no other origin
    victim.assert_unharmed()


@pytest.mark.parametrize("origin", [CROSS_SITE, SAME_SITE])
def test_no_page_of_anothers_signs_the_browser_in(victim: Victim, site: Site, origin: str) -> None:
    page = victim.at(origin)

    with page.expect_response(f"{site.url}/sign-in") as answered:
        page.evaluate(
            """url => {
                const form = document.createElement("form");
                form.method = "post"; form.action = url;
                const field = document.createElement("input");
                field.name = "user"; field.value = "mallory";
                form.append(field); document.body.append(form); form.submit();
            }""",
            f"{site.url}/sign-in",
        )

    assert answered.value.status == 403
    victim.assert_unharmed()


def test_a_link_from_another_site_opens_the_page_signed_in(victim: Victim, site: Site) -> None:
    page = victim.at(CROSS_SITE)

    with page.expect_navigation():
        page.evaluate("url => { location = url; }", f"{site.url}/who")

    assert page.text_content("body") != "nobody"
    victim.assert_unharmed()


def test_no_page_of_anothers_shows_an_answer_in_a_frame(victim: Victim, site: Site) -> None:
    page = victim.at(SAME_SITE)

    with page.expect_request(f"{site.url}/v1/session"):
        page.evaluate(
            """url => new Promise(done => {
                const frame = document.createElement("iframe");
                frame.onload = done; frame.src = url; document.body.append(frame);
            })""",
            f"{site.url}/v1/session",
        )
    (_, frame) = page.frames

    assert '"subject"' not in frame.evaluate("document.documentElement.innerText")
