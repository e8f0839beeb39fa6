"""Projects and server keys: what they may be called."""

from __future__ import annotations

import pytest

from sessiond.domain.errors import InvalidRequest, StateConflict
from sessiond.domain.ids import DEFAULT_PROJECT
from tests.deployment import BY, TestDeployment

NO_NAMES = ["", " ", "x" * 65, "schön", "a\nb", " padded", DEFAULT_PROJECT]


@pytest.mark.parametrize("name", NO_NAMES)
async def test_a_project_has_a_name_that_fits_a_header_and_is_no_id(
    deployment: TestDeployment, name: str
) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        await deployment.services.projects.add(name, by=BY)

    assert refusal.value.code == "invalid_name"
    assert len(await deployment.services.projects.list_all()) == 1


@pytest.mark.parametrize("name", NO_NAMES)
async def test_a_server_key_has_a_name_that_fits_a_header_and_is_no_id(
    deployment: TestDeployment, name: str
) -> None:
    with pytest.raises(InvalidRequest):
        await deployment.services.server_keys.add(DEFAULT_PROJECT, name, by=BY)


async def test_a_projects_name_is_given_once(deployment: TestDeployment) -> None:
    await deployment.services.projects.add("shop", by=BY)

    with pytest.raises(StateConflict) as refusal:
        await deployment.services.projects.add("shop", by=BY)

    assert refusal.value.code == "project_exists"
