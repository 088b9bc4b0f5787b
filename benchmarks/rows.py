"""The numbers to reach: each row of the design's table is one comparison within one benchmark group."""

from __future__ import annotations

from dataclasses import dataclass

BEST_RIVAL = "best rival"  # the entrant of kind "rival" that was fastest in the same run
OURS = "sharedkit"
STRIPED = "sharedkit, striped"
SERVED = "sharedkit, server"


@dataclass(frozen=True)
class Row:
    """One comparison: `times` is the target for the speed of ours as a multiple of that of `beside`.

    With `at_most` it is the reverse, for floors: `times` is how many times the time of `beside` ours may take. `unit`
    is the name of one operation in a table of rates; None: the table shows times.
    """

    what: str
    group: str
    beside: str
    times: float
    ours: str = OURS
    unit: str | None = "items"
    at_most: bool = False


ALONE = "counter: one process"
CONTENDED = "counter: two processes contend"
ONE_TO_ONE = "queue: 100-byte items, 1 to 1"
TWO_TO_TWO = "queue: 100-byte items, 2 to 2"
BATCHES = "queue: 64-byte items in batches of 100, 1 to 1"
ROUND_TRIP = "queue: round trip of 64 bytes through two queues"
MEGABYTES = "queue: 1 MB arrays, 1 to 1"

LOCK_ALONE = "lock: acquire and release, one process"
LOCK_CONTENDED = "lock: two processes contend"
LOCK_CROWDED = "lock: four processes contend"
EVENTS = "event: round trip through two events"
CONDITIONS = "condition: round trip"
BARRIERS = "barrier: two processes pass"
DICT_GET = "dict: get, str keys"
DICT_UPDATE = "dict: update, str keys"
CALLS = "executor: empty calls by submit"
ONE_CALL = "executor: one empty call, there and back"
WAKE_UP = "asyncio: wake-up, all asleep"
ANSWER = "asyncio: wake-up, the other answers at once"
BY_THREAD = "run_in_executor(queue.get)"

TWO_THREADS = "sharedkit, 2 threads"


def _hashes() -> list[Row]:
    """The rows of hashing: algorithm, the package of the loop, and the target ratio for each size."""
    wanted: list[tuple[str, str, dict[int, float]]] = [
        ("sha384", "hashlib", {16: 8, 64: 8, 256: 4.5, 1024: 3.5}),
        ("sha256", "hashlib", {16: 9, 64: 6, 1024: 2.5}),
        ("blake3", "blake3", {64: 20, 256: 12, 1024: 8}),
        ("xxh3_64", "xxhash", {16: 3, 64: 2}),
    ]
    rows = []
    for algorithm, beside, sizes in wanted:
        for size, times in sizes.items():
            what, group = f"{algorithm} of a list, {size} bytes", f"hash: {algorithm}, {size} bytes"
            rows.append(Row(what, group, beside, times, unit=None))
            if size >= 64:
                rows.append(Row(f"{what}, 2 threads", group, OURS, 1.7, ours=TWO_THREADS, unit=None))
    column = "hash: xxh3_64 of a uint64 column"
    rows += [
        Row("xxh3_64 of a uint64 column", column, beside, 3, unit=None) for beside in ("polars", "NumPy splitmix64")
    ]
    return rows


ROWS = [
    Row("Counter.add, one process", ALONE, "empty C method call", 1.3, unit=None, at_most=True),
    Row("Counter.add, one process", ALONE, "C call that makes an int", 1.3, unit=None, at_most=True),
    Row("Counter.add, one process", ALONE, "multiprocessing.Value", 15, unit=None),
    Row("Counter.add, two processes", CONTENDED, BEST_RIVAL, 1, unit="adds"),
    Row("Counter.add, two processes", CONTENDED, "multiprocessing.Value", 20, unit="adds"),
    Row("Counter.add, two processes, striped", CONTENDED, OURS, 3, ours=STRIPED, unit="adds"),
    Row("Queue, 100 bytes, 1 to 1", ONE_TO_ONE, "multiprocessing.Queue", 15),
    Row("Queue, 100 bytes, 1 to 1", ONE_TO_ONE, "faster-fifo", 12),
    Row("Queue, 100 bytes, 1 to 1", ONE_TO_ONE, BEST_RIVAL, 1.2),
    Row("Queue, 100 bytes, 2 to 2", TWO_TO_TWO, BEST_RIVAL, 1.2),
    Row("put_many/get_many, 64 bytes", BATCHES, BEST_RIVAL, 1.2),
    Row("put_many/get_many, 64 bytes", BATCHES, "faster-fifo", 25),
    Row("round trip, two queues, p50", ROUND_TRIP, BEST_RIVAL, 1, unit=None),
    Row("round trip, two queues, p50", ROUND_TRIP, "multiprocessing.Pipe", 20, unit=None),
    Row("Queue, 1 MB arrays", MEGABYTES, BEST_RIVAL, 1, unit="arrays"),
    Row("Queue, 1 MB arrays", MEGABYTES, "multiprocessing.Queue", 20, unit="arrays"),
    Row("Queue, 1 MB arrays", MEGABYTES, "memcpy", 0.6, unit="arrays"),
    *(
        row
        for what, group, floor, best, managed in (
            ("Dict get", DICT_GET, 4, 2, 150),
            ("Dict update", DICT_UPDATE, 4, 8, 150),
        )
        for row in (
            Row(what, group, "dict", floor, unit=None, at_most=True),
            Row(what, group, BEST_RIVAL, best, unit=None),
            Row(what, group, "Manager().dict", managed, unit=None),
        )
    ),
    Row("Lock acquire + release", LOCK_ALONE, "multiprocessing.Lock", 1, unit=None),
    Row("contended Lock, two processes", LOCK_CONTENDED, BEST_RIVAL, 1, unit="acquisitions"),
    Row("contended Lock, two processes", LOCK_CONTENDED, "multiprocessing.Lock", 1.4, unit="acquisitions"),
    *(
        row
        for what, group, beside in (
            ("Event round trip", EVENTS, "multiprocessing.Event"),
            ("Condition round trip", CONDITIONS, "multiprocessing.Condition"),
            ("Barrier passage", BARRIERS, "multiprocessing.Barrier"),
        )
        for row in (Row(what, group, beside, 3, unit=None), Row(what, group, "bare pipe", 1.2, unit=None))
    ),
    Row("Counter.add behind a server", ALONE, "Manager().Value", 1, ours=SERVED, unit=None),
    Row("Dict get behind a server", DICT_GET, "Manager().dict", 1, ours=SERVED, unit=None),
    Row("Lock behind a server", LOCK_ALONE, "Manager().Lock", 1, ours=SERVED, unit=None),
    Row("Queue behind a server, 100 bytes", ONE_TO_ONE, "Manager().Queue", 1, ours=SERVED),
    Row("Queue behind a server, 1 MB arrays", MEGABYTES, "Manager().Queue", 1, ours=SERVED, unit="arrays"),
    Row("Executor, empty calls by submit", CALLS, "ProcessPoolExecutor", 8, unit="calls"),
    Row("Executor, empty calls by submit", CALLS, "multiprocessing.Pool", 2.5, unit="calls"),
    Row("Executor, one call, p50", ONE_CALL, "ProcessPoolExecutor", 4, unit=None),
    Row("aget, woken from sleep, p50", WAKE_UP, BY_THREAD, 1, unit=None),
    Row("aget, answered at once, p50", ANSWER, BY_THREAD, 1, unit=None),
    *_hashes(),
]
