"""The entry point of the command line. If a package is missing, it says how to install it."""

from __future__ import annotations

import sys

__all__ = ["main"]

EXTRA = ("click", "rich", "matplotlib")


def main() -> None:
    """Run the command line; exits with 2 on bad input, 130 after Ctrl-C, 1 for what the command itself found wrong."""
    try:
        from sharedkit.commands.root import root
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] not in EXTRA:
            raise
        print(
            f'the command line needs {missing.name}; install it with: pip install "sharedkit[compare]"', file=sys.stderr
        )
        sys.exit(2)
    root(prog_name="sharedkit")
