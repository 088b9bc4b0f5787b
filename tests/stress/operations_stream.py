"""Operations of the stream: put, fill in place, read, look, come and go; a reader that lives sees what is left."""

from __future__ import annotations

import contextlib
import time
from queue import Empty, Full
from typing import Any

import numpy as np
from stress.operations import STUCK_AFTER, Operation, Outcome, Stuck, fresh_name, judge, key, newcomer, path_of, payload

from sharedkit import shm as sk
from sharedkit.errors import ShutDown


class StreamOperation(Operation):
    """An operation on a stream that has `before`. A reader of the arena, the witness, reads everything; the survivors
    put three more messages, then more, and the stream must not have grown for good."""

    overflow = "block"
    slots = 8
    shape: tuple[int, ...] | None = None
    read_before = False  # the witness has read `before` when the victim dies

    def __init__(self) -> None:
        self.name = fresh_name()
        self.before: list[Any] = [self.message(f"old{i}") for i in range(3)]
        self.mine: list[Any] = []
        self.stream: Any = None
        self.witness: Any = None

    def message(self, tag: str, size: int = 96) -> Any:
        body = payload(tag.rjust(7), size)
        return body if self.shape is None else np.frombuffer(body[: 8 * (size // 8)], "f8").copy()

    @property
    def watched(self) -> str | None:
        return self.name

    def prepare(self) -> None:
        dtype = None if self.shape is None else "f8"
        self.stream = sk.Stream(self.shape, dtype, slots=self.slots, overflow=self.overflow, name=self.name)
        self.witness = self.stream.reader()
        for message in self.before:
            self.stream.put(message)
        if self.read_before:
            for _ in self.before:
                self.witness.get_nowait()

    def survive(self, k: int) -> Outcome:
        began = time.perf_counter()
        other = newcomer(sk.Stream, self.name)
        first, second = (self.stream, other) if k % 2 else (other, self.stream)
        new = [self.message(f"new{i}") for i in range(3)]
        seen: list[Any] = []
        try:
            for i, message in enumerate(new):
                if self.stream.published - self.witness.position >= self.slots:
                    seen.append(self.witness.get(timeout=STUCK_AFTER))
                (first if i % 2 else second).put(message, timeout=STUCK_AFTER)
            recovery = (time.perf_counter() - began) * 1e3
            while len(self.witness):
                seen.append(self.witness.get(timeout=STUCK_AFTER))
            outcome = judge(seen, [] if self.read_before else self.before, self.mine, new, 0)
            outcome.recovery_ms = recovery
            outcome.lost += self.witness.lost
            self._go_on(first, outcome)
        except (Empty, Full) as why:
            raise Stuck(type(why).__name__) from why
        del first, second, other
        return outcome

    def _go_on(self, stream: Any, outcome: Outcome) -> None:
        """Put and read many more messages: no slot is lost, and surplus slots are given back."""
        for i in range(200):
            message = self.message(f"more{i}")
            stream.put(message, timeout=STUCK_AFTER)
            got = self.witness.get(timeout=STUCK_AFTER)
            outcome.torn += key(got) != key(message)
        stride = 2048 if self.shape is None else 192
        if stream.statistics().capacity_bytes > (self.slots + 20) * stride:
            outcome.left += 1

    def finish(self) -> int:
        if self.witness is not None:
            self.witness.close()
        if self.stream is not None:
            self.stream.close()
            self.stream = self.witness = None
        return int(path_of(self.name).exists())


class Put(StreamOperation):
    commits_once = True

    def __init__(self) -> None:
        super().__init__()
        self.mine = [self.message("mine")]

    def act(self) -> None:
        self.stream.put(self.mine[0])


class PutArray(Put):
    shape = (12,)


class PutSpilling(Put):
    """The message is a chain of slots, for which the file grows; it is claimed, filled and published in three steps."""

    def __init__(self) -> None:
        super().__init__()
        self.mine = [self.message("mine", 40_000)]


class PutOverwriting(Put):
    """The stream is full: the oldest message is retired, and its slot reclaimed."""

    overflow = "overwrite"
    slots = 3
    read_before = True
    shape = (12,)


class PutWaiting(Put):
    """A stream that blocks is full: look for the slowest reader, spin, set the waiting bit, park, give up."""

    commits_once = False
    slots = 3

    def act(self) -> None:
        with contextlib.suppress(Full):
            self.stream.put(self.mine[0], timeout=0.002)


class Fill(Put):
    """The victim fills a slot in place."""

    shape = (12,)

    def act(self) -> None:
        with self.stream.write() as view:
            view[:] = self.mine[0]


class Abandon(StreamOperation):
    """The victim fills a slot in place, and its block ends with an exception."""

    shape = (12,)

    def act(self) -> None:
        with contextlib.suppress(KeyError), self.stream.write() as view:
            view[:] = 1
            raise KeyError


class Reading(StreamOperation):
    """The victim has a reader."""

    reader: Any = None
    start = "oldest"

    def enter(self) -> None:
        super().enter()
        self.reader = self.stream.reader(self.start)


class Get(Reading):
    def act(self) -> None:
        self.reader.get()


class GetSpilled(Get):
    def __init__(self) -> None:
        super().__init__()
        self.before = [self.message("old", 9_000)]


class GetWaiting(Reading):
    start = "next"

    def act(self) -> None:
        with contextlib.suppress(Empty):
            self.reader.get(timeout=0.002)


class Look(Reading):
    """The victim looks at a message that is pinned, and goes on."""

    shape = (12,)

    def act(self) -> None:
        with self.reader.read() as view:
            view.sum()
        with self.reader.read() as view:
            view.sum()


class Latest(Reading):
    shape = (12,)

    def act(self) -> None:
        self.reader.latest()


class Enrol(StreamOperation):
    """The victim becomes a reader, and ends as one."""

    def act(self) -> None:
        reader = self.stream.reader("oldest")
        reader.close()


class Shutdown(StreamOperation):
    """After the death the stream is open, or has ended for everyone."""

    def act(self) -> None:
        self.stream.shutdown()

    def survive(self, k: int) -> Outcome:
        try:
            return super().survive(k)
        except ShutDown:
            got = [self.witness.get(timeout=STUCK_AFTER) for _ in self.before]
            outcome = judge(got, self.before, [], [], 0)
            outcome.committed = 1
            outcome.lost += not self.stream.is_shutdown
            return outcome


STREAMS: dict[str, type[Operation]] = {
    "Stream.put": Put,
    "Stream.put an array": PutArray,
    "Stream.put, spilling": PutSpilling,
    "Stream.put, overwriting": PutOverwriting,
    "Stream.put, waiting": PutWaiting,
    "Stream.write": Fill,
    "Stream.write, abandoned": Abandon,
    "StreamReader.get": Get,
    "StreamReader.get, spilled": GetSpilled,
    "StreamReader.get, waiting": GetWaiting,
    "StreamReader.read": Look,
    "StreamReader.latest": Latest,
    "Stream.reader": Enrol,
    "Stream.shutdown": Shutdown,
}
