"""Dialect: a vault for tokens (Secure Session Storage).

Every path also answers in the doubled form that the document prints, an artefact of its generator.
"""

from __future__ import annotations

from sessiond.domain.errors import Refusal
from sessiond.http.answer import JSON, Answer
from sessiond.http.dialect import Dialect, RefusalMedia
from sessiond.http.dialects.session_storage.operations import PATH, Operations
from sessiond.http.dialects.session_storage.shapes import Failure, FailureAnswer
from sessiond.http.edge import Edge
from sessiond.http.refusals import status_of
from sessiond.http.request import Request
from sessiond.services.bundle import Services


def refuse(refusal: Refusal, _request: Request | None) -> Answer:
    """Return `{"error": {"code", "message"}}`."""
    return Answer(status_of(refusal), FailureAnswer(error=Failure(code=refusal.code, message=refusal.detail)))


def dialect(services: Services, _edge: Edge) -> Dialect:
    """Return the vault's dialect over *services*."""
    return Dialect(
        name="session-storage",
        title="A vault for tokens (Secure Session Storage)",
        description="Other services' tokens, sealed at rest. Each reading of a full token is written down first.",
        endpoints=Operations(services).endpoints(),
        refuse=refuse,
        refusal_media=(RefusalMedia(content_type=JSON, type=FailureAnswer),),
        prefixes=(PATH,),
    )
