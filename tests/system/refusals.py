"""How each dialect says no, told from an answer alone; dialects go by their tag in the OpenAPI document."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import httpx

JSON = "application/json"
PROBLEM = "application/problem+json"


def _members(answer: httpx.Response) -> dict[str, object]:
    found = answer.json()
    assert isinstance(found, dict), found
    return found


def _is_problem(answer: httpx.Response) -> bool:
    if answer.headers["content-type"] != PROBLEM:
        return False
    found = _members(answer)
    texts = (found["title"], found["detail"], found["code"])
    return found["status"] == answer.status_code and all(isinstance(text, str) and text for text in texts)


def _says(*names: str) -> Callable[[httpx.Response], bool]:
    def is_said(answer: httpx.Response) -> bool:
        if answer.headers["content-type"] != JSON:
            return False
        found = _members(answer)
        return len(found) == 1 and any(isinstance(found.get(name), str | int) for name in names)

    return is_said


def _is_vault_failure(answer: httpx.Response) -> bool:
    if answer.headers["content-type"] != JSON:
        return False
    found = _members(answer)
    error = found.get("error")
    return set(found) == {"error"} and isinstance(error, dict) and set(error) == {"code", "message"}


def _is_stack_error(answer: httpx.Response) -> bool:
    kind = answer.headers["content-type"]
    if kind == "text/plain; charset=utf-8":
        return bool(answer.text) and "x-stack-known-error" not in answer.headers
    if kind != "application/json; charset=utf-8":
        return False
    found = _members(answer)
    if answer.headers.get("x-stack-known-error") != found.get("code"):
        return False
    return isinstance(found.get("error"), str) and set(found) <= {
        "code",
        "details",
        "error",
        "error_description",
    }


def _is_oauth_error(answer: httpx.Response) -> bool:
    if answer.headers["content-type"] != JSON:
        return False
    found = _members(answer)
    texts = found.values()
    return list(found) == ["error", "error_description", "code"] and all(
        isinstance(text, str) and text for text in texts
    )


SHAPES: Mapping[str, Callable[[httpx.Response], bool]] = {
    "native": _is_problem,
    "metrics": _is_problem,
    "server": _is_problem,
    "device": _says("error"),
    "oauth": _is_oauth_error,
    "pin_login": _says("message", "retryAfter"),
    "pocketpaw": _says("detail"),
    "session-storage": _is_vault_failure,
    "stack_auth": _is_stack_error,
}


def assert_refused(answer: httpx.Response, dialect: str, *statuses: int) -> None:
    """Fail unless *answer* is a refusal with one of *statuses*, in the shape of *dialect*."""
    where = f"{dialect}: {answer.status_code} {answer.headers.get('content-type')} {answer.text[:300]!r}"
    assert answer.status_code in statuses, where
    assert SHAPES[dialect](answer), where
