"""The tests on every interpreter that this machine has, one after the other: `make test-all [ARGS="tests/unit -x"]`.

It looks for interpreters on PATH and in the folder that tools/interpreters.sh fills (`INTERPRETERS`, by default
~/.cache/sharedkit-interpreters): CPython from 3.11 on, with its GIL and free-threaded. Each gets its own environment,
as with `make test PYTHON=…`. At the end it prints a table of interpreters and pytest's closing lines. It exits with 1
if any tests fail or do not end.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NAMES = [f"python3.{minor}{flags}" for flags in ("", "t") for minor in range(11, 16)]
PROBE = (
    "import ensurepip, os, sys, sysconfig, venv;"
    "assert os.path.exists(sysconfig.get_path('include') + '/Python.h');"
    "print('python%d.%d' % sys.version_info[:2] + sys.abiflags, sys.version.split()[0], sep='\\n')"
)


def interpreters() -> dict[str, tuple[str, str]]:
    """For each name the first that can build, and its release: {"python3.13t": ("/usr/bin/python3.13t", "3.13.5")}."""
    made = Path(os.environ.get("INTERPRETERS", Path.home() / ".cache" / "sharedkit-interpreters")).expanduser() / "bin"
    found = {}
    for name in NAMES:
        for folder in [*os.get_exec_path(), str(made)]:
            path = os.path.join(folder, name)
            if not os.access(path, os.X_OK):
                continue
            told = subprocess.run([path, "-c", PROBE], capture_output=True, text=True)
            if told.returncode == 0 and told.stdout.split()[0] == name:  # pyenv may have no such version
                found[name] = path, told.stdout.split()[1]
                break
    return found


def run(path: str, arguments: list[str]) -> tuple[int, str]:
    """`make test` with that interpreter, with its output shown; returns its exit status and its last line of output."""
    own = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    command = ["make", "-C", str(ROOT), "test", f"PYTHON={path}", *arguments]
    last = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=own) as making:
        assert making.stdout is not None
        for line in making.stdout:
            print(line, end="", flush=True)
            if line.strip() and not line.startswith("make"):
                last = line.strip(" =\n")
    return making.returncode, last


def main() -> None:
    found = interpreters()
    if not found:
        sys.exit("no CPython from 3.11 on with headers and venv; tools/interpreters.sh gets some")
    arguments = [f"ARGS={os.environ['ARGS']}"] if os.environ.get("ARGS") else []
    rows, failed = [], False
    for name, (path, release) in found.items():
        print(f"--- {name} {release}: {path}", flush=True)
        start = time.monotonic()
        status, closing = run(path, arguments)
        failed |= status != 0
        rows.append(
            (name, release, f"{time.monotonic() - start:.0f} s", closing if status == 0 else f"FAILED: {closing}")
        )
    missing = [name for name in NAMES if name not in found]
    print()
    for row in rows:
        print("{:12} {:9} {:>7}  {}".format(*row))
    if missing:
        print(f"not here: {' '.join(missing)}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
