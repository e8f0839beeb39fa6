"""Browser sessions over TCP: the one cookie, several accounts in a browser, CSRF, and signing out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path

import httpx
import pytest

from tests.dialects.native_calls import Holder, a_subject, assert_problem, bearer, created
from tests.server_process import ServerProcess

UNKNOWN = "01a1fc85-811b-7509-b712-5abdc87c645d"
ORIGIN = "https://app.example"
HTTPS = ("--public-url", ORIGIN)
FOREIGN: list[dict[str, str]] = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none", "Origin": "null"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"},
]


class Browser:
    """A browser as the server sees it: it keeps the cookie that it was given last, and sends it."""

    def __init__(self, http: httpx.Client, server: ServerProcess) -> None:
        self.http = http
        self.server = server
        self.cookie = ""

    def sign_in(self, subject: str | None = None, **members: object) -> httpx.Response:
        """Have the backend create a session, as it does when a user signs in; the cookie goes along."""
        value = self.cookie.partition("=")[2]
        members = {"delivery": "cookie"} | ({"browser": value} if value else {}) | members
        answer = created(self.http, self.server, subject=subject or a_subject(), **members)
        return self._kept(answer)

    def ask(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **more: object
    ) -> httpx.Response:
        """Send a request with the cookie."""
        sent = {"Cookie": self.cookie} | dict(headers or {})
        return self._kept(self.http.request(method, path, headers=sent, **more))  # type: ignore[arg-type]

    def switch(self, session: str, **headers: str) -> httpx.Response:
        """Switch to another account."""
        return self.ask("POST", "/v1/session/switch", json={"session": session}, headers=headers)

    def accounts(self) -> list[tuple[str, bool]]:
        """Return the subjects of the accounts, and which one is current."""
        items = self.ask("GET", "/v1/session/accounts").json()["items"]
        return [(item["subject"], item["is_current"]) for item in items]

    def _kept(self, answer: httpx.Response) -> httpx.Response:
        if "set-cookie" in answer.headers:
            self.cookie = answer.headers["set-cookie"].partition(";")[0]
        return answer


def without_a_jar(server: ServerProcess) -> httpx.Client:
    """Return a client that keeps no cookies by itself."""
    jar = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
    return httpx.Client(base_url=server.url, cookies=jar)


@pytest.fixture
def http(server: ServerProcess) -> Iterator[httpx.Client]:
    """A client without cookies or credentials."""
    with without_a_jar(server) as client:
        yield client


@pytest.fixture
def browser(http: httpx.Client, server: ServerProcess) -> Browser:
    return Browser(http, server)


@pytest.fixture(scope="module")
def https_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that is told it is reached over https."""
    with ServerProcess.started(tmp_path_factory.mktemp("https"), *HTTPS) as process:
        yield process


@pytest.fixture
def https(https_server: ServerProcess) -> Iterator[Browser]:
    with without_a_jar(https_server) as client:
        yield Browser(client, https_server)


def session_of(answer: httpx.Response) -> str:
    return str(answer.json()["session"]["id"])


def is_live(browser: Browser, cookie: str) -> bool:
    return browser.http.get("/v1/session", headers={"Cookie": cookie}).status_code == 200


def test_over_https_there_is_one_prefixed_cookie_and_no_token_in_the_body(https: Browser) -> None:
    answer = https.sign_in()

    name_and_value, *attributes = answer.headers["set-cookie"].split("; ")
    assert name_and_value.startswith("__Host-sid=sdb1_")
    assert set(attributes) == {"Path=/", "Max-Age=2592000", "Secure", "HttpOnly", "SameSite=Lax"}
    assert set(answer.json()) == {"session"}
    assert "sdb1_" not in answer.text
    assert answer.headers["cache-control"] == "no-store"


def test_a_cookie_that_is_not_remembered_lives_as_long_as_the_browser(browser: Browser) -> None:
    answer = browser.sign_in(remember=False)

    assert set(answer.headers["set-cookie"].split("; ")[1:]) == {"Path=/", "HttpOnly", "SameSite=Lax"}
    assert "Max-Age" in browser.sign_in(remember=True).headers["set-cookie"]


@pytest.mark.parametrize("member", [{"remember": False}, {"remember": True}, {"browser": "x"}])
def test_what_goes_with_a_cookie_is_refused_without_one(
    http: httpx.Client, server: ServerProcess, member: dict[str, object]
) -> None:
    answer = http.post("/v1/sessions", headers=server.authorization, json={"subject": "alice"} | member)

    assert_problem(answer, 400, "invalid_body")
    assert answer.json()["errors"] == [
        {"pointer": f"/{next(iter(member))}", "detail": "goes with delivery cookie"}
    ]


