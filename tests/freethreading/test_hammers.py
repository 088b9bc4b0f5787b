"""Threads use, close, drop and grow the same structures at once: what they read is right, and the process survives.

The tests are for Pythons without a GIL (`make test PYTHON=python3.14t`), but pass with one too. `HAMMER_SECONDS` makes
them longer.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sharedkit.compare.machine import gil_enabled

PROGRAM = Path(__file__).with_name("hammers.py")
SECONDS = float(os.environ.get("HAMMER_SECONDS", "0.3" if gil_enabled() else "1"))
HAMMERS = (
    "closing", "waiting", "showing", "forking", "collecting",
    "dropping", "viewing", "growing", "counting", "exchanging", "inserting", "valuing", "looping", "calling",
)  # fmt: skip
SUBJECTS = [(hammer, placement) for hammer in HAMMERS for placement in ("thread", "shm")]
SUBJECTS.remove(("forking", "thread"))  # see docs/pythons.md
SUBJECTS += [
    (hammer, "manager")
    for hammer in (
        "closing",
        "waiting",
        "counting",
        "ranking",
        "exchanging",
        "inserting",
        "valuing",
        "looping",
        "calling",
    )
]
SUBJECTS += [("ranking", "thread"), ("hashing", "thread")]


@pytest.mark.parametrize(("hammer", "placement"), SUBJECTS)
def test_threads_that_do_the_same_at_once_leave_everything_right(hammer: str, placement: str) -> None:
    done = subprocess.run(
        [sys.executable, str(PROGRAM), hammer, placement, str(SECONDS)],
        capture_output=True, text=True, timeout=120 + 4 * SECONDS,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(gil_enabled(), reason="with a GIL")
def test_importing_every_compiled_module_leaves_the_gil_off() -> None:
    source = """
import importlib, sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
import sharedkit
folder = Path(sharedkit.__file__).parent
names = [path.relative_to(folder.parent).as_posix().removesuffix(EXTENSION_SUFFIXES[0])
         for path in folder.rglob("*" + EXTENSION_SUFFIXES[0])]
assert len(names) > 30, names
for name in names:
    importlib.import_module(name.replace("/", "."))
assert not sys._is_gil_enabled()
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", source], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


MAKES = {
    "Array": "sk.Array(5)", "Barrier": "sk.Barrier(2)", "BoundedSemaphore": "sk.BoundedSemaphore()",
    "Condition": "sk.Condition()", "Counter": "sk.Counter()", "Counters": "sk.Counters(['a', 'b'])",
    "Dict": "sk.Dict(a=1)", "Event": "sk.Event()",
    "Lock": "sk.Lock()", "Queue": "sk.Queue()", "RLock": "sk.RLock()", "RWLock": "sk.RWLock()",
    "Semaphore": "sk.Semaphore()", "Set": "sk.Set([1])", "Value": "sk.Value('i')", "RawValue": "sk.RawValue('i')",
}  # fmt: skip
PARTS = {
    "a view": ("Array", "it.ndarray"), "its lock": ("Array", "it.lock"), "one of a group": ("Counters", "it['a']"),
    "a side": ("RWLock", "it.reader"),
}  # fmt: skip
ENDS = [
    *((name, "it", how) for name in MAKES for how in ("close", "drop")),
    *((*part, "drop") for part in PARTS.values()),
]


@pytest.mark.parametrize(("name", "kept", "how"), ENDS)
def test_a_segment_ends_at_once_when_another_thread_drops_its_last_handle(name: str, kept: str, how: str) -> None:
    """CPython would leave the deallocation to the thread that made the handle, which here waits for the other one."""
    source = f"""
import os, threading
import sharedkit as sk

it = {MAKES[name]}
path = "/dev/shm/sk_" + it.name
assert os.path.exists(path)
box = [{kept}]
del it

def end():
    last = box.pop()
    if {how == "close"}:
        last.close()
    else:
        del last
    print(os.path.exists(path))

thread = threading.Thread(target=end)
thread.start()
thread.join()
"""
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "False\n", "")


EXITING = """
import importlib, sys, threading, time
place = importlib.import_module(f"sharedkit.{sys.argv[1]}")
queue, empty, event = place.Queue(), place.Queue(), place.Event()

def close():
    while True:
        place.Counter().close()

def exchange():
    while True:
        queue.put(1)
        queue.get()

for work in (close, close, close, exchange, empty.get, event.wait):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.02)
"""


@pytest.mark.parametrize("placement", ["thread", "shm"])
def test_a_program_ends_while_its_daemon_threads_wait_use_and_close(placement: str) -> None:
    for _ in range(5):
        done = subprocess.run(
            [sys.executable, "-c", EXITING, placement], capture_output=True, text=True, timeout=60
        )  # fmt: skip
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
