"""Row 10: whatever ended a session, no token of it passes anywhere any more, nor after a kill and a new start."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import httpx

from tests.dialects.native_calls import Holder
from tests.server_process import ServerProcess
from tests.system.main_calls import add_stack_user
from tests.till import refresh, shown, signed_in, with_user


class Endings:
    """Sessions that were ended in every way, each with all of its tokens."""

    def __init__(self, http: httpx.Client, server: ServerProcess) -> None:
        self.http = http
        self.server = server
        self.ended: dict[str, Callable[[], list[int]]] = {}

    def bring_about(self) -> None:
        """Open a session for each way of ending, end it so, and keep how to show its tokens."""
        self._of_holders()
        self._of_a_till()
        everybody = self._holder()
        self.http.delete("/v1/project/sessions", headers=self.server.authorization)
        self.ended["the project's sessions were ended"] = self._knocks(everybody)

    def _of_holders(self) -> None:
        key = self.server.authorization
        ways: dict[str, Callable[[Holder], httpx.Response]] = {
            "signed out": lambda holder: holder.ask("DELETE", "/v1/session"),
            "revoked": lambda holder: self.http.delete(f"/v1/sessions/{holder.id}", headers=key),
            "revoked in a list": lambda holder: self.http.post(
                "/v1/sessions/revoke", headers=key, json={"ids": [holder.id]}
            ),
            "the subject's were ended": lambda holder: self.http.delete(
                f"/v1/subjects/{holder.subject}/sessions", headers=key
            ),
            "disabled": lambda holder: self.http.post(f"/v1/subjects/{holder.subject}/disable", headers=key),
            "erased": lambda holder: self.http.delete(f"/v1/subjects/{holder.subject}", headers=key),
            "stepped up": lambda holder: self.http.post(
                f"/v1/sessions/{holder.id}/authenticate", headers=key, json={}
            ),
            "revoked by OAuth": lambda holder: self.http.post(
                "/oauth/revoke", data={"token": holder.refresh_token}
            ),
        }
        for words, end in ways.items():
            holder = self._holder()
            assert end(holder).is_success, words
            self.ended[words] = self._knocks(holder)
        deleted = self._holder(subject=add_stack_user(self.http, self.server))
        assert self.http.delete(f"/api/v1/users/{deleted.subject}", headers=key).is_success
        self.ended["deleted"] = self._knocks(deleted)

    def _holder(self, **members: object) -> Holder:
        return Holder(self.http, self.server, **members)

    def _knocks(self, holder: Holder) -> Callable[[], list[int]]:
        def knock() -> list[int]:
            return [
                holder.ask("GET", "/v1/session").status_code,
                self.http.get("/v1/verify", headers=holder.headers).status_code,
                self.http.post(
                    "/v1/session/refresh", json={"refresh_token": holder.refresh_token}
                ).status_code,
            ]

        return knock

    def _of_a_till(self) -> None:
        for words, verb, stdin in (
            ("another PIN", "set-pin", "9876\n"),
            ("a disabled user", "disable", None),
        ):
            name = f"till-{verb}"
            tokens = signed_in(with_user(self.server, name), name)
            more = ["--pin-stdin"] if stdin else []
            done = self.server.run("users", verb, name, *more, stdin=stdin)
            assert done.returncode == 0, done.stderr
            self.ended[words] = self._knocks_at_the_till(tokens)

    def _knocks_at_the_till(self, tokens: Mapping[str, str]) -> Callable[[], list[int]]:
        def knock() -> list[int]:
            return [
                shown(self.server, tokens["accessToken"]).status_code,
                refresh(self.server, tokens["refreshToken"]).status_code,
            ]

        return knock


def test_row_10_nothing_of_an_ended_session_passes_nor_after_a_crash(fresh_server: ServerProcess) -> None:
    with httpx.Client(base_url=fresh_server.url) as http:
        endings = Endings(http, fresh_server)
        endings.bring_about()

        before = {words: knock() for words, knock in endings.ended.items()}
        fresh_server.kill()
        fresh_server.restart()
        after = {words: knock() for words, knock in endings.ended.items()}

    assert len(before) == 12
    assert {words: set(statuses) for words, statuses in before.items()} == {words: {401} for words in before}
    assert after == before
