"""Which subjects a list is about."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from sessiond.domain.subjects import Subject, SubjectKind, is_operator


class SubjectFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What subjects must be like to be listed; the operator is nobody's.

    *text* is, in any case of letters, part of the id, the name, the hint or of a text in the profile (a mail address).
    """

    kind: SubjectKind | None = None
    text: str | None = None

    def holds(self, subject: Subject) -> bool:
        """Tell whether *subject* is listed."""
        if is_operator(subject.project, subject.id):
            return False
        if self.kind is not None and subject.subject_kind is not self.kind:
            return False
        wanted = self.text
        return wanted is None or any(wanted.casefold() in said.casefold() for said in _said_of(subject))


def _said_of(subject: Subject) -> Iterator[str]:
    yield subject.id
    for text in (subject.name, subject.hint, *subject.profile.values()):
        if isinstance(text, str):
            yield text
