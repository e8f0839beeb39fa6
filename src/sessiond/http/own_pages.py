"""What the server says about itself: `/openapi.json`, and `/docs`, a page that renders it without outside help."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from importlib import resources

from sessiond.http.answer import JSON, Answer
from sessiond.http.dialect import Dialect
from sessiond.http.edge import Edge
from sessiond.http.endpoint import Endpoint
from sessiond.http.openapi import document
from sessiond.http.problems import PROBLEM_MEDIA, refuse_with_problem
from sessiond.http.request import Request

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_ASSETS = {
    "/docs": ("docs.html", "text/html; charset=utf-8"),
    "/docs/docs.js": ("docs.js", "text/javascript; charset=utf-8"),
    "/docs/docs.css": ("docs.css", "text/css; charset=utf-8"),
}


def own_pages(dialects: Sequence[Dialect], edge: Edge) -> Dialect:
    """Return the dialect of the server itself, which also refuses what no other dialect owns."""

    @functools.cache
    def written() -> bytes:
        return document((*dialects, own), edge)

    async def openapi(_request: Request) -> Answer:
        return Answer(200, written(), headers=(("cache-control", "no-cache"),), content_type=JSON)

    pages = [_asset(path, name, content_type) for path, (name, content_type) in _ASSETS.items()]
    own = Dialect(
        name="server",
        title="The server itself",
        prefixes=(),
        refuse=refuse_with_problem,
        refusal_media=(PROBLEM_MEDIA,),
        endpoints=(
            Endpoint("GET", "/openapi.json", openapi, summary="This document", answers={200: dict}),
            *pages,
        ),
    )
    return own


def _asset(path: str, name: str, content_type: str) -> Endpoint:
    content = resources.files("sessiond.http").joinpath("static", name).read_bytes()
    answer = Answer(
        200,
        content,
        headers=(("cache-control", "no-cache"), ("content-security-policy", _POLICY)),
        content_type=content_type,
    )

    async def show(_request: Request) -> Answer:
        return answer

    return Endpoint(
        "GET",
        path,
        show,
        summary=f"The documentation page ({name})",
        answers={200: str},
        answer_type=content_type,
    )
