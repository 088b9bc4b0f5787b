"""Run a soak script in a new session, with a watchdog, and return the totals that it prints last."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from stress.place import PLACE
from stress.worker import LIKE


def soak(script: str, *args: object, limit: float, place: str = "shm", like: str = "fork") -> dict[str, Any]:
    """The last JSON line of `script`; its structures are in the placement `place`, and `like` is as in worker.py.

    Raises AssertionError, with the output, if the script fails or takes more than `limit` s.
    """
    path = Path(__file__).with_name(script)
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", str(path), *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, PLACE: place, LIKE: like},
    ) as process:
        try:
            out, err = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            out, err = "", f"not done after {limit} s"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    lines = out.splitlines()
    assert process.returncode == 0, f"{script} {args}: {err[-4000:]} {lines[-1:]}"
    books: dict[str, Any] = json.loads(lines[-1])
    return books


def books_table(all_books: list[dict[str, Any]]) -> str:
    """The totals of several soaks as text, one line for each."""
    heads = [key for key in all_books[0] if key != "clean"]
    cells = [heads]
    for books in all_books:
        cells.append([f"{v:,.1f}" if isinstance(v, float) else f"{v:,}" if isinstance(v, int) else v
                      for v in (books[head] for head in heads)])  # fmt: skip
    widths = [max(len(line[i]) for line in cells) for i in range(len(heads))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in cells)
