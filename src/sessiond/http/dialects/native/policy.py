"""A project's policy: shown to whoever manages the project, changed by the operator."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from sessiond.domain.policies import (
    LONGEST_JUSTIFICATION,
    LONGEST_TIMEOUT,
    OnLimit,
    Policy,
    Preset,
    under,
)
from sessiond.http.answer import JSON, Answer
from sessiond.http.credentials import Credentials
from sessiond.http.dialects.native.my_sessions import MERGE_PATCH
from sessiond.http.dialects.native.operator_only import OPERATOR_REQUIRED, operator
from sessiond.http.dialects.native.sessions import manager
from sessiond.http.endpoint import Endpoint
from sessiond.http.etags import MALFORMED_TAGS, etag, expects_another
from sessiond.http.refusals import Fault, InvalidMembers, PreconditionFailed
from sessiond.http.request import Request
from sessiond.services.bundle import Services
from sessiond.services.policies import Effective, InvalidPolicy

_PATH = "/v1/policy"
_IF_MATCH = {
    "If-Match": "The `ETag` of the policy that the change is meant for: another one is refused (412)."
}
_DURATIONS = ("absolute_timeout", "idle_timeout", "access_token_lifetime", "grace")
_SAMPLE = InvalidMembers(
    [Fault("/justification", "is needed by preset custom: say why NIST's limits do not apply")]
)

_Seconds = Annotated[int, Meta(ge=1, le=int(LONGEST_TIMEOUT.total_seconds()))]


class PolicyMembers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A policy, or what changes of it. `null` for a timeout, a limit or the justification means none."""

    preset: Preset | UnsetType = UNSET
    absolute_timeout_seconds: _Seconds | UnsetType = UNSET
    idle_timeout_seconds: _Seconds | UnsetType | None = UNSET
    access_token_lifetime_seconds: _Seconds | UnsetType = UNSET
    grace_seconds: Annotated[int, Meta(ge=0, le=300)] | UnsetType = UNSET
    max_sessions: Annotated[int, Meta(ge=1, le=1_000_000)] | UnsetType | None = UNSET
    on_limit: OnLimit | UnsetType = UNSET
    justification: Annotated[str, Meta(min_length=1, max_length=LONGEST_JUSTIFICATION)] | UnsetType | None = (
        UNSET
    )


class PolicyView(msgspec.Struct, frozen=True, kw_only=True):
    """The limits that the project's sessions are born with."""

    preset: str
    absolute_timeout_seconds: int
    idle_timeout_seconds: int | None
    access_token_lifetime_seconds: int
    grace_seconds: int
    max_sessions: int | None
    on_limit: str
    justification: str | None


class PolicyAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The effective policy; `source` is `project` for the project's own, else `configuration`."""

    policy: PolicyView
    source: str


class ProjectPolicy:
    """The path `/v1/policy`."""

    def __init__(self, services: Services, credentials: Credentials) -> None:
        self._policies = services.policies
        self._credential = credentials.server_key

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the declarations."""
        shared: dict[str, Any] = {
            "tags": ("policy",),
            "credential": self._credential,
            "answers": {200: PolicyAnswer},
        }
        show = Endpoint(
            "GET", _PATH, self.show, summary="Show the project's policy, and where it comes from", **shared
        )
        return (show, *self._changing(shared | {"headers": _IF_MATCH}))

    def _changing(self, shared: dict[str, Any]) -> tuple[Endpoint, ...]:
        refusals = (OPERATOR_REQUIRED, MALFORMED_TAGS, PreconditionFailed())
        return (
            Endpoint(
                "PUT",
                _PATH,
                self.put,
                summary="Give the project a policy of its own",
                description="What is left out is as the preset has it. Sessions that live keep the limits that they "
                "were born with.",
                request=PolicyMembers,
                refusals=(*refusals, _SAMPLE),
                **shared,
            ),
            Endpoint(
                "PATCH",
                _PATH,
                self.patch,
                summary="Change members of the project's policy",
                description="The others stay as they are, but another preset brings its own timeouts along. A project "
                "without a policy of its own begins with the configured one.",
                request=PolicyMembers,
                content_types=(MERGE_PATCH, JSON),
                refusals=(*refusals, _SAMPLE),
                **shared,
            ),
            Endpoint(
                "DELETE",
                _PATH,
                self.delete,
                summary="Return the project to the configured policy",
                refusals=refusals,
                **shared,
            ),
        )

    async def show(self, request: Request) -> Answer:
        """Show the effective policy."""
        return _answer(await self._policies.get(manager(request).project))

    async def put(self, request: Request) -> Answer:
        """Replace the policy."""
        members = request.body_as(PolicyMembers)
        return await self._change(request, lambda _: applied(Policy(), members))

    async def patch(self, request: Request) -> Answer:
        """Change the members that the request names."""
        members = request.body_as(PolicyMembers)
        return await self._change(request, lambda present: applied(present.policy, members))

    async def delete(self, request: Request) -> Answer:
        """Remove the project's own policy."""
        return await self._change(request, lambda _: None)

    async def _change(self, request: Request, make: Callable[[Effective], Policy | None]) -> Answer:
        caller = operator(request)

        def guarded(present: Effective) -> Policy | None:
            if expects_another(request, etag(_shown(present))):
                raise PreconditionFailed
            return make(present)

        try:
            return _answer(await self._policies.change(caller.project, guarded, by=caller.initiator))
        except InvalidPolicy as refusal:
            raise InvalidMembers(
                [Fault(f"/{_on_the_wire(f.member)}", f.detail) for f in refusal.faults]
            ) from None


def applied(base: Policy, members: PolicyMembers) -> Policy:
    """Return *base* with the members that are given; another preset brings its own timeouts along."""
    if isinstance(members.preset, Preset):
        base = under(base, members.preset)
    given = {}
    for name in Policy.__struct_fields__:
        value = getattr(members, _on_the_wire(name))
        if value is not UNSET:
            given[name] = timedelta(seconds=value) if name in _DURATIONS and value is not None else value
    return msgspec.structs.replace(base, **given)


def _on_the_wire(name: str) -> str:
    return f"{name}_seconds" if name in _DURATIONS else name


def _answer(effective: Effective) -> Answer:
    shown = _shown(effective)
    return Answer(200, shown, headers=(("ETag", etag(shown)),))


def _shown(effective: Effective) -> PolicyAnswer:
    policy = effective.policy
    return PolicyAnswer(
        policy=PolicyView(
            preset=policy.preset.value,
            absolute_timeout_seconds=_seconds(policy.absolute_timeout),
            idle_timeout_seconds=None if policy.idle_timeout is None else _seconds(policy.idle_timeout),
            access_token_lifetime_seconds=_seconds(policy.access_token_lifetime),
            grace_seconds=_seconds(policy.grace),
            max_sessions=policy.max_sessions,
            on_limit=policy.on_limit.value,
            justification=policy.justification,
        ),
        source="project" if effective.own else "configuration",
    )


def _seconds(duration: timedelta) -> int:
    return duration // timedelta(seconds=1)
