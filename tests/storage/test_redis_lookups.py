"""What a round of lookups on Redis keeps in memory, whenever its answers come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from sessiond.domain.ids import partition_of
from sessiond.domain.records import Kind
from sessiond.storage.bounded_memory import BoundedMemory
from sessiond.storage.engines.redis.address import parse_url
from sessiond.storage.engines.redis.asking import Asking, Question
from sessiond.storage.engines.redis.controls import Controls
from sessiond.storage.engines.redis.layout import Layout, record_value, session_value
from sessiond.storage.engines.redis.lookups import Lookup, Lookups
from sessiond.storage.engines.redis.nodes import Nodes
from sessiond.testing import samples


class Questions:
    """Takes questions instead of a server, which answers when a test says so."""

    def __init__(self) -> None:
        self.put_so_far: list[Question] = []

    def put(self, _slot: int, question: Question) -> None:
        self.put_so_far.append(question)

    def join(self, _question: Question) -> None: ...


async def test_what_was_forgotten_is_not_kept_again_where_an_earlier_reading_is_answered_last() -> None:
    questions, layout = Questions(), Layout("sessiond")
    asking = cast("Asking", questions)
    memory = BoundedMemory(10, bound=60.0, tells_all=False)
    memory.heard(memory.monotonic())
    controls = Controls(layout, asking)
    lookups = Lookups(layout, Nodes(parse_url("redis://127.0.0.1")), asking, controls, memory)
    session = samples.session()
    subject = samples.subject(partition=partition_of(session.id))
    read = [session_value(session), record_value(subject)]
    control: Sequence[bytes] = [record_value(samples.deployment()), record_value(samples.project())]

    lookups.submit(Lookup(session.project, session.id))
    earlier, sessions = questions.put_so_far
    earlier.calls()
    lookups.submit(
        Lookup(session.project, session.id)
    )  # it joins the first, by another reading of the controls
    later = questions.put_so_far[-1]
    sessions.calls(), later.calls()
    sessions.outcome([read])
    later.outcome([control])
    assert memory.get(session.project, session.id) is not None

    memory.drop(Kind.SESSION, session.project, session.id)
    earlier.outcome([control])

    assert memory.get(session.project, session.id) is None
