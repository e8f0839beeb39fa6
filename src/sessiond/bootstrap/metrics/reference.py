"""The table of `docs/operations/metrics.md`, written from the declarations.

`python -m sessiond.bootstrap.metrics.reference` prints it; a test compares it with the page.
"""

from __future__ import annotations

import sys

from sessiond.bootstrap.metrics.families import FAMILIES


def table() -> str:
    """Return every family as a row in Markdown."""
    rows = ["| metric | kind | labels | |", "|---|---|---|---|"]
    for family in FAMILIES:
        labels = ", ".join(f"`{label}`" for label in family.labels)
        rows.append(f"| `{family.name}` | {family.kind} | {labels} | {family.about} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.stdout.write(table())