def test_on_https_no_other_cookie_name_counts(https: Browser) -> None:
    https.sign_in()
    value = https.cookie.partition("=")[2]

    for name in ("sid", "__host-sid", "__Host-Http-sid", "__HOST-SID", '"__Host-sid"', "__Host-sid ;x"):
        answer = https.http.get("/v1/session", headers={"Cookie": f"{name}={value}"})
        assert_problem(answer, 401, "credential_required")
    planted = https.http.get("/v1/session", headers={"Cookie": f"sid=junk; {https.cookie}; sid=junk"})
    assert planted.status_code == 200


def test_the_name_can_be_the_one_that_no_script_can_write(tmp_path: Path) -> None:
    options = (*HTTPS, "--set", "session_cookie=__Host-Http-sid")
    with ServerProcess.started(tmp_path, *options) as server, without_a_jar(server) as http:
        browser = Browser(http, server)
        browser.sign_in()
        former = browser.cookie.replace("__Host-Http-sid", "__Host-sid")

        assert browser.cookie.startswith("__Host-Http-sid=")
        assert browser.ask("GET", "/v1/session").status_code == 200
        assert not is_live(browser, former)
        ended = browser.ask("DELETE", "/v1/session")
        assert ended.headers["set-cookie"].startswith("__Host-Http-sid=;")


def test_two_session_cookies_may_not_name_different_sessions(browser: Browser) -> None:
    browser.sign_in()
    value = browser.cookie.partition("=")[2]
    browser.cookie = ""
    browser.sign_in()

    both = browser.http.get("/v1/session", headers={"Cookie": f"__Host-sid={value}; {browser.cookie}"})
    same = browser.http.get("/v1/session", headers={"Cookie": f"__Host-sid={value}; sid={value}"})

    assert_problem(both, 400, "credentials_differ")
    assert same.status_code == 200


def test_no_session_is_issued_where_its_cookie_could_not_be_set(
    http: httpx.Client, server: ServerProcess
) -> None:
    subject, headers = a_subject(), server.authorization | {"Host": "app.example"}

    answer = http.post("/v1/sessions", headers=headers, json={"subject": subject, "delivery": "cookie"})

    assert_problem(answer, 400, "cookie_needs_https")
    listed = http.get("/v1/sessions", params={"subject": subject}, headers=server.authorization)
    assert listed.json()["items"] == []


def test_a_sign_in_beside_another_account_keeps_both(browser: Browser) -> None:
    alice, bob = a_subject(), a_subject()
    browser.sign_in(alice)
    browser.sign_in(bob)

    assert browser.accounts() == [(bob, True), (alice, False)]


def test_a_planted_cookie_is_never_kept_over_a_sign_in(browser: Browser) -> None:
    victim = a_subject()
    planted = browser.sign_in(victim)
    cookie = browser.cookie

    answer = browser.sign_in(victim)

    assert session_of(answer) != session_of(planted)
    assert browser.cookie != cookie
    assert not is_live(browser, cookie)


@pytest.mark.parametrize("value", ["", "x", "sdb1_" + "A" * 86, "é", "sdb1_" + "A" * 5000])
def test_an_unknown_cookie_is_no_hindrance_to_a_sign_in(browser: Browser, value: str) -> None:
    subject = a_subject()

    browser.sign_in(subject, browser=value)

    assert browser.accounts() == [(subject, True)]


def test_a_switch_answers_a_new_id_and_cookie(browser: Browser) -> None:
    alice, bob = a_subject(), a_subject()
    former, former_cookie = session_of(browser.sign_in(alice)), browser.cookie
    browser.sign_in(bob)
    left = browser.cookie

    answer = browser.switch(former)

    assert answer.status_code == 200
    assert set(answer.json()) == {"session"}
    assert (answer.json()["session"]["subject"], session_of(answer) != former) == (alice, True)
    assert browser.cookie not in {former_cookie, left}
    assert "sdb1_" not in answer.text
    assert (is_live(browser, former_cookie), is_live(browser, left)) == (False, True)
    assert browser.accounts() == [(alice, True), (bob, False)]


def test_a_switch_passes_no_limit_and_keeps_the_assurance(browser: Browser) -> None:
    before = browser.sign_in(
        absolute_timeout_seconds=600, idle_timeout_seconds=300, acr="gold", amr=["pwd"], remember=False
    ).json()["session"]
    browser.sign_in()

    answer = browser.switch(before["id"])

    after = answer.json()["session"]
    kept = ("expires_at", "idle_timeout_seconds", "authenticated_at", "acr", "amr", "client", "metadata")
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    assert "Max-Age" not in answer.headers["set-cookie"]


