"""What was made, used, ended and used again answers as the OpenAPI document says, whoever asks.

Schemathesis draws what is sent; the things that the paths name are real ones, made for each example: the generated ids
of the other examinations hardly ever name anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation, BaseSchema

from tests.server_process import ServerProcess
from tests.system.things import CREDENTIALS, DEFAULT_PROJECT, Things
from tests.system.writers import bearer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

Operation = APIOperation[Any, Any, Any, Any]
Drawn = Case[Any]

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
SETTINGS = {"SESSIOND_DEVICE_NEW_PER_HOUR": "100000", "SESSIOND_DEVICE_MAX_SESSIONS_PER_IP": "100000"}
SPARED = {"POST /api/token/regenerate", "POST /api/v1/token/regenerate"}
"""These would take the operator's credential from the examples that follow."""

EXAMPLES = settings(
    phases=[Phase.generate],
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess.started(tmp_path_factory.mktemp("lives"), settings=SETTINGS) as process:
        yield process


@pytest.fixture(scope="module")
def schema(lived: ServerProcess) -> BaseSchema:
    return schemathesis.openapi.from_url(f"{lived.url}/openapi.json")


def operations(schema: BaseSchema) -> list[Operation]:
    """Return every operation once: of those that have several paths, the first."""
    seen: dict[object, Operation] = {}
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        if operation.label not in SPARED:
            raw = operation.definition.raw
            seen.setdefault((operation.method, raw["tags"][0], raw["summary"]), operation)
    return list(seen.values())


def reading(operation: Operation, among: list[Operation]) -> list[Operation]:
    """Return the operations that read what *operation* is about."""
    head, brace, _ = operation.path.partition("}")
    return [each for each in among if brace and each.method == "get" and each.path == head + brace]


class Examples:
    """Examples of one operation for one credential, and the failures that they found."""

    def __init__(self, things: Things, credential: str, among: list[Operation]) -> None:
        self._things = things
        self._credential = credential
        self._among = among
        self._can_end: set[str] = set()
        self.failures: list[str] = []

    def of(self, operation: Operation, *, ended: bool) -> None:
        """Use a new thing, twice, and read it after; or an ended one, where the one before could be ended."""
        if ended and operation.path not in self._can_end:
            return
        few = ended or self._credential == "nobody"

        @settings(EXAMPLES, max_examples=1 if few else 2)
        @given(data=st.data())
        def run(data: st.DataObject) -> None:
            holder = self._things.holder()
            thing = self._things.named_by(operation.path, holder)
            if thing is not None and thing.end is not None:
                self._can_end.add(operation.path)
            names = {} if thing is None else {"id": thing.name, "kid": thing.name}
            names |= {"project_id": DEFAULT_PROJECT}
            if thing is not None and ended:
                self._things.end(thing)
            headers = dict(holder.headers[self._credential])
            case = data.draw(strategy(operation, names))
            for each in (
                case,
                case,
                *(data.draw(strategy(read, names)) for read in reading(operation, self._among)),
            ):
                self._check(each, headers)

        run()

    def _check(self, case: Drawn, headers: dict[str, str]) -> None:
        answer = case.call(headers=headers, timeout=120)
        try:
            case.validate_response(answer, checks=CHECKS)
        except FailureGroup as failure:
            self.failures.append(f"{case.operation.label} as {self._credential}: {failure}")


def strategy(operation: Operation, names: dict[str, str]) -> st.SearchStrategy[Drawn]:
    wanted = {name: value for name, value in names.items() if f"{{{name}}}" in operation.path}
    return operation.as_strategy(GenerationMode.POSITIVE, path_parameters=wanted or None)


@pytest.mark.parametrize("credential", CREDENTIALS)
def test_every_operation_on_what_is_there_and_on_what_has_ended(
    lived: ServerProcess, schema: BaseSchema, credential: str
) -> None:
    with httpx.Client(base_url=lived.url) as http:
        among = operations(schema)
        examples = Examples(Things(lived, http), credential, among)
        for operation in among:
            for ended in (False, True):
                examples.of(operation, ended=ended)
            if operation.path == "/v1/policy":
                assert http.delete("/v1/policy", headers=bearer(lived.master_token)).is_success

    assert examples.failures == []
    assert '"status":500' not in lived.log()
