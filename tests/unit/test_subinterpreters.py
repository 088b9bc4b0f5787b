"""Sub-interpreters (PEP 734): NumPy refuses them, so this package does too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sharedkit._core.main_interpreter import SENTENCE, is_main_interpreter

# It runs in a new process, which ends by `_exit`: before Python 3.14 the end of an interpreter may hang.
PROGRAM = """
import os, sys
given = {"path": os.pathsep.join(sys.path), "out": sys.argv[2]}
if sys.version_info < (3, 12):
    import _xxsubinterpreters as interpreters
    said = interpreters.run_string(interpreters.create(), sys.argv[1], shared=given) or ""
else:
    from sharedkit.compare.interpreters import _make
    said = _make()(sys.argv[1], given)
import sharedkit as sk
with sk.Counter() as counter:
    print(said, counter.add())
sys.stdout.flush()
os._exit(0)
"""
INSIDE = """
import sys, os
sys.path[:] = path.split(os.pathsep)
try:
    import MODULE
    said = "imported"
except ImportError as error:
    said = f"{error.name}: {error}"
with open(out, "w") as file:
    file.write(said)
"""


def test_this_is_the_main_interpreter() -> None:
    assert is_main_interpreter()


@pytest.mark.parametrize("module", ["sharedkit", "sharedkit.hashing", "sharedkit.thread", "sharedkit.aio"])
def test_a_subinterpreter_is_refused_with_the_reason_and_the_main_one_goes_on(module: str, tmp_path: Path) -> None:
    out = tmp_path / "said"
    program = [sys.executable, "-c", PROGRAM, INSIDE.replace("MODULE", module), str(out)]
    told = subprocess.run(program, capture_output=True, text=True, timeout=120)
    assert (told.returncode, told.stdout, told.stderr) == (0, " 1\n", "")
    assert out.read_text() == f"sharedkit: {SENTENCE}"
