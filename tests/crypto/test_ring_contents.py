"""How a ring grows: each new key under its project, its line and the root that mints there."""

from __future__ import annotations

import msgspec
import pytest

from sessiond.crypto.ring_contents import add_key, kek, wrapping_aad
from sessiond.crypto.sealing import unseal
from sessiond.domain.ids import ProjectId
from sessiond.domain.keys import KeyKind, KeyState, Line
from tests.crypto.material import NOW, OTHER_PROJECT, PROJECT, CountedEntropy, two_projects_contents

LATER = NOW + 1000


@pytest.mark.parametrize("project", [PROJECT, OTHER_PROJECT])
@pytest.mark.parametrize("newest_first", [True, False])
def test_a_vault_key_hangs_on_the_root_that_mints_in_its_project(
    project: ProjectId, newest_first: bool
) -> None:
    contents = two_projects_contents()
    contents = msgspec.structs.replace(contents, roots=contents.roots[:: -1 if newest_first else 1])
    root = next(root for root in contents.roots if root.project == project and root.state is KeyState.ACTIVE)

    grown = add_key(
        contents, Line(KeyKind.VAULT, project), state=KeyState.PENDING, entropy=CountedEntropy("x"), now=LATER
    )

    key = grown.data_keys[-1]
    assert grown.data_keys[:-1] == contents.data_keys
    assert (key.project, key.kid, key.state, key.created_at) == (project, root.kid, KeyState.PENDING, LATER)
    assert len(unseal(kek(root), key.secret, aad=wrapping_aad(project, key.id))) == 32


def test_a_signing_key_without_an_audience_is_none() -> None:
    with pytest.raises(ValueError, match="a signing key has an audience"):
        add_key(
            two_projects_contents(),
            Line(KeyKind.SIGNING, PROJECT),
            state=KeyState.ACTIVE,
            entropy=CountedEntropy(),
            now=NOW,
        )
