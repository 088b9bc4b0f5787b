"""CPython's own tests of multiprocessing's primitives, run on sharedkit's: `main(start method, placement, suite)`.

This is a program of its own, since those tests use the process-wide start method and leave threads and processes to be
reaped. Its test cases are classes of this module, because children import them.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import sys
import time
import types
import unittest
from collections.abc import Callable, Iterator
from typing import Any

from conformance.watchdog import until
from test import _test_multiprocessing as theirs

import sharedkit as sk

# The methods that a suite calls; a placement runs the suite only if it has all of them.
SUITES = {
    "_TestLock": ("Lock", "RLock"),
    "_TestSemaphore": ("Semaphore", "BoundedSemaphore"),
    "_TestCondition": ("Condition", "Semaphore"),
    "_TestEvent": ("Event",),
    "_TestBarrier": ("Barrier", "Event", "Lock"),
    "_TestValue": ("Value", "RawValue", "Lock"),
    "_TestQueue": ("Queue", "JoinableQueue", "Event"),
}
OTHERWISE = {
    "_TestSemaphore.test_timeout": "threading's interface refuses a timeout for a call that does not wait",
    "_TestLock.test_lock_locked_2processes": "its holder ends after a second, which frees a lock of sharedkit",
    "_TestLock.test_rlock_locked_2processes": "its holder ends after a second, which frees a lock of sharedkit",
    "_TestLock.test_repr_lock": "threading's form of repr, not multiprocessing's",
    "_TestLock.test_repr_rlock": "threading's form of repr, not multiprocessing's",
    "_TestQueue.test_queue_feeder_donot_stop_onexc": "there is no feeder thread: errors of pickling come from put",
    "_TestQueue.test_queue_feeder_on_queue_feeder_error": "there is no feeder thread: errors of pickling come from put",
    "_TestEvent.test_repr": "threading's form of repr, not multiprocessing's",
}
SERVED = {"_TestValue.test_getobj_getlock": "behind a server there is no get_obj: the memory is the server's"}


class _Patient:
    """Leave out the checks of private attributes of multiprocessing's types; and wait for each expected change, where
    the original sleeps 0.1 s in the hope that it has happened by then.
    """

    TYPE: str

    def check_invariant(self, _condition: Any) -> None:
        """Do nothing: the original reads private semaphores of multiprocessing.Condition."""

    def assertReturnsIfImplemented(self, value: Any, func: Callable[..., Any], *args: Any) -> None:
        """Wait for the value; the original asks once."""
        with contextlib.suppress(NotImplementedError):
            until(lambda: bool(func(*args) == value), what=f"{func} does not answer {value}")


class _PatientBarrier(_Patient):
    """A party that must be late waits until the barrier is broken; the original sleeps twice the timeout."""

    @classmethod
    def _test_timeout_f(cls, barrier: Any, results: Any) -> None:
        with _late_for(barrier):
            super()._test_timeout_f(barrier, results)  # type: ignore[misc]

    @classmethod
    def _test_default_timeout_f(cls, barrier: Any, results: Any) -> None:
        with _late_for(barrier):
            super()._test_default_timeout_f(barrier, results)  # type: ignore[misc]


@contextlib.contextmanager
def _late_for(barrier: Any) -> Iterator[None]:
    theirs.time = types.SimpleNamespace(**{**vars(time), "sleep": lambda _seconds: until(lambda: barrier.broken)})
    try:
        yield
    finally:
        theirs.time = time


def cases_of(placement: str) -> dict[str, type[unittest.TestCase]]:
    """The suites that this placement can run."""
    made = {}
    for suite, classes in SUITES.items():
        ours: dict[str, Any] = {}
        if placement != "multiprocessing":
            context = sk.get_context(placement)
            ours = {cls: staticmethod(getattr(context, cls)) for cls in classes}
            ours |= {
                name: unittest.skip(reason)(getattr(getattr(theirs, suite), name))
                for where, reason in (OTHERWISE | (SERVED if placement == "manager" else {})).items()
                for of, name in [where.split(".")]
                if of == suite and hasattr(getattr(theirs, suite), name)
            }
        name = f"{placement.capitalize()}{suite}"
        patient = _PatientBarrier if suite == "_TestBarrier" else _Patient
        bases = (patient, getattr(theirs, suite), theirs.ProcessesMixin, unittest.TestCase)
        made[suite] = type(name, bases, {**ours, "__module__": __name__, "__qualname__": name})
    return made


CASES = {placement: cases_of(placement) for placement in ("shm", "manager", "multiprocessing")}
globals().update({case.__name__: case for cases in CASES.values() for case in cases.values()})


def main(start_method: str, placement: str, suite: str) -> None:
    """Run one suite and exit with 0 if all of its tests pass."""
    multiprocessing.set_start_method(start_method, force=True)
    tests = unittest.defaultTestLoader.loadTestsFromTestCase(CASES[placement][suite])
    result = unittest.TextTestRunner(sys.stderr, verbosity=2).run(tests)
    sys.exit(0 if result.wasSuccessful() and result.testsRun else 1)
