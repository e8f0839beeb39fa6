"""Small dialects that show everything: what the tests of the dispatcher ask."""

from __future__ import annotations

import asyncio
import contextlib

import msgspec

from sessiond.domain.callers import OperatorCaller, ServerCaller, SubjectCaller
from sessiond.domain.errors import NotFound, Refusal, Throttled
from sessiond.domain.ids import DEFAULT_PROJECT, SessionId, SubjectId
from sessiond.domain.sessions import INVALID, Epochs, Session, SessionKind, Standing
from sessiond.http.answer import JSON, NO_CONTENT, Answer
from sessiond.http.cookies import SetCookie
from sessiond.http.credentials import Credentials
from sessiond.http.dialect import Cors, Dialect, RefusalMedia
from sessiond.http.endpoint import FORM, Endpoint
from sessiond.http.refusals import status_of
from sessiond.http.request import Request
from sessiond.services.footing import Foreseen

NOW = 1_800_000_000_000
SERVER_KEY = "server-key-of-the-tests"
MASTER = "master-token-of-the-tests"
ALICE, BOB = b"a" * 16, b"b" * 16
TOKENS = {"alice-token": ALICE, "bob-token": BOB}
ODDITY_NOT_FOUND = NotFound("oddity_not_found", "There is no such oddity.")
TOO_OFTEN = Throttled("too_often", "Too often.", retry_after_seconds=7)


class Callers:
    """Knows one server key, one master token and two sessions."""

    async def by_server_key(
        self,
        text: str,
        *,
        project: str | None,
        address: str | None,
        foreseen: Foreseen | None = None,  # noqa: ARG002
    ) -> ServerCaller | OperatorCaller:
        if text == SERVER_KEY:
            return ServerCaller(project=DEFAULT_PROJECT, name="tests", key_id="k", address=address)
        return await self.by_master_token(text, project=project, address=address)

    async def by_access_token(
        self, text: str, *, by_cookie: bool, address: str | None
    ) -> SubjectCaller | OperatorCaller:
        session = TOKENS.get(text)
        if session is None:
            raise INVALID
        return SubjectCaller(standing=standing_of(session), by_cookie=by_cookie, address=address)

    async def by_master_token(self, text: str, *, project: str | None, address: str | None) -> OperatorCaller:
        if text != MASTER or project is not None:
            raise INVALID
        return OperatorCaller(project=DEFAULT_PROJECT, address=address)


def standing_of(session: bytes) -> Standing:
    return Standing(
        session=Session(
            version=1,
            id=SessionId(session),
            project=DEFAULT_PROJECT,
            subject=SubjectId("alice"),
            session_kind=SessionKind.TOKENS,
            created_at=NOW,
            authenticated_at=NOW,
            last_seen_at=NOW,
            expires_at=NOW + 1000,
            nonce=b"n" * 16,
            kid=1,
            rotated_at=NOW,
            epochs=Epochs(1, 1, 1),
        ),
        subject=None,
        project=None,
        deployment=None,
    )


class Point(msgspec.Struct, forbid_unknown_fields=True):
    x: int
    y: int


