"""`sessiond audit`: list and export what happened, and check that nobody changed it."""

from __future__ import annotations

import sys
from collections import deque
from typing import Annotated, Any

import msgspec
import typer

from sessiond.bootstrap.opening import Opened
from sessiond.cli.frame import Answer, Exit, group, verb
from sessiond.cli.options import LimitOption, ProjectOption
from sessiond.cli.progress import bars
from sessiond.cli.show import facts, harmless, table, when
from sessiond.domain.audit_chain import parse_head
from sessiond.domain.audit_check import Finding
from sessiond.domain.errors import InvalidRequest
from sessiond.domain.event_filters import EventFilter
from sessiond.domain.events import Event, EventType, whence
from sessiond.domain.ids import SubjectId, id_text
from sessiond.domain.instants import Instant, parse_rfc3339, rfc3339
from sessiond.domain.session_filters import Span
from sessiond.domain.timelines import reason_of
from sessiond.services.auditing import Report

app = group("The audit: list and export what happened, and check that nobody changed it.")

SubjectOption = Annotated[str | None, typer.Option(metavar="ID", help="Only what concerns this subject.")]
TypeOption = Annotated[str | None, typer.Option(metavar="TYPE", help="Only this type, such as vault.read.")]
SinceOption = Annotated[str | None, typer.Option(metavar="TIME", help="Only from this instant on, RFC 3339.")]
UntilOption = Annotated[str | None, typer.Option(metavar="TIME", help="Only before this instant, RFC 3339.")]


@verb(app, "list")
async def list_events(
    opened: Opened,
    *,
    subject: SubjectOption = None,
    type: TypeOption = None,  # noqa: A002  the option's name
    since: SinceOption = None,
    until: UntilOption = None,
    project: ProjectOption = "default",
    limit: LimitOption = 100,
) -> Answer:
    """List the newest of what happened, the latest at the end."""
    owner = (await opened.services.projects.find(project)).id
    wanted = _filter(subject, type, since, until)
    found: deque[tuple[int, Event]] = deque(maxlen=limit)
    async for row in opened.services.auditing.all_events(owner, wanted):
        found.append(row)
    rows = [
        (when(event.at), event.type.value, event.by, whence(event), event.subject, reason_of(event))
        for _, event in found
    ]
    shown = table(
        ("AT", "WHAT HAPPENED", "BY", "FROM", "SUBJECT", "REASON"), rows, empty="Nothing of that happened."
    )
    return Answer({"items": [_facts(*row) for row in found]}, (shown,))


@verb(app, "export")
async def export(
    opened: Opened,
    *,
    subject: SubjectOption = None,
    type: TypeOption = None,  # noqa: A002  the option's name
    since: SinceOption = None,
    until: UntilOption = None,
    project: ProjectOption = "default",
) -> Answer:
    """Write what happened to standard output, oldest first, as JSON Lines: one object a line."""
    owner = (await opened.services.projects.find(project)).id
    wanted = _filter(subject, type, since, until)
    async for row in opened.services.auditing.all_events(owner, wanted):
        sys.stdout.write(msgspec.json.encode(_facts(*row)).decode() + "\n")
    return Answer(None, ())


@verb(app, "verify")
async def verify(
    opened: Opened,
    *,
    head: Annotated[
        str | None,
        typer.Option(metavar="HEAD", help="A head that the log told, NUMBER:HASH: it must be there."),
    ] = None,
    project: ProjectOption = "default",
) -> Answer:
    """Check that no event was changed, removed, inserted or moved since it was sealed; exit code 1 if any was."""
    owner = (await opened.services.projects.find(project)).id
    kept = None if head is None else parse_head(head)
    if head is not None and kept is None:
        raise InvalidRequest("invalid_head", "A head is a number, a colon and 64 hexadecimal digits.")
    with bars() as bar:
        task = bar.add_task("checking", total=None)
        report = await opened.services.auditing.verify(
            owner, kept=kept, progress=lambda done, total: bar.update(task, completed=done, total=total)
        )
    findings = [_finding(each) for each in report.findings]
    data = _told(report)
    shown = [facts(data)]
    if findings:
        rows = [tuple(each.values()) for each in findings]
        shown += [harmless(" "), table(("FOUND", "SEQUENCE", "AT", "WHAT HAPPENED", "LINK"), rows, empty="")]
    exit_code = Exit.REFUSED if report.findings else Exit.DONE
    return Answer(data | {"faults": findings}, tuple(shown), exit_code)


def _filter(subject: str | None, type_: str | None, since: str | None, until: str | None) -> EventFilter:
    if type_ is not None and type_ not in set(EventType):
        raise InvalidRequest("invalid_type", f"There is no such type; there are {', '.join(EventType)}.")
    return EventFilter(
        type=None if type_ is None else EventType(type_),
        subject=None if subject is None else SubjectId(subject),
        happened=Span(_instant(since), _instant(until)),
    )


def _instant(text: str | None) -> Instant | None:
    if text is None:
        return None
    instant = parse_rfc3339(text)
    if instant is None:
        raise InvalidRequest("invalid_time", "A time is RFC 3339, such as 2026-01-31T12:00:00Z.")
    return instant


def _facts(sequence: int, event: Event) -> dict[str, Any]:
    return {
        "sequence": sequence,
        "partition": event.partition,
        "at": rfc3339(event.at),
        "type": event.type.value,
        "project": event.project,
        "session": None if event.session is None else id_text(event.session),
        "subject": event.subject,
        "by": event.by,
        "data": dict(event.data),
    }


def _told(report: Report) -> dict[str, Any]:
    counts = report.counts
    return {
        "project": report.project,
        "sound": not report.findings,
        "head": report.head,
        "sealed_at": when(report.sealed_at),
        "first_link": report.first,
        "links": counts.links,
        "sealed": counts.sealed,
        "rewritten": counts.rewritten,
        "purged": counts.purged,
        "late": counts.late,
        "unsealed": counts.unsealed,
        "unsealed_since": when(report.unsealed_since),
        "findings": counts.findings,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "fault": finding.fault.value,
        "sequence": finding.sequence,
        "at": when(finding.at),
        "type": None if finding.type is None else finding.type.value,
        "link": finding.link,
    }
