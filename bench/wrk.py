"""One round of load: wrk on its own core, 32 keep-alive connections, a script per operation."""

from __future__ import annotations

import itertools
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from bench.open_loop import Answered
from bench.processes import LOAD_CORE, Process

CONNECTIONS = 32
_MOST_MADE = 100_000
_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 60e3}


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A request to be made over and over.

    In *body* `{n}` is a number that counts to *most*, and then from 1 again. With *tokens* each request takes the one
    that waited longest in the place of `{token}` (in *body* and *headers*), and what the first group of *next_token* (a
    Lua pattern) finds in the answer waits next: each token is used once, as a client of its own would; with *again* it
    waits again after its use. With *undone_by* that call is made whenever a token waits: sign in, sign out, sign in.
    With *made_by* that call is made first, unmeasured and for twice as long; what its *next_token* finds is *tokens*.
    """

    method: str = "GET"
    path: str
    headers: Mapping[str, str] = {}
    body: str | None = None
    most: int = 10**9
    tokens: Sequence[str] = ()
    again: bool = False
    next_token: str | None = None
    next_in_header: str | None = None
    undone_by: Call | None = None
    made_by: Call | None = None


def revoking(signing: Call) -> Call:
    """Return the ends alone of a sign-in that is undone: each of a session that was made before."""
    if signing.undone_by is None:
        raise ValueError("nothing undoes this call")
    made_by = msgspec.structs.replace(signing, undone_by=None)
    return msgspec.structs.replace(signing.undone_by, again=True, made_by=made_by)


class Measured(Answered, frozen=True, kw_only=True):
    """What one round showed: how it was answered, and the server's processor time for each request and its memory."""

    cpu_us: float
    memory_mib: float


def run(
    call: Call,
    base_url: str,
    server: Process,
    *,
    seconds: int,
    folder: Path,
    connections: int = CONNECTIONS,
) -> Measured:
    """Load *server* with *call* for *seconds*."""
    if call.made_by is not None:
        made = folder / "made"
        _wrk(
            call.made_by,
            base_url,
            seconds=2 * seconds,
            folder=folder,
            connections=connections,
            made=made,
        )
        with made.open(encoding="utf-8") as lines:
            tokens = [line.rstrip("\n") for line in itertools.islice(lines, _MOST_MADE)]
        call = msgspec.structs.replace(call, tokens=tokens)

    def loaded() -> Answered:
        return answered(_wrk(call, base_url, seconds=seconds, folder=folder, connections=connections))

    return measured(server, loaded)


def measured(server: Process, load: Callable[[], Answered]) -> Measured:
    """Return how *server* answered a *load*, with what that took of it."""
    before = server.cpu_seconds()
    found = load()
    spent = server.cpu_seconds() - before
    return Measured(
        **msgspec.structs.asdict(found),
        cpu_us=spent * 1e6 / max(1, found.requests),
        memory_mib=server.memory_bytes() / 2**20,
    )


def answered(output: str) -> Answered:
    """Return what wrk said; what it gave up or could not send or read has failed, too."""
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", output)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    return Answered(
        rate=float(_found(r"Requests/sec:\s+([\d.]+)", output)),
        p50_ms=_millis(_found(r"^ +50% +(\S+) *$", output)),
        p99_ms=_millis(_found(r"^ +99% +(\S+) *$", output)),
        requests=int(_found(r"(\d+) requests in", output)),
        failed=sum(int(count) for match in (errors, refused) if match for count in match.groups()),
    )


def _wrk(
    call: Call, base_url: str, *, seconds: int, folder: Path, connections: int, made: Path | None = None
) -> str:
    """Return what wrk said after it made *call* for *seconds*; the tokens that it found are written to *made*."""
    script, tokens = folder / "call.lua", folder / "tokens"
    tokens.write_text("".join(f"{token}\n" for token in call.tokens), encoding="utf-8")
    script.write_text(lua(call, tokens, made), encoding="utf-8")
    return subprocess.run(
        [
            *("taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"),
            *("--timeout", "30s", "-s", str(script), base_url),
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def lua(call: Call, tokens: Path, made: Path | None = None) -> str:
    """Return the script with which wrk makes *call*; in the file *tokens* is a token per line.

    With *made* the tokens that are found are written there, a line each, instead of being used.
    """
    lines = ["local n, waiting, first, last = 0, {}, 1, 0", *_request("call", call)]
    lines += [f"for token in io.lines({_quoted(str(tokens))}) do last = last + 1; waiting[last] = token end"]
    lines += ["local function taken()", "  local token = waiting[first]", "  waiting[first] = nil; first = first + 1",
              "  return token", "end"]  # fmt: skip
    if call.again:
        lines += ["function init() for k = 1, last do waiting[k] = call(waiting[k]) end end"]
        lines += ["function request() n = n % last + 1; return waiting[n] end"]
    elif call.undone_by is not None:
        lines += [*_request("undo", call.undone_by), "function request()"]
        lines += ["  if last >= first then return undo(taken()) end", "  return call()", "end"]
    elif call.tokens:
        lines += ["function request() return call(taken()) end"]
    elif call.body is not None and "{n}" in call.body:
        lines += ["function request() return call() end"]
    else:
        # Nothing changes from request to request: one text, made once.
        lines += ["local text", "function init() text = call() end", "function request() return text end"]
    if call.next_token is not None:
        found = "last = last + 1; waiting[last] = token"
        if made is not None:
            lines.append(f"local made = io.open({_quoted(str(made))}, 'w')")
            found = "made:write(token, '\\n')"
        lines += [
            "function response(status, headers, answer)",
            "  local text = answer",
            *_chosen_header(call.next_in_header),
            f"  local token = string.match(text or '', {_quoted(call.next_token)})",
            f"  if token then {found} end",
            "end",
        ]
    return "\n".join(lines) + "\n"


def _chosen_header(name: str | None) -> list[str]:
    if name is None:
        return []
    return [
        "  for key, value in pairs(headers) do",
        f"    if string.lower(key) == {_quoted(name)} then text = value end",
        "  end",
    ]


def _request(name: str, call: Call) -> list[str]:
    """Return a Lua function *name* that formats a request, with a token in the place of `{token}`."""
    headers = ", ".join(f"[{_quoted(key)}] = {_quoted(value)}" for key, value in call.headers.items())
    body = "nil" if call.body is None else _quoted(call.body)
    return [
        f"local {name}_headers, {name}_body = {{{headers}}}, {body}",
        f"local function {name}(token)",
        f"  n = n % {call.most} + 1",
        "  local function filled(text)",
        "    text = string.gsub(text, '{n}', tostring(n))",
        "    if token then text = string.gsub(text, '{token}', (string.gsub(token, '%%', '%%%%'))) end",
        "    return text",
        "  end",
        "  local sent = {}",
        f"  for key, value in pairs({name}_headers) do sent[key] = filled(value) end",
        f"  return wrk.format({_quoted(call.method)}, {_quoted(call.path)}, sent, {name}_body and filled({name}_body))",
        "end",
    ]


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"


def _found(pattern: str, output: str) -> str:
    match = re.search(pattern, output, re.MULTILINE)
    if match is None:
        raise RuntimeError(f"wrk said something else than expected:\n{output}")
    return match[1]


def _millis(text: str) -> float:
    match = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text)
    if match is None:
        raise RuntimeError(f"{text!r} is no time of wrk's")
    return float(match[1]) * _UNITS[match[2]]
