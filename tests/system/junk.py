"""Bytes that no good client sends: bodies, heads and targets, each with words for it.

`CANARY` stands in much of it: whatever of it turns up in the log was copied from a request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.system.operations import Operation

CANARY = "junk-canary-5f0c"
JSON = "application/json"

_C = CANARY.encode()

BODIES: Mapping[str, bytes] = {
    "half an object": b"{",
    "an array": b"[]",
    "null": b"null",
    "a text": b'"' + _C + b'"',
    "a number": b"5",
    "true": b"true",
    "words": _C,
    "two values": b"{} {}",
    "a comma too many": b'{"a": 1,}',
    "single quotes": b"{'a': 1}",
    "NaN": b'{"subject": NaN, "expires_in_millis": NaN, "token": NaN}',
    "too large a number": b'{"expires_in_millis": 1e400, "subject": 1e400, "identifier": 1e400}',
    "5,000 digits": b'{"expires_in_millis": ' + b"9" * 5000 + b"}",
    "an unknown member": b'{"' + _C + b'": 1}',
    "duplicate members": b'{"subject": "a", "subject": "b", "name": "a", "name": "b", "token": "a", "token": "b"}',
    "an escaped duplicate": b'{"identifier": "a", "identif\\u0069er": "' + _C + b'"}',
    "invalid UTF-8": b'{"subject": "\xff\xfe", "identifier": "\xc3\x28"}',
    "an overlong form": b'{"subject": "\xc0\xaf", "identifier": "\xc0\xaf"}',
    "UTF-16": '{"subject": "a"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"subject": "a", "identifier": "a"}',
    "a lone surrogate": b'{"subject": "\\ud800", "identifier": "\\udfff", "user_id": "\\ud800", "token": "\\ud800"}',
    "NUL": b'{"subject": "a\\u0000b", "identifier": "a\\u0000b", "name": "\\u0000", "pin": "\\u0000\\u0000"}',
    "line breaks": b'{"subject": "a\\r\\nb", "identifier": "a\\nb", "name": "a\\nb", "pin": "\\n\\n\\n\\n"}',
    "arrays 30,000 deep": b"[" * 30_000 + b"]" * 30_000,
    "objects 10,000 deep": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "open arrays 60,000 deep": b"[" * 60_000,
    "a deep member": b'{"subject": ' + b"[" * 20_000 + b"]" * 20_000 + b', "client_metadata": {}}',
    "a long text": b'{"subject": "' + b"a" * 60_000 + b'", "identifier": "' + b"a" * 300 + b'"}',
    "many members": b"{" + b",".join(b'"m%d":1' % n for n in range(5000)) + b"}",
    "70 KB": b'{"subject": "' + b"a" * 70_000 + b'"}',
    "1 MB": b'{"subject": "' + b"a" * 1_000_000 + b'"}',
    "spaces": b" " * 1000,
    "nothing": b"",
    "wrong types": (
        b'{"subject": {}, "identifier": [], "user_id": 5, "name": null, "pin": 1234, "token": {}, '
        b'"expires_at": 5, "refresh_token": [], "grant_type": {}, "is_impersonation": "x"}'
    ),
}

CONTENT_TYPES: Mapping[str, Mapping[str, str]] = {
    "no content type": {},
    "text": {"Content-Type": "text/plain"},
    "XML": {"Content-Type": "application/xml"},
    "a form": {"Content-Type": "application/x-www-form-urlencoded"},
    "parts": {"Content-Type": "multipart/form-data; boundary=x"},
    "UTF-16": {"Content-Type": "application/json; charset=utf-16"},
    "nonsense": {"Content-Type": f";;{CANARY}=/"},
    "not ASCII": {"Content-Type": "application/json\xff"},
    "compressed": {"Content-Type": JSON, "Content-Encoding": "gzip"},
    "two of them": {"Content-Type": JSON, "content-type": "text/plain"},
}

HEADERS: Mapping[str, Mapping[str, str]] = {
    "two Hosts": {"Host": "127.0.0.1", "host": CANARY},
    "a Host that is none": {"Host": "a b"},
    "an empty Host": {"Host": ""},
    "a foreign Host": {"Host": "evil.example"},
    "two Authorizations": {"Authorization": f"Bearer {CANARY}", "authorization": "Bearer b"},
    "an Authorization of another scheme": {"Authorization": f"Basic {CANARY}"},
    "an Authorization without a token": {"Authorization": "Bearer"},
    "an Authorization not in ASCII": {"Authorization": "Bearer \xe4\xf6\xfc\xff"},
    "a token of 9 KB": {"Authorization": "Bearer sda1_" + "A" * 9000},
    "a JWT of 9 KB": {"Authorization": "Bearer eyJ" + "A" * 6000 + "." + "B" * 3000 + ".C"},
    "a token with a tab": {"Authorization": f"Bearer\t{CANARY}"},
    "no known token": {"Authorization": f"Bearer sdz9_{CANARY}"},
    "an operator token of junk": {"Authorization": f"Bearer session:9999999999:{'0' * 104}"},
    "10,000 cookies in 30 KB": {"Cookie": ";".join(f"{n % 10}" for n in range(10_000))},
    "cookies without names": {"Cookie": f"=; ;;=;{CANARY}; ="},
    "a cookie twice": {"Cookie": f"sid={CANARY}; sid=b; accessToken=a; accessToken=b"},
    "two Cookie headers of one name": {"Cookie": "sid=a; refreshToken=a", "cookie": "sid=b; refreshToken=b"},
    "cookies not in ASCII": {"Cookie": "sid=\xff\xfe; pocketpaw_session=\xe4; accessToken=\xe4"},
    "every cookie of junk": {"Cookie": f"sid={CANARY}; pocketpaw_session=session:1:; accessToken=eyJ.eyJ.x"},
    "an Origin of nowhere": {"Origin": "null"},
    "an Origin of junk": {"Origin": f"https://{CANARY}:99999999"},
    "another site": {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
    "a user agent of junk": {"User-Agent": f"{CANARY}\xff\x9b31m"},
    "a request id of junk": {"X-Request-Id": f'{CANARY}"}}\\\xff'},
    "forwarded by nobody": {"X-Forwarded-For": f"{CANARY}, ::1, [", "Forwarded": "for=;;=,"},
    "a project that is none": {"Sessiond-Project": f"\xff{CANARY}"},
    "an idempotency key of junk": {"Idempotency-Key": "\xff" * 300},
    "junk for Stack": {
        "X-Stack-Project-Id": CANARY,
        "X-Stack-Access-Type": f"\xff{CANARY}",
        "X-Stack-Access-Token": "eyJ..",
        "X-Stack-Refresh-Token": "\xff",
        "X-Hexclave-Project-Id": "another",
    },
    "Stack's client with junk": {
        "X-Stack-Project-Id": "00000000-0000-4000-8000-000000000001",
        "X-Stack-Access-Type": "client",
        "X-Stack-Access-Token": f"eyJhbGciOiJub25lIn0.{CANARY}.",
        "X-Stack-Refresh-Token": f"sds1_{CANARY}",
        "X-Stack-Publishable-Client-Key": "\xe4",
    },
    "Stack's admin with junk": {
        "X-Stack-Project-Id": "\xff",
        "X-Stack-Access-Type": "admin",
        "X-Stack-Super-Secret-Admin-Key": CANARY,
        "X-Stack-Override-Error-Status": "",
    },
}

NAMES: Mapping[str, str] = {
    "NUL": "%00",
    "a line break": "a%0d%0aX-Injected:%20b",
    "no UTF-8": "%ff%fe",
    "half an escape": "%f",
    "an escaped slash": "..%2f..%2fetc%2fpasswd",
    "dots": "..",
    "nothing": "",
    "SQL": "'%20OR%201=1--",
    "a long name": "a" * 5000,
    "10,000 escapes": "%61" * 10_000,
    "not ASCII": "\xff\xfe",
    "a lone surrogate": "%ed%a0%80",
    "a UUID that is none of ours": "00000000-0000-4000-8000-000000000000",
    "a canary": CANARY,
}

QUERIES: Mapping[str, str] = {
    "a member twice": "?limit=1&limit=2&user_id=a&user_id=b&subject=a&subject=b",
    "an unknown member": f"?{CANARY}=1",
    "no numbers": "?limit=x&page=-1&subject=a",
    "numbers without end": f"?limit={'9' * 4000}&page={'9' * 400}&subject=a",
    "no UTF-8": "?subject=%ff&user_id=%ff",
    "half an escape": "?subject=%&user_id=%f",
    "a line break": "?subject=%0d%0a&user_id=%0a",
    "2,000 members": "?" + "&".join(f"m{n}=" for n in range(2000)),
    "a cursor of junk": f"?subject=a&after={CANARY}",
    "only separators": "?&&&==&=&",
    "a token": f"?access_token={CANARY}&token={CANARY}",
}


def _head(operation: Operation, *lines: bytes, target: str | None = None, version: str = "1.1") -> bytes:
    first = f"{operation.method} {target or operation.path} HTTP/{version}".encode("latin-1")
    return b"\r\n".join((first, *lines)) + b"\r\n\r\n"


_HOST = b"Host: 127.0.0.1"
_CHUNKED = b"Transfer-Encoding: chunked"
_TYPE = b"Content-Type: application/json"

UNREADABLE: Mapping[str, Callable[[Operation], bytes]] = {
    "no Host": _head,
    "a bare line feed in a value": lambda o: _head(o, _HOST, b"X-A: a\nX-Injected: b"),
    "a bare carriage return in a value": lambda o: _head(o, _HOST, b"X-A: a\rb"),
    "NUL in a value": lambda o: _head(o, _HOST, b"X-A: a\0b"),
    "an escape in a value": lambda o: _head(o, _HOST, b"User-Agent: \x1b[31m" + _C),
    "DEL in a value": lambda o: _head(o, _HOST, b"X-A: \x7f"),
    "a folded line": lambda o: _head(o, _HOST, b"X-A: a\r\n b"),
    "a name with a space": lambda o: _head(o, _HOST, b"X A: b"),
    "a space before the colon": lambda o: _head(o, _HOST, b"Content-Length : 5"),
    "no colon": lambda o: _head(o, _HOST, _C),
    "a header of 64 KB": lambda o: _head(o, _HOST, b"X-A: " + b"a" * 65536),
    "10,000 headers": lambda o: _head(o, _HOST, *(b"X-%d: a" % n for n in range(10_000))),
    "10,000 cookies": lambda o: _head(
        o, _HOST, b"Cookie: " + b"; ".join(b"c%d=v" % n for n in range(10_000))
    ),
    "two lengths": lambda o: _head(o, _HOST, _TYPE, b"Content-Length: 2", b"Content-Length: 3") + b"{}",
    "a negative length": lambda o: _head(o, _HOST, _TYPE, b"Content-Length: -1"),
    "a length of words": lambda o: _head(o, _HOST, _TYPE, b"Content-Length: " + _C),
    "a length without end": lambda o: _head(o, _HOST, _TYPE, b"Content-Length: " + b"9" * 30),
    "a length and chunks": lambda o: (
        _head(o, _HOST, _TYPE, _CHUNKED, b"Content-Length: 3") + b"0\r\n\r\nGET /v1/sessions HTTP/1.1\r\n\r\n"
    ),
    "chunks of garbage": lambda o: _head(o, _HOST, _TYPE, _CHUNKED) + b"zz\r\n" + _C + b"\r\n\r\n",
    "a chunk of a size without end": lambda o: _head(o, _HOST, _TYPE, _CHUNKED) + b"f" * 40 + b"\r\n{}",
    "a chunk that is too short": lambda o: _head(o, _HOST, _TYPE, _CHUNKED) + b"5\r\n{}\r\n0\r\n\r\n",
    "an unknown coding": lambda o: _head(o, _HOST, _TYPE, b"Transfer-Encoding: gzip, identity") + b"{}",
    "absolute form": lambda o: _head(o, _HOST, target=f"http://evil.example{o.path}"),
    "absolute form of another scheme": lambda o: _head(o, _HOST, target=f"ftp://u:p@evil.example{o.path}"),
    "asterisk form": lambda o: _head(o, _HOST, target="*"),
    "authority form": lambda o: _head(o, _HOST, target="evil.example:80"),
    "no slash": lambda o: _head(o, _HOST, target=o.path[1:]),
    "a fragment": lambda o: _head(o, _HOST, target=f"{o.path}#{CANARY}"),
    "many slashes": lambda o: _head(o, _HOST, target=f"//{o.path}//"),
    "a space in the target": lambda o: _head(o, _HOST, target=f"{o.path} {CANARY}"),
    "a tab in the target": lambda o: _head(o, _HOST, target=f"{o.path}\t"),
    "a target of 64 KB": lambda o: _head(o, _HOST, target=f"{o.path}?{'a' * 65536}"),
    "HTTP/0.9": lambda o: f"{o.method} {o.path}\r\n\r\n".encode(),
    "HTTP/1.0 without Host": lambda o: _head(o, version="1.0"),
    "HTTP/3.7": lambda o: _head(o, _HOST, version="3.7"),
    "HTTP of words": lambda o: _head(o, _HOST, version=CANARY),
    "HTTP/2's preface": lambda _: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": lambda _: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200) + b"\r\n\r\n",
    "words": lambda _: _C + b"\r\n\r\n",
    "bytes": lambda _: bytes(range(256)) * 4 + b"\r\n\r\n",
    "an upgrade": lambda o: _head(o, _HOST, b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c"),
    "an expectation that nobody knows": lambda o: _head(o, _HOST, b"Expect: " + _C),
}

METHODS = (
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "PROPFIND",
    "FOO",
    "get",
)