def test_what_is_not_this_browsers_is_unknown(
    http: httpx.Client, browser: Browser, server: ServerProcess
) -> None:
    browser.sign_in()
    other = Browser(http, server)
    foreign = session_of(other.sign_in())
    own = session_of(browser.ask("GET", "/v1/session"))
    before = browser.cookie

    for target in (foreign, own, UNKNOWN, "", "x", "sdb1_x", "'; --"):
        assert_problem(browser.switch(target), 404, "account_unknown")
    for target in (foreign, own, UNKNOWN, "x"):
        ended = browser.ask("DELETE", f"/v1/session/accounts/{target}")
        assert_problem(ended, 404, "account_unknown")
    assert browser.cookie == before
    assert is_live(browser, other.cookie)


def test_a_session_with_tokens_has_no_accounts(http: httpx.Client, server: ServerProcess) -> None:
    holder = Holder(http, server)

    accounts = holder.ask("GET", "/v1/session/accounts").json()["items"]
    answer = holder.ask("POST", "/v1/session/switch", json={"session": UNKNOWN})

    assert [(item["session"], item["is_current"]) for item in accounts] == [(holder.id, True)]
    assert_problem(answer, 404, "account_unknown")


def test_another_account_that_ended_is_told_from_an_unknown_one(
    browser: Browser, server: ServerProcess
) -> None:
    alice = session_of(browser.sign_in())
    browser.sign_in()
    browser.http.delete(f"/v1/sessions/{alice}", headers=server.authorization)

    assert_problem(browser.switch(alice), 409, "account_ended")
    assert len(browser.accounts()) == 1


def test_a_browser_takes_eight_accounts(browser: Browser, http: httpx.Client, server: ServerProcess) -> None:
    for _ in range(8):
        browser.sign_in()
    value, subject = browser.cookie.partition("=")[2], a_subject()
    body = {"subject": subject, "delivery": "cookie", "browser": value}

    ninth = http.post("/v1/sessions", headers=server.authorization, json=body)

    assert_problem(ninth, 409, "too_many_accounts")
    assert "set-cookie" not in ninth.headers
    assert len(browser.accounts()) == 8


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_a_foreign_page_changes_nothing_with_the_cookie(browser: Browser, headers: dict[str, str]) -> None:
    other = session_of(browser.sign_in())
    browser.sign_in()
    cookie = browser.cookie

    answers = [
        browser.switch(other, **headers),
        browser.ask("DELETE", "/v1/session", headers=headers),
        browser.ask("DELETE", f"/v1/session/accounts/{other}", headers=headers),
        browser.ask("DELETE", "/v1/me/sessions", headers=headers),
        browser.ask("PATCH", f"/v1/me/sessions/{other}", headers=headers, json={"client": {"name": "x"}}),
    ]

    for answer in answers:
        assert_problem(answer, 403, "cross_site")
        assert "set-cookie" not in answer.headers
    assert browser.cookie == cookie
    assert len(browser.accounts()) == 2


