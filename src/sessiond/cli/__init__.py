"""The command line: `sessiond VERB`, one module for each group of verbs."""

from __future__ import annotations


def main() -> None:
    """Run the command line and end the process with its exit code."""
    # Here and not above: `sessiond.cli` is imported by the console script before anything is known.
    from sessiond.cli.root import run  # noqa: PLC0415

    run()
