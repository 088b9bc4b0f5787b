"""Whatever a client sends, through sharedkit or raw, the server survives, and the state of others is intact."""

from __future__ import annotations

import ast
import copy
import decimal
import fractions
import inspect
import itertools
import os
import pickle
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty
from typing import Any

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1]))

from conformance.watchdog import LIMIT, until
from unit import odd

import sharedkit as sk
from sharedkit.manager import arguments, connect, requests
from sharedkit.manager._door import number_in
from sharedkit.manager.object_registry import ObjectRegistry
from sharedkit.manager.protocol import join, number_of, pack
from sharedkit.manager.states import kinds

# --- the table of requests


def _requests_of(cls: type) -> dict[str, Any]:
    return {name[3:]: method for name, method in inspect.getmembers(cls) if name.startswith("do_")}


@pytest.mark.parametrize("cls", [ObjectRegistry, *kinds.values()], ids=lambda cls: cls.kind)
def test_the_table_has_every_request_with_its_arguments(cls: Any) -> None:
    told = arguments.REQUESTS[cls.kind]
    assert told.keys() == _requests_of(cls).keys()
    for name, method in _requests_of(cls).items():
        parameters = list(inspect.signature(method).parameters.values())[2:]
        assert len(parameters) == len(told[name].arguments), name
        assert sum(each.default is each.empty for each in parameters) == told[name].least, name


def test_every_kind_that_is_made_is_in_the_table() -> None:
    assert {ObjectRegistry.kind, *kinds} == set(arguments.REQUESTS)
    assert set(kinds) == set(arguments._CREATED)


# --- odd values over a raw connection

ODD: list[Any] = [
    None,
    True,
    -1,
    0,
    1,
    1 << 31,
    1 << 64,
    -(1 << 200),
    0.5,
    float("nan"),
    float("inf"),
    -1e308,
    "",
    "a",
    b"",
    b"not a pickle",
    [],
    [1, "a", None],
    [b"1", (b"", None)],
    (),
    (True, True),
    (True, True, 1),
    {},
    {"a": 1},
    slice(None),
    ...,
    1j,
    decimal.Decimal("NaN"),
    fractions.Fraction(1, 3),
    np.float32(0.01),
    np.int64(3),
    np.bool_(True),
    np.array([1, 2]),
    np.array([object()]),
    np.dtype("f8"),
    int,
    odd.Time(0.01),
    odd.Count(3),
    odd.Name("n"),
    odd.Raw(b"raw"),
    odd.Items([1]),
    odd.Pair((1, 2)),
    odd.Table(a=1),
    odd.Ends(),
    odd.EndsLater(),
    odd.Array(),
]

NAMES = itertools.count()

GOOD: dict[str, dict[str, tuple[Any, ...]]] = {
    "registry": {
        "create": ("Queue", "", False, False, {"maxsize": 3, "overflow": "block", "seats": 8}, (3,)),
        "attach": ("nobody",),
        "arrive": (12, "x", None),
        "unlink": (12,),
        "ticket": ("t", None),
    },
    "Lock": {"acquire": (False, -1), "acquire_restore": (1,)},
    "Semaphore": {"acquire": (True, 0.0), "release": (1,)},
    "Event": {"wait": (0.0,)},
    "Barrier": {"wait": (0.0, False), "acted": (True,)},
    "Condition": {"wait": (0.0,), "notify": (1,)},
    "RWLock": {"acquire_read": (False, -1), "acquire_write": (False, -1)},
    "Queue": {
        "put_many": ([b"x"], False, None),
        "take_back": ([b"x"], [1]),
        "get_many": (1, False, None),
        "shutdown": (False,),
        "set_maxsize": (3,),
    },
    "PriorityQueue": {
        "put_many": ([((1, "a"), b"x")], False, None),
        "take_back": ([((1, "a"), b"x")], [1]),
        "get_many": (1, False, None),
        "shutdown": (False,),
        "set_maxsize": (3,),
    },
    "Counter": {"add": ("", 1), "load": ("",), "exchange": ("", 3), "compare_exchange": ("", 3, 4)},
    "Dict": {
        "get": ("k",),
        "has": ("k",),
        "set": ([("k", None, b"v")],),
        "setdefault": (b"\6k", b"first", b"v"),
        "pop": ("k",),
        "add": (3, None, 1),
        "swap": ("k", None, b"v", b"w"),
    },
    "RawValue": {"set": (5,)},
    "Value": {"set": (5,)},
    "Set": {"has": ("k",), "insert": ([("k", None, b"v")],), "discard": (3,)},
    "Array": {
        "read": (0,),
        "write": (0, 1.0),
        "fetch_add": (0, 1),
        "compare_exchange": (0, 1.0, 2.0),
        "add_at": (np.array([0, 1]), np.array([1.0, 2.0])),
    },
    "Executor": {
        "run": ("k", 1, b"", None),
        "take_back": ("k", 1, False),
        "is_running": ("k", 1),
        "shutdown": (False,),
    },
}
"""Arguments for the requests that have some; the other requests have none."""
SAME = {"LifoQueue": "Queue", "RLock": "Lock", "BoundedSemaphore": "Semaphore", "Counters": "Counter"}


