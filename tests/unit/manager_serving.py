"""Servers for tests, started by the command line."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from conformance.watchdog import LIMIT

KEY = b"the key of this test"


@contextmanager
def served(
    *address: str, key: Path | None = None, limit: float = LIMIT, **options: Any
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server started by the command line, and the address that it prints. It is killed after `limit` seconds."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sharedkit", "serve", "--address", *address],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "SHAREDKIT_AUTHKEY": KEY.decode()},
        **options,
    )
    watchdog = threading.Timer(limit, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().removeprefix("serving at ").strip()
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()
