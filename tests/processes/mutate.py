"""Mutates segments and uses them, each in a child with a watchdog; run by test_corruption.py.

        mutate.py KIND WHEN COUNT SEED      prints one JSON line: counts of outcomes, and each fault with its mutations

WHEN is `before` (the file is changed before a process attaches) or `during` (it is changed while one is attached).
"""

import json
import mmap
import os
import random
import resource
import select
import signal
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sharedkit import segments, shm

WATCHDOG = 30.0
# A mutation must not make a process ask for more memory than use does. These limits turn that into an exception.
LARGEST_FILE = 8 << 20
ADDRESS_SPACE = 8 << 30
HEADER = 160  # bytes of sk_header
SEATS_AT, SEAT_BYTES = 256, 16
BODY_AT = 48  # offset in the header of the offset of the body


class Late(Exception):
    """A wait without a timeout was interrupted. This is no fault: the lock word may name a living process."""


def late(*_: object) -> None:
    raise Late


def patiently(call: Callable[[], object], seconds: float = 1.0) -> None:
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        call()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


# --- the structures, and everything that is done with them ------------------------------------------------


def make(kind: str, name: str) -> Any:
    if kind == "counter":
        return shm.Counter(5, name=name, seats=8)
    if kind == "striped":
        return shm.Counter(5, name=name, seats=8, striped=True)
    if kind == "group":
        return shm.Counters(["first", "second", "third"], name=name, seats=8)
    if kind == "array":
        return shm.Array((4, 5), "i8", name=name, seats=8)  # type: ignore[attr-defined]
    if kind == "value":
        return shm.Value("d", 1.5, name=name, seats=8)
    if kind == "set":
        return shm.Set([*range(40), "text", b"bytes", (1, "two"), "x" * 3000], name=name, seats=8)
    if kind == "dict":
        table = shm.Dict({i: str(i) * i for i in range(40)}, name=name, seats=8)
        table.update({"text": 1.5, b"bytes": 7, (1, "two"): [3], "long": bytes(3000), "rows": np.arange(9.0)})
        del table[3], table[30]
        return table
    if kind == "stream":
        stream = shm.Stream(slots=4, slot_bytes=200, max_readers=4, name=name, seats=8)
        for message in (1, "two", b"three", np.arange(6, dtype="i2").reshape(2, 3), [5], bytes(3000)):
            stream.put(message)
        return stream
    if kind == "frames":
        frames = shm.Stream((5, 7), "i4", slots=3, overflow="block", max_readers=4, name=name, seats=8)
        for i in range(5):
            frames.put(np.full((5, 7), i, "i4"))
        return frames
    queue: Any = shm.Queue(8 if kind == "bounded" else 0, name=name, seats=8)
    beside = {"rows": np.arange(40.0), "more": bytearray(b"more")}  # pickled with out-of-band buffers
    for item in (1, "two", b"three", np.arange(6, dtype="i2").reshape(2, 3), beside, [5], bytes(3000)):
        queue.put(item)
    return queue


