"""A command of its own process beside a server: does what its lines say, and acknowledges each by a line.

`revoke PROJECT ID`, `forget PROJECT ID`, `epoch PROJECT SUBJECT PARTITION N`, `touch PROJECT ID SEEN`, `purge`.
"""

# ruff: noqa: T201  it speaks to the test by printing

import asyncio
import sys

from sessiond.domain.ids import Partition, ProjectId, SessionId, SubjectId
from sessiond.domain.sessions import Session, session_key
from sessiond.domain.subjects import Subject, subject_key
from sessiond.services.ports import Store, Touch
from sessiond.storage.engine import Role
from sessiond.storage.open import open_store
from sessiond.testing import samples


async def obey(store: Store, verb: str, project: ProjectId, arguments: list[str]) -> None:
    if verb == "epoch":
        name, partition, epoch = arguments
        key = subject_key(project, SubjectId(name), Partition(int(partition)))
        subject = await store.get(key)
        assert isinstance(subject, Subject)
        await store.apply(samples.put(samples.renewed(subject, int(epoch))))
        return
    if verb == "purge":
        await store.purge(ended_before=samples.NOW, due_before=samples.NOW, limit=1000)
        return
    identifier = SessionId(bytes.fromhex(arguments[0]))
    session = await store.get(session_key(project, identifier))
    assert isinstance(session, Session)
    if verb == "revoke":
        await store.revoke([samples.revocation(session)])
    elif verb == "forget":
        await store.apply(samples.delete(session.key, session.version))
    elif verb == "touch":
        touch = Touch(project=project, session=identifier, seen_at=int(arguments[1]), generation=0)
        await store.touch([touch])


async def main() -> None:
    store = await open_store(sys.argv[1], role=Role.TOOL)
    print("ready", flush=True)
    for line in iter(sys.stdin.readline, ""):
        verb, project, *arguments = line.split()
        await obey(store, verb, ProjectId(project), arguments)
        print("done", flush=True)
    await store.close()


if __name__ == "__main__":
    asyncio.run(main())
