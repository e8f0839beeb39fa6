"""The OpenAPI document is true: schemathesis, driven by it, finds no answer that it does not describe.

Left out on purpose: whether everything that fits a schema is accepted (texts have rules that no schema says), and, for
the Stack dialect, whether everything else is refused (its original casts texts and numbers to what it needs).
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.server_process import ServerProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]

SEED = "20260326"
TIMEOUT_SECONDS = 7000

TRUE_ANSWERS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
)
SETTINGS = {"SESSIOND_DEVICE_NEW_PER_HOUR": "100000", "SESSIOND_DEVICE_MAX_SESSIONS_PER_IP": "100000"}


class Examination(NamedTuple):
    """One run: with which credential, over which operations, and what is looked at.

    What would end the credential itself is left out here; `test_lifecycles.py` makes a new one for each example, and
    asks as nobody, too, as `test_bad_input.py` does. It asks as everybody everywhere; where *paths* says so, only what
    no other credential may do is examined.
    """

    credential: str
    phases: str
    least_cases: int
    options: tuple[str, ...] = ()
    more_checks: tuple[str, ...] = ()
    max_examples: int = 5
    paths: str = ""


TWINS = r"^/api/v1/session-storage/api/|^/auth/(sessions|anonymous|oauth)|^/api/(auth|token)/"
"""Second paths of operations that are examined at their first."""
A_SESSIONS_OWN = r"^/v1/(session|me|verify)\b|^/api/v1/session-storage"
AN_OPERATORS_OWN = r"^/v1/(keys|policy|claims|events|project)\b|^/api/v1/auth/session|^/metrics"

SHORT = ("--seed", SEED, "--generation-deterministic", "--exclude-path-regex", TWINS)

EXAMINATIONS = (
    Examination(
        "server key", "coverage,stateful", 1000, ("--exclude-tag", "stack_auth"), ("negative_data_rejection",)
    ),
    Examination("server key", "coverage", 300, ("--include-tag", "stack_auth")),
    Examination("session", "coverage", 300, ("--exclude-name", "DELETE /v1/session"), paths=A_SESSIONS_OWN),
    Examination("operator", "coverage", 300, paths=AN_OPERATORS_OWN),
)
MANY = 50
"""Examples of each operation: some two minutes of processor time for each credential."""
LONG = (
    Examination("server key", "fuzzing,stateful", 2000, (), (), MANY),
    Examination("session", "fuzzing", 2000, ("--exclude-name", "DELETE /v1/session"), (), MANY),
    Examination("operator", "fuzzing", 2000, ("--exclude-path-regex", "/token/regenerate$"), (), MANY),
)


@pytest.fixture(scope="module")
def examined(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess.started(tmp_path_factory.mktemp("schema"), settings=SETTINGS) as process:
        yield process


def authorization(server: ServerProcess, credential: str) -> dict[str, str]:
    match credential:
        case "server key":
            return server.authorization
        case "session":
            made = httpx.post(
                f"{server.url}/v1/sessions", headers=server.authorization, json={"subject": "alice"}
            )
            return {"Authorization": f"Bearer {made.json()['access_token']}"}
        case _:
            return {"Authorization": f"Bearer {server.master_token}"}


def examine(
    server: ServerProcess, folder: Path, examination: Examination
) -> subprocess.CompletedProcess[str]:
    headers = authorization(server, examination.credential)
    return subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")),
            "--no-color",
            "run",
            f"{server.url}/openapi.json",
            *(part for name, value in headers.items() for part in ("--header", f"{name}: {value}")),
            *("--checks", ",".join(TRUE_ANSWERS + examination.more_checks)),
            *("--phases", examination.phases),
            *("--max-examples", str(examination.max_examples)),
            *("--request-timeout", "120"),
            *(("--include-path-regex", examination.paths) if examination.paths else ()),
            *(SHORT if examination.max_examples < MANY else ()),
            *("--warnings", "off", "--continue-on-failure"),
            *examination.options,
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )


@pytest.mark.parametrize(
    "examination",
    [*EXAMINATIONS, *(pytest.param(each, marks=pytest.mark.soak) for each in LONG)],
    ids=lambda e: "-".join((e.credential, *e.options, *(("long",) if e in LONG else ()))).replace(" ", "_"),
)
def test_the_document_describes_every_answer(
    examined: ServerProcess,
    tmp_path: Path,
    examination: Examination,
    record_property: Callable[[str, object], None],
) -> None:
    done = examine(examined, tmp_path, examination)

    assert done.returncode == 0, done.stdout + done.stderr
    cases = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
    assert cases, done.stdout
    record_property("examples of each operation", examination.max_examples)
    record_property("cases", int(cases[1]))
    assert int(cases[1]) >= examination.least_cases
    assert '"status":500' not in examined.log()