class Raw:
    """A session that sends any request, valid or not."""

    def __init__(self, client: Any) -> None:
        end, _ = connect.connect(client.address, client.authkey, "kit_session", os.getpid(), None)
        self.end = end
        self.requests = requests.Requests(end, "the server")

    def send(self, ident: Any, method: Any, args: Any, thread: Any = 1, released: Any = ()) -> Any:
        """Send a request and return its pending answer; if it waits, cancel it."""
        over = threading.Event()
        made = self.requests
        with made._lock:
            made._see_to_reader()
            number = next(made._numbers)
            pending = requests.Pending(made, 0, "", (), 0)
            pending.done = lambda _: over.set()
            pending.number = number
            made._pending[number] = pending
            made._send(join(number, (ident, method, args, thread, released)))
        if not over.wait(0.2):  # it may wait; a wait that takes a condition's lock again ends only with the lock
            pending.cancel()
            assert over.wait(0.2 if method == "acquire_restore" else LIMIT) or method == "acquire_restore"
        return pending

    def close(self) -> None:
        self.end.hang_up()
        self.end.close()

    def make(self, kind: str) -> int:
        """Make a structure of that kind; return its number."""
        specs: dict[str, tuple[dict[str, Any], tuple[Any, ...]]] = {
            "Lock": ({"on_owner_died": "warn"}, ()),
            "Semaphore": ({"value": 2}, ()),
            "Event": ({}, ()),
            "Barrier": ({"parties": 2, "timeout": None}, (None,)),
            "Condition": ({"lock": None}, ()),
            "RWLock": ({}, ()),
            "Queue": ({"maxsize": 3, "overflow": "block"}, (3,)),
            "PriorityQueue": ({"maxsize": 3, "overflow": "block"}, (3,)),
            "Counter": ({"striped": False}, (3,)),
            "Dict": ({}, ()),
            "Set": ({}, ()),
            "RawValue": ({"type": "i"}, (3,)),
            "Value": ({"type": "i"}, (3,)),
            "Array": ({"shape": (4,), "dtype": np.dtype("f8")}, (None,)),
            "Executor": (
                {"max_workers": 1, "method": "forkserver", "max_tasks_per_child": None, "prefix": ""},
                ({"sys_path": []}, pickle.dumps((None, ()))),
            ),
        }
        specs["Counters"] = ({"names": ("", "b")}, ())
        spec, extra = specs[SAME.get(kind, kind) if kind != "Counters" else kind]
        spec = {**spec, "seats": 8}
        pending = self.send(0, "create", (kind, f"odd-{next(NAMES)}", False, False, spec, extra))
        return int(pending.result())


@contextmanager
def bystander(ctx: Any) -> Iterator[Callable[[], None]]:
    """Another client with a structure of each kind; gives a function that checks that all of them are unchanged."""
    counter, q, lock, array, d = ctx.Counter(41), ctx.Queue(2), ctx.RLock(), ctx.Array(3, "i4"), ctx.Dict(a=[1])
    semaphore, event, rw = ctx.BoundedSemaphore(2), ctx.Event(), ctx.RWLock()
    q.put("kept")
    array[1] = 5
    semaphore.acquire()
    event.set()
    lock.acquire()
    rw.acquire_read()

    def intact() -> None:
        assert (counter.value, q.qsize(), q.maxsize, lock.statistics().count) == (41, 1, 2, 1)
        assert array.ndarray.tolist() == [0, 5, 0]
        assert (d.as_dict(), semaphore.get_value(), event.is_set()) == ({"a": [1]}, 1, True)
        assert (rw.statistics().readers, q.statistics().attached) == ({os.getpid(): 1}, (os.getpid(),))

    yield intact
    intact()
    assert q.get() == "kept"
    q.put("more")
    rw.release_read()
    lock.release()
    semaphore.release()
    for each in (counter, q, lock, array, d, semaphore, event, rw):
        each.close()


