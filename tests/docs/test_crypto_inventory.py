"""`docs/security/crypto.md` is what the code does, and leaves out nothing that it imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from sessiond.crypto.inventory import USES, inventory
from sessiond.crypto.purposes import Purpose
from tests.docs.pages import ROOT

PAGE = ROOT / "docs" / "security" / "crypto.md"
SOURCE = ROOT / "src" / "sessiond"
CRYPTOGRAPHIC = {"argon2", "botocore", "cryptography", "hashlib", "hmac", "joserfc", "ssl"}


def imported(path: Path) -> Iterator[str]:
    """Yield the name of each package that the module at *path* imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module.partition(".")[0]


def test_the_page_is_what_the_code_says() -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert page == inventory(), "run: python -m sessiond.crypto.inventory > docs/security/crypto.md"
    assert all(f"| `{purpose}` |" in page for purpose in Purpose)


def test_every_module_that_uses_cryptography_is_in_it_and_no_other() -> None:
    using = {
        str(path.relative_to(SOURCE))
        for path in SOURCE.rglob("*.py")
        if CRYPTOGRAPHIC.intersection(imported(path))
    }

    assert using == set(USES), "say in USES of sessiond/crypto/inventory.py what it is used for"
