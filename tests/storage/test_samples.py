"""The contract suite's samples say all that a record can say, so that an engine that drops a member fails."""

from __future__ import annotations

import msgspec

from sessiond.testing.samples import full_session


def test_the_full_session_has_no_member_at_its_default() -> None:
    session = full_session()

    same = {
        member.name
        for member in msgspec.structs.fields(session)
        if member.default is not msgspec.NODEFAULT and getattr(session, member.name) == member.default
    }

    assert same == {"version"}