class NewOddity(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    size: int = 0
    points: list[Point] = []


class Loose(msgspec.Struct):
    name: str


class Search(msgspec.Struct, forbid_unknown_fields=True):
    page: int = 1
    word: str | None = None
    tag: list[str] = []


class Seen(msgspec.Struct):
    """What a handler saw."""

    method: str
    value: object = None
    caller: str | None = None
    address: str | None = None


class Oops(msgspec.Struct):
    oops: str


def refuse(refusal: Refusal, _request: Request | None) -> Answer:
    return Answer(status_of(refusal), Oops(refusal.code))


def seen(request: Request, value: object = None) -> Answer:
    return Answer(200, Seen(request.method, value, request.caller_label, request.client_address))


class World:
    """What the handlers share with a test: gates to wait at, and what reached them."""

    def __init__(self) -> None:
        self.reached: list[str] = []
        self.arrived = asyncio.Event()
        self.gate = asyncio.Event()
        self.gates: list[asyncio.Future[None]] = []
        self.finished = 0

    def next_gate(self) -> asyncio.Future[None]:
        """Return a gate of its own for who waits now; the test opens it."""
        self.gates.append(asyncio.get_running_loop().create_future())
        return self.gates[-1]


class Handlers:
    """What the endpoints do."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def create(self, request: Request) -> Answer:
        body = request.body_as(NewOddity)
        self.world.reached.append(body.name)
        return Answer(201, body)

    async def echo(self, request: Request) -> Answer:
        self.world.reached.append("echo")
        value = None if request.body is msgspec.UNSET else request.body
        return seen(request, {"absent": request.body is msgspec.UNSET, "value": value})

    async def loose(self, request: Request) -> Answer:
        return seen(request, None if request.body is None else request.body_as(Loose).name)

    async def show(self, request: Request) -> Answer:
        if request.params["id"] == "none":
            raise ODDITY_NOT_FOUND
        return seen(request, request.params["id"])

    async def search(self, request: Request) -> Answer:
        return seen(request, request.query_as(Search))

    async def plain(self, request: Request) -> Answer:
        return seen(request)

    async def cookie(self, request: Request) -> Answer:
        self.world.reached.append("cookie")
        return seen(request, request.cookie("sid"))

    async def sign_in(self, _request: Request) -> Answer:
        self.world.reached.append("sign_in")
        sid = SetCookie(name="sid", value="v", max_age_seconds=60)
        return Answer(204, cookies=[sid, SetCookie(name="old", value="x").deleted()])

    async def wait(self, request: Request) -> Answer:
        self.world.arrived.set()
        await self.world.gate.wait()
        self.world.finished += 1
        return seen(request)

    async def break_down(self, _request: Request) -> Answer:
        raise RuntimeError("secret-in-a-message sda1_AAAA")

    async def split(self, _request: Request) -> Answer:
        return Answer(200, {}, headers=[("x-split", "a\r\nset-cookie: b=c")])

    async def throttle(self, _request: Request) -> Answer:
        raise TOO_OFTEN

    async def nothing(self, _request: Request) -> Answer:
        return NO_CONTENT

    def instantly(self, request: Request) -> Answer | bytes | None:
        match request.header(b"x-want"):
            case "answer":
                return Answer(203, {"at": "once"}, headers=[("x-more", "1")])
            case "refusal":
                raise ODDITY_NOT_FOUND
            case "defect":
                raise RuntimeError("secret-in-a-message")
            case "handler":
                return None
            case _:
                return b'{"at":"once"}'

    async def later(self, request: Request) -> Answer | bytes:
        """Wait for the gate as many times as asked for, then do what `x-want` says."""
        for _ in range(int(request.header(b"x-waits") or "1")):
            self.world.arrived.set()
            await self.world.next_gate()
        async with contextlib.AsyncExitStack() as stack:
            if request.header(b"x-timeout") is not None:
                await stack.enter_async_context(asyncio.timeout(120))
            return self.instantly(request) or b"{}"


def oddities(world: World) -> Dialect:
    """Return the dialect of the tests."""
    credentials = Credentials(Callers())
    do = Handlers(world)
    keyed, public = credentials.server_key, credentials.public_or_server_key
    oops = {200: Seen}
    endpoints = (
        Endpoint("POST", "/odd", do.create, summary="Create", request=NewOddity, answers={201: NewOddity}),
        Endpoint("GET", "/odd", do.search, summary="Search", query=Search, answers=oops),
        Endpoint("GET", "/odd/current", do.plain, summary="The literal", answers=oops),
        Endpoint(
            "GET", "/odd/{id}", do.show, summary="Show", aliases=("/odd/odd/{id}",), answers=oops,
            refusals=(ODDITY_NOT_FOUND,),
        ),
        Endpoint("DELETE", "/odd/{id}", do.nothing, summary="Delete", answers={204: None}),
        Endpoint(
            "POST", "/raw", do.echo, summary="Raw", request=Loose, raw_json=True,
            content_types=(JSON, FORM, "text/plain", "application/octet-stream"), answers=oops,
        ),
        Endpoint(
            "POST", "/loose", do.loose, summary="Loose", request=Loose, body_optional=True, max_body=100,
            content_types=(JSON, FORM), answers=oops,
        ),
        Endpoint("POST", "/bodiless", do.plain, summary="No body", answers=oops),
        Endpoint("POST", "/cookie", do.cookie, summary="Write by cookie", answers=oops),
        Endpoint("GET", "/cookie", do.cookie, summary="Read by cookie", answers=oops),
        Endpoint("POST", "/sign-in", do.sign_in, summary="Sign in", same_origin=True, answers={204: None}),
        Endpoint("GET", "/wait", do.wait, summary="Wait", answers=oops),
        Endpoint("POST", "/wait", do.wait, summary="Wait", request=Loose, answers=oops),
        Endpoint("GET", "/break", do.break_down, summary="Break", answers=oops),
        Endpoint("GET", "/split", do.split, summary="Split", answers=oops),
        Endpoint("GET", "/throttle", do.throttle, summary="Throttle", answers=oops, refusals=(TOO_OFTEN,)),
        Endpoint("GET", "/instant", do.plain, summary="Instant", answers=oops, instant=do.instantly),
        Endpoint("GET", "/later", do.plain, summary="Later", answers=oops, instant=do.later),
        Endpoint("GET", "/key", do.plain, summary="Key", answers=oops, credential=keyed),
        Endpoint("POST", "/key", do.create, summary="Key", request=NewOddity, answers=oops, credential=keyed),
        Endpoint("GET", "/master", do.plain, summary="Master", answers=oops, credential=credentials.master),
        Endpoint("GET", "/session", do.plain, summary="Session", answers=oops, credential=credentials.session),
        Endpoint("POST", "/session", do.plain, summary="Session", answers=oops, credential=credentials.session),
        Endpoint("GET", "/public", do.plain, summary="Public", answers=oops, credential=public),
        Endpoint("GET", "/public-first", do.plain, summary="Public", answers=oops, credential=credentials.public_first),
    )  # fmt: skip
    return Dialect(
        name="odd",
        title="Oddities",
        prefixes=("/odd", "/raw"),
        refuse=refuse,
        refusal_media=(RefusalMedia(content_type=JSON, type=Oops),),
        endpoints=endpoints,
    )


def open_to_scripts() -> Dialect:
    """Return a dialect with CORS, a decoration, text refusals, and the body before the credential."""
    credentials = Credentials(Callers())

    async def plain(request: Request) -> Answer:
        return seen(request)

    def decorate(request: Request, answer: Answer) -> Answer:
        return answer.with_headers(("x-odd-request-id", request.request_id))

    return Dialect(
        name="open",
        title="Open",
        prefixes=("/open",),
        refuse=lambda refusal, _request: Answer(status_of(refusal), refusal.code),
        refusal_media=(RefusalMedia(content_type="text/plain; charset=utf-8", type=str),),
        endpoints=(
            Endpoint(
                "GET", "/open/plain", plain, summary="Plain", answers={200: Seen}, instant=lambda _: b"{}"
            ),
            Endpoint(
                "POST",
                "/open/plain",
                plain,
                summary="Plain",
                request=Loose,
                answers={200: Seen},
                credential=credentials.server_key,
            ),
        ),
        cors=Cors(methods=("GET", "POST"), headers=("content-type", "x-odd"), exposed=("x-odd-request-id",)),
        decorate=decorate,
        body_before_credential=True,
    )
