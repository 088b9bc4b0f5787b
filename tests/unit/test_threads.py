"""sharedkit's own threads do not inherit the context variables of the thread that happens to start them."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import contextvars, sys
import sharedkit as sk

who = contextvars.ContextVar("who", default="nobody")

if __name__ == "__main__":
    who.set("the first caller")
    with sk.get_context(sys.argv[1]) as ctx, ctx.Event() as gate, ctx.Executor(1) as executor:
        seen = []
        future = executor.submit(gate.wait, 60)
        future.add_done_callback(lambda _: seen.append(who.get()))
        gate.set()
        assert future.result(60)
        executor.shutdown()
        print(*seen)
"""


# Without a GIL the flag is set by default.
@pytest.mark.skipif(not hasattr(sys.flags, "thread_inherit_context"), reason="before Python 3.14 no thread inherits")
@pytest.mark.parametrize("inherit", ["0", "1"])
@pytest.mark.parametrize("placement", ["shm", "manager"])
def test_callbacks_do_not_see_the_context_of_the_first_caller(placement: str, inherit: str) -> None:
    program = [sys.executable, "-X", f"thread_inherit_context={inherit}", "-c", PROGRAM, placement]
    told = subprocess.run(program, capture_output=True, text=True, timeout=120)
    assert (told.returncode, told.stdout, told.stderr) == (0, "nobody\n", "")
