"""Sealing vault entries: AES-256-GCM under the project's data key, bound to the row and its version."""

from __future__ import annotations

from sessiond.crypto.sealing import SEAL_ENTROPY, Unsealable, seal, unseal
from sessiond.crypto.secrets import Secret
from sessiond.domain.errors import Unavailable
from sessiond.domain.ids import ProjectId, SubjectId
from sessiond.domain.vault import Boxes, EntryId, VaultEntry, preview
from sessiond.services.keys import Keys
from sessiond.services.ports import Entropy

TOKENS = "vault_entry.token"
PREVIEWS = "vault_entry.preview"


class VaultBoxes:
    """Seals and opens what entries hold.

    The preview is sealed too: it is part of the token, and a database must not show even that.
    """

    def __init__(self, keys: Keys, entropy: Entropy) -> None:
        self._keys = keys
        self._entropy = entropy

    def sealed(
        self, project: ProjectId, entry: EntryId, user: SubjectId, version: int, token: Secret
    ) -> Boxes:
        """Return *token* and its preview sealed for one version of one entry.

        Raises `Unavailable` (`key_unavailable`).
        """
        key_id, key = self._keys.ring.data_key(project)

        def box(table: str, text: str) -> bytes:
            aad = associated_data(project, table, entry, user, version)
            return seal(key, text.encode(), aad=aad, entropy=self._entropy.bytes(SEAL_ENTROPY))

        text = token.reveal()
        return Boxes(key_id=key_id, token=box(TOKENS, text), preview=box(PREVIEWS, preview(text)))

    def token(self, entry: VaultEntry) -> Secret:
        """Return the entry's token; `Unavailable` (`vault_unreadable`, `key_unavailable`) when it does not open."""
        return Secret(self._opened(entry, TOKENS, entry.boxes.token))

    def preview(self, entry: VaultEntry) -> str:
        """Return the entry's preview; refused like `token`."""
        return self._opened(entry, PREVIEWS, entry.boxes.preview)

    def _opened(self, entry: VaultEntry, table: str, box: bytes) -> str:
        key = self._keys.ring.data_key_by_id(entry.boxes.key_id)
        aad = associated_data(entry.project, table, entry.id, entry.user, entry.version)
        try:
            return unseal(key, box, aad=aad).decode()
        except Unsealable:
            raise Unavailable(
                "vault_unreadable", "The stored token cannot be opened: it is not as it was saved."
            ) from None


def associated_data(project: ProjectId, table: str, entry: EntryId, user: SubjectId, version: int) -> bytes:
    """Return what a box is bound to; no two rows have the same, since only the user may hold a `|`."""
    return f"{project}|{table}|{entry}|{user}|{version}".encode()
