"""Dialect: a session for a device identifier (Zelf).

One endpoint, find-or-create: whoever shows the same identifier while its session lives gets the same session and a
fresh JWT. The identifier proves nothing, so the session is anonymous and of the lowest assurance.
"""

from __future__ import annotations

import msgspec

from sessiond.domain.callers import OperatorCaller, ServerCaller
from sessiond.domain.devices import check_identifier
from sessiond.domain.errors import InvalidRequest, Refusal, Throttled
from sessiond.domain.sessions import Client
from sessiond.http.answer import JSON, Answer
from sessiond.http.credentials import Credentials
from sessiond.http.dialect import Dialect, RefusalMedia
from sessiond.http.edge import Edge
from sessiond.http.endpoint import Endpoint
from sessiond.http.refusals import status_of
from sessiond.http.request import Request
from sessiond.services.bundle import Services
from sessiond.services.credentials import SERVER_KEY_REQUIRED
from sessiond.services.devices import DEVICE_DISABLED

PATH = "/api/sessions"

_SAMPLE_IDENTIFIER = InvalidRequest("invalid_identifier", "identifier is required")
_SAMPLE_THROTTLED = Throttled(
    "too_many_devices", "too many devices from this address, try again later", retry_after_seconds=3600
)


class DeviceRequest(msgspec.Struct, frozen=True):
    """What identifies the device, 1 to 256 bytes. Other members are ignored."""

    identifier: str


class DeviceToken(msgspec.Struct, frozen=True):
    """The session's JWT, for the `Authorization` header of later requests."""

    token: str


class DeviceAnswer(msgspec.Struct, frozen=True):
    """The device's session, new or not."""

    data: DeviceToken


class DeviceError(msgspec.Struct, frozen=True):
    """How this dialect says no."""

    error: str


def refuse(refusal: Refusal, _request: Request | None) -> Answer:
    """Return `{"error": …}`."""
    return Answer(status_of(refusal), DeviceError(refusal.detail))


def dialect(services: Services, _edge: Edge) -> Dialect:
    """Return the device dialect over *services*."""
    credentials = Credentials(services.credentials)

    async def open_session(request: Request) -> Answer:
        body = request.body
        identifier = check_identifier(body.get("identifier") if isinstance(body, dict) else None)
        client = Client(address=request.client_address, user_agent=request.user_agent)
        _, token = await services.devices.open_session(_caller(request), identifier, client)
        return Answer(200, DeviceAnswer(DeviceToken(token.reveal())))

    return Dialect(
        name="device",
        title="Session for a device identifier (Zelf)",
        description="Open without a credential while public access is open, else with a server key.",
        prefixes=(PATH,),
        refuse=refuse,
        refusal_media=(RefusalMedia(content_type=JSON, type=DeviceError),),
        endpoints=(
            Endpoint(
                "POST",
                PATH,
                open_session,
                summary="Open the session of a device, or find it",
                description="The same identifier gets the same session while it lives, and a fresh token.",
                credential=credentials.public_first,
                request=DeviceRequest,
                raw_json=True,
                answers={200: DeviceAnswer},
                refusals=(_SAMPLE_IDENTIFIER, SERVER_KEY_REQUIRED, DEVICE_DISABLED, _SAMPLE_THROTTLED),
            ),
        ),
    )


def _caller(request: Request) -> ServerCaller | OperatorCaller:
    if isinstance(request.caller, ServerCaller | OperatorCaller):
        return request.caller
    raise SERVER_KEY_REQUIRED
