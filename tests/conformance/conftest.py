"""Fixtures that make the structures of each subject, close them, and check that no segment remains."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# Children of `spawn` and `forkserver` use this path too, to import the functions that they run.
sys.path.append(str(Path(__file__).parents[1]))

from conformance import subjects, subjects_sync
from conformance.kind import Kind
from conformance.subjects import Subject
from conformance.watchdog import until

from sharedkit._core.unsupported import ABSENT

TRAFFIC = ("test_processes_traffic.py", "test_sync_processes.py")
BY_FIXTURE = {**subjects.BY_FIXTURE, **subjects_sync.BY_FIXTURE}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*promises): skip the subjects that do not make these promises")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    wanted = [name for name in BY_FIXTURE if name in metafunc.fixturenames]
    if not wanted:
        return
    needs = [promise for mark in metafunc.definition.iter_markers("needs") for promise in mark.args]
    params = []
    for subject in BY_FIXTURE[wanted[0]]:
        missing = subject.missing(tuple(needs))
        marks = [] if missing is None else [pytest.mark.skip(reason=missing)]
        params.append(pytest.param(subject, id=subject.name, marks=marks))
    metafunc.parametrize("subject", params)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave traffic between clients of a server to `make stress` if they start by "spawn": to the server they are like
        those by "forkserver", and their interpreters take half a minute to start.
    How a handle reaches a client is always tested by all three start methods.
    """
    for item in items:
        _skip_what_is_absent(item)
        params = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        served = isinstance(params.get("subject"), Subject) and params["subject"].name.startswith(("manager", "redis"))
        if served and params.get("start_method") == "spawn" and item.path.name in TRAFFIC:
            item.add_marker(pytest.mark.stress)


def _skip_what_is_absent(item: pytest.Item) -> None:
    """Skip a kind of structure that a placement does not have. Another test covers the error that it raises."""
    params = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    kind, subject = params.get("kind"), params.get("subject")
    if isinstance(kind, Kind) and isinstance(subject, Subject):
        method = subject.name.partition(" ")[0]
        if kind.cls in ABSENT.get(method, ()):
            item.add_marker(pytest.mark.skip(reason=ABSENT[method][kind.cls]))
        if method == "redis" and subject.absent is None:
            from sharedkit.redis.placement import MISSING

            if kind.cls in MISSING:
                item.add_marker(pytest.mark.skip(reason=MISSING[kind.cls]))


def _maker(subject: Subject, method: str | None) -> Iterator[Callable[..., Any]]:
    """The constructor of the subject. What it made is closed after the test; then its segments must be gone."""
    make = subject.make
    if method is not None:
        assert subject.for_processes is not None
        make = subject.for_processes(method)
    made: list[Any] = []
    names: list[str] = []

    def tracked(*args: Any, **kwargs: Any) -> Any:
        structure = make(*args, **kwargs)
        made.append(structure)
        if isinstance(getattr(structure, "name", None), str):
            names.append(structure.name)
        return structure

    yield tracked
    for structure in made:
        if hasattr(structure, "close"):
            structure.close()
        if hasattr(structure, "join_thread"):
            structure.join_thread()
    left = [name for name in names if Path(f"/dev/shm/sk_{name}").exists()]
    assert not left, f"segments outlived their last handle: {left}"


def _method(request: pytest.FixtureRequest) -> str | None:
    """The start method of the test, or None: tests with processes are parametrized by it."""
    callspec = getattr(request.node, "callspec", None)
    return None if callspec is None else callspec.params.get("start_method")


def _makes() -> Any:
    """Return a fixture that gives the constructor of its subject."""

    @pytest.fixture
    def made(subject: Subject, request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
        yield from _maker(subject, _method(request))

    return made


make_queue = _makes()
make_lifo = _makes()
make_priority = _makes()
make_counter = _makes()
make_group = _makes()
make_array = _makes()
make_dict = _makes()
make_set = _makes()
make_value = _makes()
make_stream = _makes()
make_executor = _makes()
make_rlock = _makes()
make_semaphore = _makes()
make_bounded = _makes()
make_event = _makes()
make_condition = _makes()
make_barrier = _makes()
make_rwlock = _makes()


@pytest.fixture
def make_lock(subject: Subject, request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Give a function that makes locks; some of them are part of a structure."""
    makers = _maker(subject, _method(request))
    make = next(makers)
    yield lambda **options: getattr(owner := make(**options), "lock", owner)
    next(makers, None)


@pytest.fixture
def context(subject: Subject) -> Any:
    return subject.make()


class Kit:
    """A placement. Structures made as `kit.Queue(3)` are closed after the test; then their segments must be gone."""

    def __init__(self, context: Any) -> None:
        self.context = context
        self.made: list[Any] = []
        self.names: list[str] = []

    def __getattr__(self, cls: str) -> Callable[..., Any]:
        def make(*args: Any, **kwargs: Any) -> Any:
            structure = getattr(self.context, cls)(*args, **kwargs)
            self.made.append(structure)
            self.names.append(structure.name)
            return structure

        return make


@pytest.fixture
def kit(context: Any) -> Iterator[Kit]:
    kit = Kit(context)
    yield kit
    for structure in kit.made:
        structure.close()

    def left() -> list[str]:
        gc.collect()  # the exception of a task is part of a reference cycle
        return [name for name in kit.names if Path(f"/dev/shm/sk_{name}").exists()]

    # The watcher's thread keeps a wait of a closed loop until it has notified the wait. No one awaits that moment.
    until(lambda: not left(), what="segments outlived their last handle")
