"""Queues: single items, two by two, batches, round trips, objects and large arrays."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.race import Entrant, field_of, group
from benchmarks.rivals.cloudtoid import Cloudtoid, CloudtoidArrays
from benchmarks.rivals.faster_fifo import FasterFifo
from benchmarks.rivals.ours import OurLeases, OurQueue
from benchmarks.rivals.ours_served import ServedQueue
from benchmarks.rivals.pyzmq import Pyzmq
from benchmarks.rivals.rival import QueueRival, Traffic
from benchmarks.rivals.standard_library import ManagerQueue, Pipe, Queue, QueueOfLists, SimpleQueue
from benchmarks.rivals.subetha import SubethaFrames, SubethaSpsc
from benchmarks.rivals.tachyon import Tachyon
from benchmarks.rivals.zeroq import Zeroq
from benchmarks.workloads.arrays import ArrayCopies, Arrays, Memcpy
from benchmarks.workloads.batching import Batching
from benchmarks.workloads.cargo import Bytes, Objects
from benchmarks.workloads.round_trips import RoundTrips
from benchmarks.workloads.streaming import Streaming

QUEUES: list[QueueRival] = [
    OurQueue(),
    ServedQueue(),
    Zeroq(),
    Cloudtoid(),
    CloudtoidArrays(),
    SubethaSpsc(),
    SubethaFrames(),
    Tachyon(),
    Pyzmq(),
    FasterFifo(),
    Pipe(),
    SimpleQueue(),
    Queue(),
    QueueOfLists(),
    ManagerQueue(),
]
SINGLE = [queue for queue in QUEUES if not isinstance(queue, QueueOfLists)]

ONE = Traffic("bytes", 100)
TWO = Traffic("bytes", 100, producers=2, consumers=2)
DICTS = Traffic("objects", 150)
ARRAYS = Traffic("arrays", 1_000_000)
SMALL = Traffic("bytes", 64)

Race = Callable[[Entrant], None]


@group("queue: 100-byte items, 1 to 1")
@field_of(lambda queue: Streaming(queue, ONE, Bytes(100)), [OurLeases(), *(q for q in SINGLE if q.suits(ONE))])
def test_100_byte_items_one_to_one(entrant: Entrant, race: Race) -> None:
    race(entrant)


@group("queue: 100-byte items, 2 to 2")
@field_of(lambda queue: Streaming(queue, TWO, Bytes(100)), [q for q in SINGLE if q.suits(TWO)])
def test_100_byte_items_two_to_two(entrant: Entrant, race: Race) -> None:
    race(entrant)


@group("queue: small dicts, 1 to 1")
@field_of(lambda queue: Streaming(queue, DICTS, Objects()), [q for q in SINGLE if q.suits(DICTS)])
def test_small_dicts_one_to_one(entrant: Entrant, race: Race) -> None:
    race(entrant)


@group("queue: 64-byte items in batches of 100, 1 to 1")
@field_of(lambda queue: Batching(queue, 64, 100), [q for q in QUEUES if q.suits(SMALL, batches=True)])
def test_batches_of_64_byte_items(entrant: Entrant, race: Race) -> None:
    race(entrant)


@group("queue: round trip of 64 bytes through two queues")
@field_of(lambda queue: RoundTrips(queue, 64), [q for q in SINGLE if q.suits(SMALL)])
def test_round_trip_through_two_queues(entrant: Entrant, race: Race) -> None:
    race(entrant)


@group("queue: 1 MB arrays, 1 to 1")
@field_of(
    lambda rival: Arrays(rival) if isinstance(rival, QueueRival) else ArrayCopies(rival),
    [Memcpy(), *(q for q in SINGLE if q.suits(ARRAYS))],
)
def test_megabyte_arrays_one_to_one(entrant: Entrant, race: Race) -> None:
    race(entrant)
