"""The exit codes of the commands: 0 if all is done, else one of these (docs/command_line.md)."""

from __future__ import annotations

__all__ = ["FOUND", "INTERRUPTED", "NO_READER", "REFUSED", "TERMINATED"]

FOUND = 1
"""The command did its work and found what its help names: a mismatch, a deadlock, a problem."""
REFUSED = 2
"""Bad input, or something that could not be done."""
INTERRUPTED, NO_READER, TERMINATED = 130, 141, 143
"""After Ctrl-C, without a reader of the output, after SIGTERM: as a shell reports the signal, 128 plus its number."""
