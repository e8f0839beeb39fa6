"""What an issue stands on: the subject, its project and the deployment, read at one instant.

Where a server key asks, they are read together with the key itself. Of which project a key is never changes and is
remembered by its text, but only to know what to ask for: whether the key lives, and what the records say, is read.
"""

from __future__ import annotations

from collections.abc import Sequence

from sessiond.domain.ids import ProjectId, SubjectId
from sessiond.domain.projects import deployment_key, project_key
from sessiond.domain.records import Key, Record
from sessiond.domain.subjects import subject_key
from sessiond.services.keys import Keys


def footing_keys(keys: Keys, project: ProjectId, subject: SubjectId) -> list[Key]:
    """Return the keys of the subject, the project and the deployment, in this order."""
    partition = keys.ring.partition(project, subject)
    return [subject_key(project, subject, partition), project_key(project), deployment_key()]


class Foreseen:
    """The subject that a request will issue a session for, and the footing that was read beside its server key."""

    def __init__(self, subject: SubjectId) -> None:
        self.subject = subject
        self._project: ProjectId | None = None
        self._footing: Sequence[Record | None] = ()

    def hold(self, project: ProjectId, footing: Sequence[Record | None]) -> None:
        """Keep the *footing* of the subject in *project* until it is taken."""
        self._project, self._footing = project, footing

    def take(self, project: ProjectId, subject: SubjectId) -> Sequence[Record | None] | None:
        """Return the footing if it is that of *subject* in *project*, and never again: who decides anew reads anew."""
        held, self._project = self._project, None
        return self._footing if held == project and self.subject == subject else None