def test_a_form_or_text_from_our_own_page_is_no_json(browser: Browser, server: ServerProcess) -> None:
    other = session_of(browser.sign_in())
    browser.sign_in()

    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        answer = browser.ask(
            "POST",
            "/v1/session/switch",
            headers={"Content-Type": kind, "Origin": server.url},
            content=json.dumps({"session": other}),
        )
        assert_problem(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
def test_no_header_makes_a_read_a_sign_out(browser: Browser, header: str) -> None:
    browser.sign_in()

    shown = browser.ask("GET", "/v1/session/accounts?_method=DELETE", headers={header: "DELETE"})
    posted = browser.ask("POST", "/v1/session", headers={header: "DELETE"})

    assert shown.status_code == 200
    assert_problem(posted, 405, "method_not_allowed")
    assert browser.ask("GET", "/v1/session").status_code == 200


def test_a_foreign_page_cannot_sign_a_browser_in(http: httpx.Client, browser: Browser) -> None:
    browser.sign_in()
    body = {"subject": "mallory", "delivery": "cookie"}

    by_cookie = browser.ask("POST", "/v1/sessions", json=body, headers={"Origin": "https://evil.example"})
    by_token = http.post("/v1/sessions", json=body, headers=bearer(browser.cookie.partition("=")[2]))

    assert_problem(by_cookie, 401, "credential_required")
    assert_problem(by_token, 403, "server_key_required")
    assert "set-cookie" not in by_cookie.headers


def test_a_token_in_a_url_or_form_is_no_credential(browser: Browser) -> None:
    browser.sign_in()
    value = browser.cookie.partition("=")[2]

    in_url = browser.http.get(f"/v1/session/accounts?access_token={value}&sid={value}")
    in_form = browser.http.request("DELETE", "/v1/session", data={"sid": value, "access_token": value})

    assert_problem(in_url, 401, "credential_required")
    assert_problem(in_form, 401, "credential_required")


def test_signing_out_ends_all_accounts_and_deletes_the_cookie(browser: Browser) -> None:
    browser.sign_in()
    first = browser.cookie
    browser.sign_in()
    second = browser.cookie

    answer = browser.ask("DELETE", "/v1/session")

    assert answer.status_code == 204
    assert answer.headers["set-cookie"] == "sid=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"
    assert "clear-site-data" not in answer.headers
    assert (is_live(browser, first), is_live(browser, second)) == (False, False)


def test_over_https_the_browser_is_told_to_forget_the_site(https: Browser) -> None:
    https.sign_in()

    answer = https.ask("DELETE", "/v1/session", headers={"Origin": ORIGIN})

    assert answer.headers["clear-site-data"] == '"cookies", "storage"'
    assert answer.headers["set-cookie"] == "__Host-sid=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax"


def test_ending_the_current_one_by_its_id_is_signing_out(https: Browser) -> None:
    https.sign_in()
    first = https.cookie
    current = session_of(https.sign_in())

    answer = https.ask("DELETE", f"/v1/me/sessions/{current}")

    assert answer.headers["clear-site-data"] == '"cookies", "storage"'
    assert answer.headers["set-cookie"].startswith("__Host-sid=;")
    assert not is_live(https, first)


def test_who_signs_out_by_token_loses_nothing_else(https: Browser) -> None:
    holder = Holder(https.http, https.server)

    answer = holder.ask("DELETE", "/v1/session")

    assert answer.status_code == 204
    assert not {"clear-site-data", "set-cookie"} & set(answer.headers)


def test_a_refused_cookie_is_not_deleted(browser: Browser) -> None:
    browser.sign_in()
    stale = browser.cookie
    browser.ask("DELETE", "/v1/session")

    answer = browser.ask("DELETE", "/v1/session", headers={"Cookie": stale})

    # Its answer might come after that of a new sign-in, and would take the new cookie away.
    assert_problem(answer, 401, "session_revoked")
    assert "set-cookie" not in answer.headers


def test_another_account_is_signed_out_alone(browser: Browser) -> None:
    alice = a_subject()
    other = session_of(browser.sign_in())
    browser.sign_in(alice)

    statuses = [browser.ask("DELETE", f"/v1/session/accounts/{other}").status_code for _ in range(2)]

    assert statuses == [204, 204]
    assert browser.accounts() == [(alice, True)]


def test_a_retried_sign_in_gets_the_same_session_beside_the_same_accounts(
    browser: Browser, http: httpx.Client, server: ServerProcess
) -> None:
    alice, bob = a_subject(), a_subject()
    browser.sign_in(alice)
    value = browser.cookie.partition("=")[2]
    body = {"subject": bob, "delivery": "cookie", "browser": value}
    headers = server.authorization | {"Idempotency-Key": a_subject()}

    answers = [http.post("/v1/sessions", headers=headers, json=body) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert session_of(answers[0]) == session_of(answers[1])
    browser.cookie = answers[1].headers["set-cookie"].partition(";")[0]
    assert browser.accounts() == [(bob, True), (alice, False)]


def test_who_stops_impersonating_goes_back_to_their_own_account(browser: Browser) -> None:
    support, alice = a_subject(), a_subject()
    browser.sign_in(alice)
    browser.cookie = ""
    own = session_of(browser.sign_in(support))
    browser.sign_in(alice, actor={"session": own}, reason="cannot see her invoices")
    acting = browser.cookie
    assert browser.accounts() == [(alice, True), (support, False)]

    answer = browser.switch(own)

    assert (answer.status_code, answer.json()["session"]["actor"]) == (200, None)
    assert browser.accounts() == [(support, True)]
    assert not is_live(browser, acting)


def test_an_account_that_stepped_up_stays_among_the_browsers(browser: Browser, server: ServerProcess) -> None:
    alice, bob = a_subject(), a_subject()
    browser.sign_in(alice)
    former = session_of(browser.sign_in(bob))
    path = f"/v1/sessions/{former}/authenticate"

    answer = browser.ask("POST", path, headers=server.authorization, json={"acr": "gold"})

    assert answer.status_code == 201, answer.text
    assert browser.accounts() == [(bob, True), (alice, False)]
    (_, other) = browser.ask("GET", "/v1/session/accounts").json()["items"]
    browser.switch(other["session"])
    assert browser.accounts() == [(alice, True), (bob, False)]


def test_no_list_tells_a_subject_who_else_uses_its_browser(browser: Browser, server: ServerProcess) -> None:
    alice, bob = a_subject(), a_subject()
    first = session_of(browser.sign_in(alice))
    second = session_of(browser.sign_in(bob))

    mine = browser.ask("GET", "/v1/me/sessions").text
    shown = browser.http.get(f"/v1/sessions/{second}", headers=server.authorization).text
    exported = browser.http.post(f"/v1/subjects/{bob}/export", headers=server.authorization).text

    assert alice not in mine + shown + exported
    assert first not in mine + shown + exported
