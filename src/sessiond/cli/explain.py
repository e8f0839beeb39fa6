"""`sessiond explain`: what a token is, how it fares at each step, and what became of its session."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sessiond.bootstrap.opening import Opened
from sessiond.cli.frame import Answer, single, verb
from sessiond.cli.questions import read_token
from sessiond.cli.show import facts, harmless, table, when
from sessiond.domain.errors import InvalidRequest
from sessiond.domain.events import Event
from sessiond.domain.ids import id_text
from sessiond.domain.timelines import reason_of
from sessiond.services.explaining import Checked, Explanation

app = single()

_OUTCOMES = {True: "passed", False: "REFUSED", None: "not reached"}


@verb(app, "explain")
async def explain(
    opened: Opened,
    argument: Annotated[
        list[str] | None, typer.Argument(hidden=True, help="None: others can read a command line.")
    ] = None,
) -> Answer:
    """Say what a token is, and why it passes or not. The token is read from standard input, and never shown."""
    if argument:
        raise InvalidRequest(
            "token_as_argument", "Send the token on standard input: others can read a command line."
        )
    text = read_token()
    if not text:
        raise InvalidRequest("token_required", "Send the token, as one line, on standard input.")
    explanation = await opened.services.explaining.explain(text)
    data = _data(explanation)
    shown = [facts({name: value for name, value in data.items() if not isinstance(value, list)})]
    if data["steps"]:
        rows = [(each["step"], _OUTCOMES[each["passed"]], each["fact"]) for each in data["steps"]]
        shown += [harmless(" "), table(("STEP", "OUTCOME", "WHAT WAS LOOKED AT"), rows, empty="")]
    if data["timeline"]:
        rows = [tuple(each.values()) for each in data["timeline"]]
        shown += [harmless(" "), table(("AT", "WHAT HAPPENED", "BY", "REASON"), rows, empty="")]
    return Answer(data, tuple(shown))


def _data(explanation: Explanation) -> dict[str, Any]:
    refusal, presented, standing = explanation.refusal, explanation.presented, explanation.standing
    told = explanation.timeline
    return {
        "kind": explanation.kind,
        "accepted": refusal is None,
        "code": None if refusal is None else refusal.code,
        "detail": None if refusal is None else refusal.detail,
        "project": explanation.project,
        "name": explanation.name,
        "session": None if presented is None else id_text(presented.session),
        "subject": None if standing is None else standing.session.subject,
        "generation": None if presented is None else presented.generation,
        "expires_at": None if presented is None else when(presented.expires_at),
        "ended_by": None if told is None else told.by,
        "steps": [_step(each) for each in explanation.steps],
        "timeline": [] if told is None else [_event(each) for each in told.events],
    }


def _step(checked: Checked) -> dict[str, Any]:
    return {"step": checked.step.value, "passed": checked.passed, "fact": checked.fact}


def _event(event: Event) -> dict[str, Any]:
    return {"at": when(event.at), "type": event.type.value, "by": event.by, "reason": reason_of(event)}