def _variants(good: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """Variants of `good`: too short, too long, and with each argument replaced by each odd value."""
    yield good[:-1]
    yield (*good, None)
    for place in range(len(good)):
        for value in ODD:
            yield (*good[:place], value, *good[place + 1 :])


@pytest.mark.parametrize("kind", sorted(arguments.REQUESTS))
def test_no_argument_of_a_client_harms_the_server(ctx: Any, kind: str) -> None:
    good = GOOD[SAME.get(kind, kind)]
    with bystander(ctx) as intact:
        raw = Raw(ctx.server.client())
        ident = 0 if kind == "registry" else raw.make(kind)
        for method in arguments.REQUESTS[kind]:
            if kind == "Executor" and method in ("join", "statistics", "shutdown"):
                continue  # need a running executor
            args = good.get(method, ())
            for each in _variants(args):
                raw.send(ident, method, each)
                raw.send(ident, "undo", (method, args, each[0] if each else None))
                raw.send(ident, "undo", (method, each, True))
            intact()
        assert raw.requests.is_open()
        raw.close()


def test_no_malformed_request_harms_the_server(ctx: Any) -> None:
    with bystander(ctx) as intact:
        raw = Raw(ctx.server.client())
        ident = raw.make("Queue")
        for value in ODD:
            raw.send(value, "qsize", ())
            raw.send(ident, value, ())
            raw.send(ident, "qsize", value)
            raw.send(ident, "qsize", (), value)
            raw.send(ident, "qsize", (), 1, value)
            raw.send(ident, "qsize", (), 1, (value,))
            raw.send(0, "create", ("Queue", f"odd-{next(NAMES)}", False, False, value, (3,)))
            raw.send(
                0,
                "create",
                (
                    "Queue",
                    f"odd-{next(NAMES)}",
                    False,
                    False,
                    {"maxsize": value, "overflow": "block", "seats": 8},
                    (3,),
                ),
            )
            raw.send(
                0,
                "create",
                (
                    "Queue",
                    f"odd-{next(NAMES)}",
                    False,
                    False,
                    {"maxsize": 3, "overflow": "block", "seats": 8},
                    (value,),
                ),
            )
            raw.send(0, "create", ("Array", f"odd-{next(NAMES)}", False, False, {"shape": (value,), "seats": 8}, ()))
            for method in ("cancel", "undo"):
                if not (method == "cancel" and type(value) is int):
                    raw.requests.tell(0, method, (value,))
                raw.requests.tell(ident, method, value)
            intact()
        assert raw.requests.is_open()
        raw.close()


def test_no_malformed_first_request_harms_the_server(ctx: Any) -> None:
    client = ctx.server.client()
    with bystander(ctx) as intact:
        for value in ODD:
            for method, args in (
                ("kit_calls", (value,)),
                ("kit_session", (value, None)),
                ("kit_session", (os.getpid(), value)),
                ("kit_session", (os.getpid(), ("parent", value, ()))),
                ("kit_session", (os.getpid(), ("parent", None, (value,)))),
            ):
                with suppress(sk.SharedkitError, connect.SessionEnded):
                    connect.connect(client.address, client.authkey, method, *args)[0].close()
        intact()


def test_a_request_number_in_use_is_refused_and_its_wait_goes_on(ctx: Any) -> None:
    """Were it accepted, the first request would wait for ever, or get something that would never be given back."""
    event = ctx.Event()
    raw = Raw(ctx.server.client())
    raw.send(0, "attach", (event.name,))
    answers: list[Any] = []
    first = raw.requests.begin(event._ident, "wait", (None,), 1, answers.append)
    until(lambda: event.statistics().waiting == 1)
    with raw.requests._lock:
        raw.requests._send(join(first.number, (event._ident, "wait", (None,), 1, ())))
    until(lambda: bool(answers))
    with pytest.raises(ValueError, match=f"request {first.number} of this connection waits"):
        answers[0].result()
    assert event.statistics().waiting == 1
    raw.close()
    until(lambda: event.statistics().waiting == 0)


def test_a_wait_without_a_request_number_is_refused(ctx: Any) -> None:
    lock = ctx.Lock()
    lock.acquire()
    raw = Raw(ctx.server.client())
    raw.send(0, "attach", (lock.name,))
    for _ in range(3):
        raw.requests.tell(lock._ident, "acquire", (True, -1))
    raw.send(0, "release", ())
    assert lock.statistics().waiting == 0
    lock.release()
    assert not lock.locked()
    raw.close()


# --- the server does not unpickle values of users


def test_the_server_unpickles_no_value_of_a_client(ctx: Any) -> None:
    """A pickle that ends the process that unpickles it passes through queues, dicts and executors."""
    q, d = ctx.Queue(), ctx.Dict()
    client = ctx.server.client()
    bomb = pickle.dumps(odd.Ends())
    client.call(q._ident, "put_many", [bomb], True, None)
    assert client.call(q._ident, "get_many", 1, True, None) == [bomb]
    client.call(d._ident, "set", [("k", bomb, bomb)])  # the second one is a pickled key
    assert client.call(d._ident, "get", "k") == bomb
    assert client.call(d._ident, "add", "k", None, 1) == (None, bomb)
    assert client.call(d._ident, "swap", "k", None, bomb, pack(3)) is True
    assert d.add("k", 2) == 5
    assert client.call(d._ident, "pop", "k") == (bomb, pack(5))


ENTRIES: list[Any] = [
    None,
    ("k", b"v"),
    ["k", None, b"v"],
    (True, None, b"v"),
    (1.0, None, b"v"),
    (None, None, b"v"),
    (("k",), None, b"v"),
    (1 << 65, None, b"v"),
    (odd.Name("k"), None, b"v"),
    ("k", "first", b"v"),
    ("k", bytearray(b"first"), b"v"),
    ("k", None, "v"),
    ("k", None, None),
    ("k", None, ()),
    ("k", None, (b"", None)),
]


@pytest.mark.parametrize("entry", ENTRIES, ids=range(len(ENTRIES)))
def test_a_dict_takes_forms_pickled_keys_and_items(ctx: Any, entry: Any) -> None:
    """All items of a request are set, or none."""
    d = ctx.Dict(a=1)
    client = ctx.server.client()
    with pytest.raises((TypeError, OverflowError)):
        client.call(d._ident, "set", [("b", None, pack(2)), entry])
    if type(entry) is tuple and len(entry) == 3:
        form, first, packed = entry
        with pytest.raises((TypeError, OverflowError)):
            client.call(d._ident, "setdefault", form, first, packed)
        with pytest.raises((TypeError, OverflowError)):
            client.call(d._ident, "swap", form, first, None, packed)
    assert d.as_dict() == {"a": 1}


def test_an_array_cannot_begin_with_objects(ctx: Any) -> None:
    raw = Raw(ctx.server.client())
    spec = {"shape": (2,), "dtype": np.dtype("i4"), "seats": 8}
    for contents in ([1, 2], b"12345678", 1, np.array([object(), None]), odd.Array()):
        pending = raw.send(0, "create", ("Array", f"odd-{next(NAMES)}", False, False, spec, (contents,)))
        with pytest.raises(TypeError):
            pending.result()
    for contents in (np.arange(3, dtype="i4"), np.arange(2, dtype="f8"), np.int32([[1], [2]])):
        pending = raw.send(0, "create", ("Array", f"odd-{next(NAMES)}", False, False, spec, (contents,)))
        with pytest.raises(ValueError, match="is to begin"):
            pending.result()
    assert ctx.Array.from_array(np.int32([3, 4])).ndarray.tolist() == [3, 4]
    raw.close()


def test_the_server_adds_numbers_and_the_client_everything_else(ctx: Any) -> None:
    d = ctx.Dict(i=1, f=0.5, big=1 << 2000, text="a", exact=decimal.Decimal("0.1"), array=np.arange(3))
    assert d.add("i", 2) == 3
    assert d.add("f", 2) == 2.5
    assert d.add("big") == (1 << 2000) + 1
    assert d.add("text", "b") == "ab"
    assert d.add("exact", 1) == decimal.Decimal("1.1")
    assert d.add("array", np.int64(1)).tolist() == [1, 2, 3]
    assert (d.add("new"), d.add("newer", "x")) == (1, "x")
    with pytest.raises(TypeError):
        d.add("text", 1)
    assert d["text"] == "ab"


def test_a_number_is_read_from_a_pickle_without_unpickling() -> None:
    bits = (0, 7, 8, 15, 16, 31, 32, 63, 64, 300)
    edges = [sign * (1 << each) + n for sign in (1, -1) for each in bits for n in (-1, 0, 1)]
    for each in (*edges, 0.0, -2.5, 1e300, float("inf")):
        found = number_in(pack(each))
        assert (type(found), found) == (type(each), each)
    for each in (True, None, "3", [3], 1 << 8 * 100, odd.Ends(), np.int64(3), decimal.Decimal(3), b"3", (3,)):
        assert number_in(pickle.dumps(each, 5)) is None
    for packed in (b"", b"not a pickle", b".", b"\x80\x05.", b"\x80\x05K\x05", b"\x80\x05K\x05\x06.", (pack(3),), None):
        assert number_in(packed) is None
    for each in (3, 300, 1 << 20, -1, 1 << 40, 2.5):
        packed = pack(each)
        for end in range(len(packed)):
            assert number_in(packed[:end]) is None


BOMB = odd.Kills()
MINED: list[Any] = [
    np.dtype("i8", metadata={"of": BOMB}),
    np.dtype("i8", metadata={"of": BOMB}).newbyteorder(),
    np.dtype([("a", "i4"), ("b", np.dtype("f4", metadata={"of": BOMB}), (2,))]),
    np.dtype({"names": ["a"], "formats": ["i4"], "offsets": [4], "itemsize": 12, "titles": ["title"]}, align=True),
    np.dtype((np.record, [("a", "i4")])),
    np.dtype((np.record, [("a", np.dtype("U3", metadata={"of": BOMB}))])),
    np.dtype("M8[ns]", metadata={"of": BOMB}),
]


@pytest.mark.parametrize("dtype", MINED, ids=range(len(MINED)))
def test_metadata_of_a_dtype_is_not_sent_to_the_server(ctx: Any, dtype: Any) -> None:
    """NumPy pickles metadata with a dtype. It means nothing to an array; shared memory does not keep it either."""
    array, written = ctx.Array(3, dtype), np.ones(3, dtype)
    assert array.dtype == dtype and array.dtype.type is dtype.type and array.dtype.fields == dtype.fields
    array[:] = written
    assert np.array_equal(array.ndarray, written) and array.dtype.isalignedstruct == dtype.isalignedstruct
    other = ctx.Array.from_array(written[::-1])
    other[1] = written[1]
    assert np.array_equal(np.asarray(other), written) and ctx.attach(other.name).dtype == dtype


def test_a_dtype_that_needs_objects_of_the_user_is_refused(ctx: Any) -> None:
    for dtype in (np.dtype({"names": ["a"], "formats": ["i4"], "titles": [BOMB]}), np.dtype([("a", object)])):
        for make in (lambda: ctx.Array(3, dtype), lambda: ctx.Array.from_array(np.zeros(3, dtype))):  # noqa: B023
            with pytest.raises(TypeError):
                make()


@pytest.mark.parametrize("place", [BOMB, [BOMB], (0, BOMB), (0, [BOMB]), np.array([BOMB]), [[0], BOMB], 1.5, lambda: 0])
def test_an_invalid_index_is_never_sent(ctx: Any, place: Any) -> None:
    array = ctx.Array((3, 2), "i8")
    uses: list[Callable[[], object]] = [
        lambda: array[place],
        lambda: array.__setitem__(place, 1),
        lambda: array.add_at(place, 1),
        lambda: array.fetch_add(place, 1),
        lambda: array.__setitem__(0, place),
        lambda: array.add_at(0, place),
    ]
    for use in uses[:4] if place == 1.5 else uses:
        with pytest.raises((IndexError, TypeError, ValueError)):
            use()
    mined = np.array([1], np.dtype("i8", metadata={"of": BOMB}))
    array[mined, mined] = mined
    array.add_at((mined, mined), mined)
    assert array[mined].tolist() == [[0, 2]] and array[[]].shape == (0, 2)


# --- values become plain in the client; the same exceptions in all placements


def test_numpy_numbers_and_the_like_are_taken_as_plain_numbers(ctx: Any) -> None:
    q, lock, semaphore, event = ctx.Queue(np.int64(3)), ctx.Lock(), ctx.Semaphore(np.int32(1)), ctx.Event()
    with pytest.raises(Empty):
        q.get(timeout=np.float32(0.01))
    q.maxsize = np.int16(2)
    assert type(q.maxsize) is int
    assert lock.acquire(np.bool_(True), np.float64(0.01)) is True
    assert lock.acquire(timeout=odd.Time(0.01)) is False
    assert semaphore.acquire(timeout=fractions.Fraction(1, 100)) is True
    assert event.wait(np.float16(0.0)) is False
    assert event.wait(decimal.Decimal("0.01")) is False
    semaphore.release(np.uint8(2))
    assert semaphore.get_value() == 2
    array = ctx.Array((np.int64(2), 3), "f4")
    array[np.int64(1), odd.Count(2)] = np.float32(2.5)
    array[[0, 1], [0, 0]] = [1, 2]
    array[np.array([False, True]), 1:2] = odd.Array()
    assert array[1].tolist() == [2.0, 7.0, 2.5]
    assert array.fetch_add((np.int8(0), 0), np.float32(0.5)) == 1.0
    array.add_at([[0, 1]], [[1, 1, 1]])
    assert array.ndarray.tolist() == [[2.5, 1.0, 1.0], [3.0, 8.0, 3.5]]
    counters = ctx.Counters([odd.Name("a")])
    assert counters.add(odd.Name("a"), odd.Count(2)) == 2
    assert ctx.Counter(name=odd.Name("by-an-odd-name")).add() == 1
    assert ctx.server.client().call(0, "release") is None


@pytest.mark.parametrize("placement", ["thread", "shm", "manager"])
@pytest.mark.parametrize("value", [None, "a", 1.5], ids=repr)
def test_a_maxsize_that_is_no_number_is_refused(ctx: Any, placement: Any, value: Any) -> None:
    context: Any = ctx if placement == "manager" else sk.get_context(placement)
    q = context.Queue(5)
    with pytest.raises(TypeError):
        q.maxsize = value
    q.put(1)
    assert (q.maxsize, q.get()) == (5, 1)


@pytest.mark.parametrize(
    ("use", "error"),
    [
        (lambda c: c.Queue().get(timeout="1"), TypeError),
        (lambda c: c.Queue().get(timeout=float("nan")), ValueError),
        (lambda c: c.Event().wait("1"), TypeError),
        (lambda c: c.Event().wait(1j), TypeError),
        (lambda c: c.Semaphore().acquire(timeout=b"1"), TypeError),
        (lambda c: c.Semaphore().release(1.5), TypeError),
        (lambda c: c.Lock().acquire(timeout="1"), TypeError),
        (lambda c: c.Lock().acquire(timeout=float("nan")), ValueError),
        (lambda c: c.Queue().get_many(1.5), TypeError),
        (lambda c: c.Counter().add(1.5), TypeError),
        (lambda c: c.Counter().add(1 << 64), OverflowError),
        (lambda c: c.Counters(["a"]).add("b"), KeyError),
        (lambda c: c.Counters(["a"]).add(5), (KeyError, TypeError)),
        (lambda c: c.Array(3)["x"], IndexError),
        (lambda c: c.Array(3)[1.5], IndexError),
        (lambda c: c.Array(3).fetch_add(1.5, 1), TypeError),
        (lambda c: c.Array(3, "i4").fetch_add(1, 1.5), TypeError),
    ],
)
def test_arguments_that_make_no_sense_are_an_exception_for_their_caller(ctx: Any, use: Any, error: Any) -> None:
    with pytest.raises(error):
        use(ctx)
    assert ctx.Counter(4).value == 4


def test_odd_values_are_odd() -> None:
    """Each would do harm if the server computed with it; all but the last can be sent."""
    assert odd.Time(1) < "a"
    assert copy.copy(ODD)[:3] == [None, True, -1]
    assert ast.literal_eval(repr(1)) == 1
    assert number_of(join(7, None)[4:]) == 7  # type: ignore[index]
