"""A project's policy: its own, or the configured one. Sessions keep the limits that they were born with."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import msgspec

from sessiond.domain.errors import InvalidRequest
from sessiond.domain.events import Event, EventType
from sessiond.domain.ids import ProjectId
from sessiond.domain.initiators import Initiator
from sessiond.domain.policies import Policy, PolicyFault, policy_faults
from sessiond.domain.projects import CONTROL_PARTITION, Project
from sessiond.services.contention import Contention
from sessiond.services.ports import Change, Clock, Store
from sessiond.services.projects import Projects


class InvalidPolicy(InvalidRequest):
    """What was asked for is no policy that a project may have; *faults* lists why."""

    def __init__(self, faults: list[PolicyFault]) -> None:
        told = "; ".join(f"{fault.member} {fault.detail}" for fault in faults)
        super().__init__("invalid_policy", f"This is no policy that a project may have: {told}.")
        self.faults = faults


class Effective(msgspec.Struct, frozen=True, kw_only=True):
    """The policy that a project's sessions are born with; *own* tells that it is not the configured one."""

    policy: Policy
    own: bool


class Policies:
    """Reads and changes the policies of projects."""

    def __init__(
        self, store: Store, clock: Clock, *, projects: Projects, contention: Contention, configured: Policy
    ) -> None:
        self._store = store
        self._clock = clock
        self._projects = projects
        self._contention = contention
        self._configured = configured

    async def get(self, project: ProjectId) -> Effective:
        """Return the project's policy. Raises `NotFound` (`project_unknown`)."""
        return self._effective(await self._projects.require(project))

    async def change(
        self, project: ProjectId, make: Callable[[Effective], Policy | None], *, by: Initiator
    ) -> Effective:
        """Give the project the policy that *make* makes of the present one; None returns it to the configured one.

        *make* may refuse, and is asked again when somebody else wrote first. Raises `InvalidPolicy`.
        """

        async def attempt() -> Effective:
            old = await self._projects.require(project)
            policy = make(self._effective(old))
            faults = [] if policy is None else list(policy_faults(policy))
            if faults:
                raise InvalidPolicy(faults)
            if policy == old.policy:
                return self._effective(old)
            renewed = msgspec.structs.replace(old, policy=policy, version=old.version + 1)
            await self._store.apply(
                Change.replacing(old, renewed, self._event(project, old.policy, policy, by))
            )
            return self._effective(renewed)

        return await self._contention.settle((project, "control"), attempt)

    def _effective(self, project: Project) -> Effective:
        own = project.policy is not None
        return Effective(policy=project.policy or self._configured, own=own)

    def _event(self, project: ProjectId, old: Policy | None, new: Policy | None, by: Initiator) -> Event:
        """Return the event that names every member that counts otherwise from now on, with its new value."""
        before, after = old or self._configured, new or self._configured
        changed: dict[str, str | int | None] = {
            name: _shown(getattr(after, name))
            for name in Policy.__struct_fields__
            if getattr(before, name) != getattr(after, name)
        }
        return by.did(
            EventType.POLICY_CHANGED,
            at=self._clock.now(),
            partition=CONTROL_PARTITION,
            project=project,
            data={"source": "configuration" if new is None else "project"} | changed,
        )


def _shown(value: object) -> str | int | None:
    if isinstance(value, timedelta):
        return f"{value / timedelta(seconds=1):g}s"
    return value if isinstance(value, int) or value is None else str(value)
