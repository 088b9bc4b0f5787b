"""The shortcuts of a lock's methods: calls of every form do what the method does."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import sharedkit as sk
from sharedkit import shm, thread

MAKES: dict[str, Callable[[], Any]] = {
    "threading.Lock": threading.Lock, "threading.RLock": threading.RLock,
    "thread.Lock": thread.Lock, "thread.RLock": thread.RLock, "shm.Lock": shm.Lock, "shm.RLock": shm.RLock,
}  # fmt: skip


@pytest.fixture(params=MAKES)
def lock(request: pytest.FixtureRequest) -> Iterator[Any]:
    made = MAKES[request.param]()
    yield made
    if hasattr(made, "close"):
        made.close()


def free(lock: Any) -> bool:
    """Whether another thread can take the lock."""
    answers: list[bool] = []
    other = threading.Thread(target=lambda: answers.append(lock.acquire(False) and lock.release() is None))
    other.start()
    other.join()
    return answers == [True]


NONE: dict[str, Any] = {}

TAKES = {
    "acquire()": lambda it: it.acquire(), "acquire(True)": lambda it: it.acquire(True),
    "acquire(True, -1)": lambda it: it.acquire(True, -1), "acquire(False)": lambda it: it.acquire(False),
    "acquire(timeout=1)": lambda it: it.acquire(timeout=1),
    "acquire(blocking=False)": lambda it: it.acquire(blocking=False),
    "acquire(**{})": lambda it: it.acquire(**NONE), "acquire(*())": lambda it: it.acquire(*()),
    "__enter__()": lambda it: it.__enter__(), "type.acquire": lambda it: type(it).acquire(it),
    "type.__enter__": lambda it: type(it).__enter__(it),
}  # fmt: skip
GIVES = {
    "release()": lambda it: it.release(), "release(**{})": lambda it: it.release(**NONE),
    "__exit__(None, None, None)": lambda it: it.__exit__(None, None, None),
    "__exit__(*error)": lambda it: it.__exit__(ValueError, ValueError(), None),
    "type.release": lambda it: type(it).release(it),
    "type.__exit__": lambda it: type(it).__exit__(it, None, None, None),
}  # fmt: skip


@pytest.mark.parametrize("give", GIVES)
@pytest.mark.parametrize("take", TAKES)
def test_every_form_of_a_call_takes_and_releases(lock: Any, take: str, give: str) -> None:
    assert TAKES[take](lock) is True
    assert not free(lock)
    assert GIVES[give](lock) is None
    assert free(lock)
    with pytest.raises(RuntimeError):
        GIVES[give](lock)


@pytest.mark.parametrize(
    "call",
    [
        lambda it: it.acquire(True, -1, True), lambda it: it.acquire(nothing=1), lambda it: it.release(nothing=1),
        lambda it: it.acquire(True, blocking=True),
    ],
)  # fmt: skip
def test_wrong_arguments_are_refused_and_change_nothing(lock: Any, call: Callable[[Any], object]) -> None:
    with pytest.raises(TypeError):
        call(lock)
    assert free(lock)


@pytest.mark.parametrize(
    "call",
    [
        lambda it: it.release(1), lambda it: it.__enter__(1), lambda it: it.__enter__(nothing=1),
        lambda it: it.__exit__(), lambda it: it.__exit__(None, None), lambda it: it.__exit__(None, None, None, None),
        lambda it: it.__exit__(None, None, None, nothing=1),
        lambda it: type(it).acquire(), lambda it: type(it).release(1),
        lambda it: type(it).__exit__(1, None, None, None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("make", [thread.Lock, thread.RLock, shm.Lock, shm.RLock])
def test_calls_that_no_lock_has_are_refused_and_leave_it_taken(make: Any, call: Callable[[Any], object]) -> None:
    lock = make()
    lock.acquire()
    with pytest.raises(TypeError):
        call(lock)
    assert not free(lock)
    lock.release()
    lock.close()


@pytest.mark.parametrize("make", [thread.Lock, thread.RLock, shm.Lock, shm.RLock])
@pytest.mark.parametrize("call", [*TAKES, *GIVES])
def test_a_closed_handle_is_refused_in_every_form(make: Any, call: str) -> None:
    lock = make()
    lock.close()
    with pytest.raises(sk.ClosedError):
        {**TAKES, **GIVES}[call](lock)


@pytest.mark.parametrize("base", [thread.Lock, thread.RLock, shm.Lock, shm.RLock])
def test_a_subclass_may_replace_the_methods_and_call_them(base: Any) -> None:
    calls: list[str] = []

    class Counted(base):  # type: ignore[misc]
        def acquire(self, *args: Any, **options: Any) -> bool:
            calls.append("acquire")
            return super().acquire(*args, **options)  # type: ignore[no-any-return]

        def __exit__(self, *error: Any) -> None:
            calls.append("exit")
            super().__exit__(*error)

    lock = Counted()
    assert lock.acquire()
    lock.release()
    with lock:
        assert not free(lock)
    assert free(lock)
    assert "acquire" in calls and calls[-2:] == ["exit", "acquire"], calls
    lock.close()


@pytest.mark.parametrize("make", [thread.Lock, thread.RLock])
def test_the_classes_of_the_thread_placement_have_methods_of_their_own(make: Any) -> None:
    """Otherwise Python's fast path for method calls does not apply, which requires the very class of the object."""
    for name in ("acquire", "release", "__enter__", "__exit__"):
        assert vars(make)[name].__objclass__ is make
