"""Handles that go to other processes, in every possible way, for every kind of structure."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, closing
from typing import Any

import pytest
from conformance import children
from conformance.kinds import KINDS, Kind
from conformance.subjects import METHODS
from conformance.watchdog import LIMIT, Child

pytestmark = pytest.mark.needs("processes")
LASTING = [kind for kind in KINDS if kind.lasting]


def lasting_in(context: Any) -> list[Kind]:
    return [kind for kind in LASTING if hasattr(context, kind.cls)]


each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
each_lasting_kind = pytest.mark.parametrize("kind", LASTING, ids=lambda kind: kind.name)
each_method = pytest.mark.parametrize("start_method", METHODS)


@each_lasting_kind
@each_method
def test_as_an_argument_of_a_process(context: Any, kind: Kind, start_method: str) -> None:
    with closing(kind.make(context)) as handle:
        before = kind.look(handle)
        child = Child(start_method, children.change, kind.name, handle)
        assert child.result() == kind.look(handle) != before


@each_lasting_kind
@each_method
def test_the_parent_may_drop_its_handle_right_after_start(context: Any, kind: Kind, start_method: str) -> None:
    handle = kind.make(context)
    with closing(kind.make(context)) as model:
        kind.change(model)
        expected = kind.look(model)
    child = Child(start_method, children.change, kind.name, handle)
    if not kind.ends:
        handle.close()
    del handle
    assert child.result() == expected


@each_method
def test_through_a_queue_of_sharedkit(context: Any, start_method: str) -> None:
    with ExitStack() as stack:
        queue = stack.enter_context(context.Queue())
        kinds = lasting_in(context)
        handles = [stack.enter_context(closing(kind.make(context))) for kind in kinds]
        child = Child(start_method, children.change_all_that_come, [kind.name for kind in kinds], queue)
        queue.put_many(handles)
        assert child.result() == [kind.look(handle) for kind, handle in zip(kinds, handles, strict=True)]


@pytest.mark.parametrize("kind", LASTING[3:], ids=lambda kind: kind.name)
def test_through_a_queue_of_multiprocessing(context: Any, kind: Kind) -> None:
    queue = multiprocessing.get_context("spawn").Queue()
    with closing(kind.make(context)) as handle:
        child = Child("spawn", children.change_what_comes, kind.name, queue)
        queue.put(handle)
        assert child.result() == kind.look(handle)
    queue.close()
    queue.join_thread()


@each_method
def test_through_submit_and_the_initializer_of_a_pool(context: Any, start_method: str) -> None:
    mp_context = multiprocessing.get_context(start_method)
    with ExitStack() as stack:
        handles = {kind.name: stack.enter_context(closing(kind.make(context))) for kind in lasting_in(context)}
        pool = stack.enter_context(
            ProcessPoolExecutor(
                1, mp_context=mp_context, initializer=children.keep_from_initializer, initargs=(handles,)
            )
        )
        for kind in lasting_in(context):
            handle = handles[kind.name]
            first = pool.submit(children.change, kind.name, handle).result(LIMIT)
            assert first == kind.look(handle)
            second = pool.submit(children.change_from_initializer, kind.name).result(LIMIT)
            assert second == kind.look(handle) != first


UNRELATED = """
import sys
import sharedkit as sk
with sk.attach(sys.argv[1]) as counter, sk.attach(sys.argv[2]) as queue, sk.attach(sys.argv[3]) as array:
    print(counter.add(2), queue.get(), array[1, 2], array.fetch_add((0, 0), 4))
    queue.put({"from": "afar"})
"""


@pytest.mark.needs("found-by-name-alone")
def test_from_an_unrelated_program_by_name(context: Any) -> None:
    with context.Counter(40) as counter, context.Queue() as queue, context.Array((2, 3), "i4") as array:
        queue.put("hello")
        array[1, 2] = 7
        names = (counter.name, queue.name, array.name)
        done = subprocess.run([sys.executable, "-c", UNRELATED, *names], capture_output=True, text=True, timeout=LIMIT)
        assert (done.returncode, done.stdout, done.stderr) == (0, "42 hello 7 0\n", "")
        assert (counter.value, queue.get(), array[0, 0]) == (42, {"from": "afar"}, 4)


LEAVES_ITS_HANDLES_OPEN = """
import sharedkit as sk
handles = [sk.Counter(), sk.Counters(["a"]), sk.Queue(), sk.Array(5)]
handles[2].put("left behind")
print(*[handle.name for handle in handles])
"""


def test_a_program_that_just_ends_leaves_nothing_and_prints_nothing(context: Any) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LEAVES_ITS_HANDLES_OPEN], capture_output=True, text=True, timeout=LIMIT
    )
    assert (done.returncode, done.stderr) == (0, "")
    names = done.stdout.split()
    assert len(names) == 4
    for name in names:
        with pytest.raises(FileNotFoundError):
            context.attach(name)


@each_kind
def test_statistics_name_every_process(context: Any, kind: Kind) -> None:
    with closing(kind.make(context)) as handle, context.Queue() as ready, context.Queue() as go:
        child = Child("fork", children.hold, handle, ready, go)
        try:
            pid = ready.get(timeout=LIMIT)
            assert sorted(handle.statistics().attached) == sorted([os.getpid(), pid])
        finally:
            go.put("on")
        assert sorted(child.result()) == sorted([os.getpid(), pid])
        assert handle.statistics().attached == (os.getpid(),)


def test_a_plain_pickle_is_small(context: Any) -> None:
    for kind in [each for each in KINDS if hasattr(context, each.cls)]:
        with closing(kind.make(context)) as handle:
            assert len(pickle.dumps(handle)) < 300
