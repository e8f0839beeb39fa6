"""The example of `docs/dialects.md` works as it stands there."""

from __future__ import annotations

import re
import types
from functools import partial
from pathlib import Path

from sessiond.http.app import App
from sessiond.http.edge import Edge
from tests.deployment import SetClock
from tests.http.oddities import SERVER_KEY, Callers
from tests.http.surface import ask

GUIDE = Path(__file__).parents[2] / "docs" / "dialects.md"


async def test_the_example_dialect_of_the_guide_works() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    module = types.ModuleType("example_dialect")
    exec(compile(example, str(GUIDE), "exec"), vars(module))  # noqa: S102 - the guide's own example
    services = types.SimpleNamespace(credentials=Callers())
    asked = partial(ask, App([module.dialect(services, Edge())], edge=Edge(), clock=SetClock()))
    key = [("authorization", f"Bearer {SERVER_KEY}")]

    written = await asked("POST", "/api/notes", b'{"text":"hello"}', headers=key)
    read = await asked("GET", written.header("location") or "", headers=key)
    missing = await asked("GET", "/api/notes/none", headers=key)
    unknown = await asked("GET", "/api/notes/a/b")

    assert (written.status, read.json["text"]) == (201, "hello")
    assert (missing.status, missing.json) == (404, {"error": "There is no such note."})
    assert (unknown.status, unknown.json) == (404, {"error": "There is no such path."})
