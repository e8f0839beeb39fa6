"""Who acts in a session when it is not its subject: the members of a body, and what they ask for."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from sessiond.domain.ids import parse_id
from sessiond.domain.impersonation import chain_fault
from sessiond.domain.sessions import PriorActor
from sessiond.domain.texts import text_fault
from sessiond.services.impersonating import Asked

ActorName = Annotated[str, Meta(min_length=1, max_length=256)]
Ticket = Annotated[str, Meta(min_length=1, max_length=128)]


class PriorMembers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who acted as an actor before."""

    name: ActorName
    actor: PriorMembers | None = None


class ActorMembers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who acts: a subject of yours, by its live `session`, or anybody for whom you vouch, by `name`."""

    session: Annotated[
        str | None, Meta(description="The id of the actor's own session; the impersonation ends with it.")
    ] = None
    name: Annotated[ActorName | None, Meta(description="What you call an actor who has no session here.")] = (
        None
    )
    actor: Annotated[
        PriorMembers | None,
        Meta(description="Who acted as this actor before, as the `act` claim nests them."),
    ] = None


def acting_faults(
    actor: ActorMembers | None, reason: str | None, ticket: str | None
) -> dict[str, str | None]:
    """Return what is wrong with the members that tell who acts, by pointer."""
    faults = {"/reason": text_fault(reason), "/ticket": text_fault(ticket)}
    if actor is None:
        given = {"/reason": reason, "/ticket": ticket}
        return faults | {name: "goes with an actor" for name, value in given.items() if value is not None}
    if not (reason or "").strip():
        faults["/reason"] = "is required with an actor"
    if (actor.session is None) is (actor.name is None):
        faults["/actor"] = "has either a session or a name"
    if actor.session is not None and parse_id(actor.session) is None:
        faults["/actor/session"] = "is no id of a session"
    prior, pointer = actor.actor, "/actor"
    faults["/actor/name"] = text_fault(actor.name)
    while prior is not None:
        pointer += "/actor"
        faults[f"{pointer}/name"] = text_fault(prior.name)
        prior = prior.actor
    if not any(faults.values()):
        faults["/actor"] = chain_fault(actor.name or "", _prior(actor.actor))
    return faults


def asked_of(actor: ActorMembers, reason: str, ticket: str | None) -> Asked:
    """Return what sound members ask for."""
    return Asked(
        session=None if actor.session is None else parse_id(actor.session),
        name=actor.name,
        reason=reason,
        ticket=ticket,
        prior=_prior(actor.actor),
    )


def _prior(members: PriorMembers | None) -> PriorActor | None:
    chain: list[str] = []
    while members is not None:
        chain.append(members.name)
        members = members.actor
    prior: PriorActor | None = None
    for name in reversed(chain):
        prior = PriorActor(name=name, actor=prior)
    return prior
