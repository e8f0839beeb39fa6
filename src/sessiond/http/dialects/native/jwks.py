"""The public keys of JWT access tokens, each published well before its first use."""

from __future__ import annotations

import msgspec

from sessiond.domain.keys import KEY_SETS_CACHED, Audience
from sessiond.http.answer import Answer
from sessiond.http.dialects.native.shapes import JwksAnswer
from sessiond.http.endpoint import Endpoint
from sessiond.http.etags import cached
from sessiond.http.request import Request
from sessiond.services.bundle import Services

_CACHE = ("Cache-Control", f"public, max-age={int(KEY_SETS_CACHED.total_seconds())}")


class KeySet:
    """The endpoint `/.well-known/jwks.json`."""

    def __init__(self, services: Services) -> None:
        self._keys = services.keys

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the declaration."""
        return (
            Endpoint(
                "GET",
                "/.well-known/jwks.json",
                self.show,
                summary="The public keys of JWT access tokens",
                tags=("keys",),
                headers={"If-None-Match": "The `ETag` of an earlier answer."},
                answers={200: JwksAnswer, 304: None},
            ),
        )

    async def show(self, request: Request) -> Answer:
        """Publish every project's native keys, for all have this issuer."""
        await self._keys.reload()
        keys = self._keys.jwks(None, (Audience.NATIVE,))
        return cached(request, msgspec.json.encode({"keys": keys}), _CACHE)
