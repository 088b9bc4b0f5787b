"""The names at the top: each is there once, comes from the module that defines it, and nothing else is public."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys

import pytest

import sharedkit as sk
from sharedkit import errors
from sharedkit._core.unsupported import IN_SHARED_MEMORY

EXPECTED = {
    "Array",
    "AuthkeyError",
    "Barrier",
    "BoundedSemaphore",
    "ClosedError",
    "CorruptSegmentError",
    "Condition",
    "Counter",
    "Counters",
    "Dict",
    "Event",
    "Executor",
    "ExecutorBroken",
    "ExecutorGoneError",
    "GoneError",
    "JoinableQueue",
    "LayoutError",
    "LeaseLostError",
    "Lock",
    "NotLockedError",
    "OutOfSharedMemory",
    "OwnerDiedError",
    "OwnerDiedWarning",
    "Queue",
    "RLock",
    "RWLock",
    "RawValue",
    "SeatsExhausted",
    "SegmentInUse",
    "Semaphore",
    "ServerGoneError",
    "ServerMismatchError",
    "Set",
    "SharedkitError",
    "ShutDown",
    "SimpleQueue",
    "Stream",
    "UntrustedSegmentError",
    "Value",
    "WorkerDied",
    "attach",
    "await_",
    "get_context",
    "register_key",
    "wait",
}


def test_each_public_name_appears_once() -> None:
    assert len(sk.__all__) == len(set(sk.__all__))
    assert set(sk.__all__) == EXPECTED
    assert list(sk.__all__) == sorted(sk.__all__, key=_isort_key)


def _isort_key(name: str) -> tuple[bool, str]:
    return (name[0].islower(), name)


def test_every_exported_name_is_there() -> None:
    for name in sk.__all__:
        assert getattr(sk, name) is not None


def test_only_names_of_the_standard_library_are_aliases() -> None:
    """The standard library has JoinableQueue and SimpleQueue beside Queue; in sharedkit all three are one class."""
    assert sk.JoinableQueue is sk.SimpleQueue is sk.Queue
    values = [getattr(sk, name) for name in sk.__all__ if name not in ("JoinableQueue", "SimpleQueue")]
    assert len({id(value) for value in values}) == len(values)


def test_nothing_public_is_left_out_of_all() -> None:
    for name in EXPECTED:
        getattr(sk, name)  # some are imported at their first use
    modules = {name for name in vars(sk) if isinstance(vars(sk)[name], type(sk))}
    assert {name for name in vars(sk) if not name.startswith("_")} - modules == EXPECTED


def test_every_exception_is_exported() -> None:
    for name in errors.__all__:
        assert getattr(sk, name) is getattr(errors, name)


MODULES = "hashing", "manager", "protocols", "thread", "segments", "errors", "statistics", "shm"
SUBMODULE = """
import sys, sharedkit as sk
name = sys.argv[1]
assert name in dir(sk)
module = getattr(sk, name)
assert module is sys.modules["sharedkit." + name] is vars(sk)[name]
if name == "hashing":
    import hashlib
    assert bytes(sk.hashing.hash_many([b"a"], "sha384")[0]) == hashlib.sha384(b"a").digest()
"""


@pytest.mark.parametrize("name", MODULES)
def test_a_public_module_needs_no_import_of_its_own(name: str) -> None:
    done = subprocess.run([sys.executable, "-c", SUBMODULE, name], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'sharedkit' has no attribute 'hashin'"):
        sk.hashin  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("name", IN_SHARED_MEMORY)
@pytest.mark.parametrize("module", ["sharedkit", "sharedkit.shm"])
def test_a_class_that_shared_memory_cannot_have_says_why_to_an_import_too(module: str, name: str) -> None:
    owner = importlib.import_module(module)
    for statement in (f"from {module} import {name}", f"from {module} import Queue, {name} as Other"):
        with pytest.raises(ImportError, match=re.escape(IN_SHARED_MEMORY[name])) as failed:
            exec(statement, {})
        assert failed.value.name == module
    with pytest.raises(AttributeError, match=re.escape(IN_SHARED_MEMORY[name])):
        getattr(owner, name)
    assert not hasattr(owner, name)


def test_an_import_of_an_unknown_name_is_pythons_own_error() -> None:
    with pytest.raises(ImportError, match=r"^cannot import name 'hashin' from 'sharedkit' \("):
        exec("from sharedkit import hashin", {})


PROBE = """
import sys
before = set(sys.modules)
import sharedkit
print(sharedkit.__version__)
print(*sorted(name for name in set(sys.modules) - before if "." not in name))
late = ["sharedkit.hashing", "sharedkit.commands.entry", "sharedkit.manager", "sharedkit.thread",
        "sharedkit.shm.executor", "sharedkit.executors", "sharedkit.statistics", "sharedkit.aio.waiters", "asyncio",
        "concurrent.futures.process", "multiprocessing.managers", "multiprocessing.connection", "json"]
print(*(name for name in late if name in sys.modules))
from sharedkit import hashing
print(hashing is sharedkit.hashing)
"""


def test_importing_needs_only_numpy_and_leaves_the_rest_for_later() -> None:
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    version, tops, lazy, same = done.stdout.splitlines()
    assert version == sk.__version__
    foreign = set(tops.split()) - set(sys.stdlib_module_names) - {"sharedkit", "numpy", "cython_runtime"}
    assert not {name for name in foreign if not name.startswith("_")}
    assert lazy == ""
    assert same == "True"
