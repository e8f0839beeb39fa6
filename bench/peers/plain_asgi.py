"""The least that an ASGI application can do: a fixed answer of the size that sessiond gives to a verify."""

SIZE = 409
BODY = b'{"more":"' + b"a" * (SIZE - 11) + b'"}'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(SIZE).encode())]


async def app(_scope, _receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})