def uses(kind: str, it: Any) -> Iterator[Callable[[], object]]:
    yield lambda: repr(it)
    yield it.statistics
    yield segments.live
    if kind in ("counter", "striped"):
        yield lambda: it.add(3)
        yield lambda: it.value
        yield lambda: it.exchange(7)
        yield lambda: it.reset()
    elif kind == "group":
        yield lambda: it.add("second", 3)
        yield it.as_dict
        yield lambda: it["third"].exchange(4)
    elif kind == "array":
        yield lambda: it.ndarray.sum()
        yield lambda: it.fetch_add((1, 1), 2)
        yield lambda: it.add_at(([0, 1], [1, 1]), 2)
        yield lambda: it.lock.acquire(timeout=0.02) and it.lock.release()
    elif kind == "value":
        yield lambda: it.value
        yield lambda: setattr(it, "value", 2)
        yield lambda: it.get_obj().value
        yield lambda: it.acquire(timeout=0.02) and it.release()
    elif kind == "set":
        yield lambda: len(it)
        for key in (0, 39, "text", b"bytes", (1, "two"), "missing"):
            yield lambda key=key: key in it
            yield lambda key=key: it.insert(key)
            yield lambda key=key: it.discard(key)
        yield lambda: it.update(range(30, 60))
        yield it.pop
        yield lambda: it | {1}
        yield it.clear
    elif kind == "dict":
        yield lambda: len(it)
        for key in (0, 7, 39, 3, "text", b"bytes", (1, "two"), "long", "rows", "missing"):
            yield lambda key=key: it.get(key)
            yield lambda key=key: key in it
        yield lambda: it.update({i: bytes(i) for i in range(30, 60)})
        yield lambda: it.add(b"bytes", 2)
        yield lambda: it.setdefault("new", "value")
        yield lambda: it.compare_exchange("text", 1.5, 2.5)
        yield lambda: it.pop("long", None)
        yield lambda: it.pop(5, None)
        yield lambda: dict(it.items())
        yield it.popitem
        yield lambda: it.update({i: bytes(200) for i in range(100, 300)})  # grows
        yield lambda: sorted(map(repr, it))
        yield it.clear
    elif kind in ("stream", "frames"):
        yield lambda: len(it)
        yield it.readers
        readers: list[Any] = []
        yield lambda: readers.extend([it.reader("oldest"), it.reader("latest")])
        message: Any = np.ones((5, 7), "i4") if kind == "frames" else bytes(40)
        for _ in range(3):
            yield lambda: it.put(message, timeout=0.02)
            yield lambda: [reader.get(timeout=0.01) for reader in readers]
        if kind == "frames":
            yield lambda: fill(it)
        else:
            yield lambda: it.put(bytes(5000), timeout=0.02)
        yield lambda: [reader.latest(timeout=0.01) for reader in readers]
        yield lambda: [look(reader) for reader in readers]
        yield lambda: [reader.lost for reader in readers]
        yield lambda: [it.put(message, timeout=0.02) for _ in range(50)]
        yield lambda: [list(zip(range(9), reader, strict=False)) for reader in readers if it.is_shutdown]
        yield lambda: [reader.close() for reader in readers]
        yield it.shutdown
    else:
        yield it.qsize
        for size in (1, 300, 40_000):
            yield lambda size=size: it.put(bytes(size), timeout=0.02)
        yield lambda: it.put_many([1, "x", bytes(500)], timeout=0.02)
        for _ in range(5):
            yield lambda: it.get(timeout=0.01)
        yield it.task_done
        yield lambda: it.get_many(timeout=0.02)
        yield lambda: it.get_many(3, block=False)
        yield lambda: patiently(it.join, 0.03)
        yield lambda: it.unfinished_tasks
        yield it.shutdown
    yield lambda: segments.attach(it.name)


def fill(stream: Any) -> None:
    with stream.write(timeout=0.02) as view:
        view[:] = 3


def look(reader: Any) -> None:
    with reader.read(timeout=0.01) as view:
        repr(view)


# --- mutations ---------------------------------------------------------------------------------------


def places(kind: str, raw: bytes) -> list[tuple[int, int]]:
    """The regions of the file to mutate, as pairs of offset and length."""
    (body,) = struct.unpack_from("<Q", raw, BODY_AT)
    assert SEATS_AT < body < len(raw)
    regions = [(0, HEADER), (SEATS_AT, 8 * SEAT_BYTES), (body, 128)]
    if kind in ("dict", "set"):
        (floor,) = struct.unpack_from("<Q", raw, BODY_AT + 8)  # param[0]
        assert body < floor < len(raw)
        regions += [(body + at, 40) for at in (0, 128, 256, 384)] * 2
        regions += [(floor, 2048), (floor, len(raw) - floor), (floor, len(raw) - floor)]
    if kind in ("stream", "frames"):
        (floor,) = struct.unpack_from("<Q", raw, BODY_AT + 8 + 8)  # param[1]
        assert body < floor < len(raw)
        regions += [(body + at, 56) for at in (0, 128, 256, 384)] * 2
        regions += [(body + 512, 256), (body + 512 + 4 * 128, floor - body - 1024)]
        regions += [(floor, 64), (floor, 2048), (floor, len(raw) - floor)] * 2
    if kind in ("queue", "bounded"):
        (floor,) = struct.unpack_from("<Q", raw, BODY_AT + 8 + 8)  # param[1]
        assert body < floor < len(raw)
        words = [(body + at, 16) for at in (0, 128, 256, 384, 512, 640, 768)]
        regions += words * 2 + [(body, 896), (floor, 16), (floor, 256)] + [(floor, 1024), (floor, 4096)] * 4
    return regions


def mutate(raw: "mmap.mmap", at: int, length: int, rng: random.Random) -> str:
    form = rng.choice(["bit", "bit", "byte", "word", "zero", "ones", "more", "other"])
    size = {"bit": 1, "byte": 1}.get(form, 8)
    at += rng.randrange(max(length - size + 1, 1)) if size == 1 else rng.randrange(0, max(length - 7, 1), 8)
    before = int.from_bytes(raw[at : at + size], "little")
    after = {
        "bit": before ^ 1 << rng.randrange(8),
        "byte": rng.randrange(256),
        "word": rng.getrandbits(64),
        "zero": 0,
        "ones": 2 ** (8 * size) - 1,
        "more": before + rng.choice([-(1 << 32), -16, -1, 1, 15, 16, 4096, 1 << 31, 1 << 32]),
        "other": before ^ 1 << rng.randrange(64),
    }[form] % (1 << 8 * size)
    raw[at : at + size] = after.to_bytes(size, "little")
    return f"{form} at {at}: {before:#x} -> {after:#x}"


def child(kind: str, when: str, seed: int, told: int) -> None:
    rng = random.Random(seed)
    signal.signal(signal.SIGALRM, late)
    name = f"mutated-{os.getpid()}"
    it = make(kind, name)
    path = Path("/dev/shm") / segments.shared_memory_name(name)
    with path.open("r+b") as file:
        raw = mmap.mmap(file.fileno(), 0)
    try:
        regions = places(kind, raw[:])
        hits = [mutate(raw, *rng.choice(regions), rng) for _ in range(rng.choice([1, 1, 1, 2, 4]))]
        os.write(told, json.dumps(hits).encode() + b"\n")
        outcomes: Counter[str] = Counter()
        if when == "before":
            # Attach anew, as another process would; the handle that this process had is not used any more.
            segments._named.clear()
            try:
                it = segments.attach(name)
            except Exception as why:
                outcomes[type(why).__name__] += 1
                it = None
        for use in uses(kind, it) if it is not None else ():
            try:
                patiently(use)
                outcomes["worked"] += 1
            except Exception as why:
                outcomes[type(why).__name__] += 1
        os.write(told, json.dumps(outcomes).encode())
    finally:
        path.unlink(missing_ok=True)


def one(kind: str, when: str, seed: int) -> tuple[list[str], dict[str, int] | str]:
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, LARGEST_FILE))
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
        status = 1
        try:
            child(kind, when, seed, tell)
            status = 0
        finally:
            os._exit(status)
    os.close(tell)
    said, deadline = b"", time.monotonic() + WATCHDOG
    hung = False
    while not hung:
        ready, _, _ = select.select([told], [], [], max(deadline - time.monotonic(), 0))
        more = os.read(told, 65536) if ready else b""
        said += more
        hung = not ready
        if ready and not more:
            break
    if hung:
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    os.close(told)
    (Path("/dev/shm") / segments.shared_memory_name(f"mutated-{pid}")).unlink(missing_ok=True)
    hits, _, outcomes = said.partition(b"\n")
    done = json.loads(hits or b"[]")
    if hung:
        return done, "hung"
    if status != 0:
        return done, f"killed by signal {status}" if os.WIFSIGNALED(status) else f"ended with {status}"
    return done, json.loads(outcomes)


def main(kind: str, when: str, count: int, seed: int) -> None:
    outcomes: Counter[str] = Counter()
    faults: list[dict[str, object]] = []
    for i in range(count):
        hits, outcome = one(kind, when, seed * 1_000_003 + i)
        if isinstance(outcome, str):
            faults.append({"seed": seed * 1_000_003 + i, "hits": hits, "fault": outcome})
        else:
            outcomes.update(outcome)
    print(json.dumps({"outcomes": outcomes, "faults": faults}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
