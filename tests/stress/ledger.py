"""The records of killed processes: words in memory that the processes share with the harness.

A producer counts its puts before each (begun) and after each (done), by aligned 64-bit stores, so a SIGKILL leaves the
old or the new number. A consumer appends each item to its own log and then counts it.
"""

from __future__ import annotations

import mmap
import zlib

import numpy as np
import numpy.typing as npt

LOG_ROOM = 1 << 17  # a consumer ends by itself after this many items
SLOTS = 4
_HEAD = 24  # bytes of producer, serial number and length; the body and the checksum follow
TORN = -1

Words = npt.NDArray[np.int64]


def shared_words(n: int) -> Words:
    """n zeroed 64-bit words, shared with every process forked from here on."""
    return np.frombuffer(mmap.mmap(-1, 8 * n), np.int64)


class Ledger:
    """Words of the running processes, by slot; the process that replaces a killed one gets the same slot."""

    def __init__(self) -> None:
        self.begun = shared_words(SLOTS)
        self.done = shared_words(SLOTS)
        self.taken = shared_words(SLOTS)
        self.logs = [shared_words(LOG_ROOM) for _ in range(SLOTS)]
        self.stop = shared_words(2)  # for producers, for consumers

    def clear(self, slot: int) -> None:
        self.begun[slot] = self.done[slot] = self.taken[slot] = 0

    def log(self, slot: int, entry: int) -> None:
        at = int(self.taken[slot])
        self.logs[slot][at] = entry
        self.taken[slot] = at + 1

    def read(self, slot: int) -> Words:
        return self.logs[slot][: int(self.taken[slot])].copy()


_noise = np.random.default_rng(7).bytes(1 << 18)


def make_item(producer: int, serial: int, size: int) -> bytes:
    """An item of about `size` bytes with its producer and serial number, and a checksum."""
    start = (producer * 7919 + serial * 31) % (len(_noise) // 2)
    head = producer.to_bytes(8, "little") + serial.to_bytes(8, "little") + size.to_bytes(8, "little")
    body = head + _noise[start : start + size]
    return body + zlib.crc32(body).to_bytes(4, "little")


def check_item(item: bytes) -> int:
    """The producer and serial number of an item as one log entry; TORN if it is not an item that was put."""
    body, check = item[:-4], item[-4:]
    if len(item) < _HEAD + 4 or zlib.crc32(body).to_bytes(4, "little") != check:
        return TORN
    producer, serial, size = (int.from_bytes(body[i : i + 8], "little") for i in (0, 8, 16))
    if len(body) != _HEAD + size:
        return TORN
    return producer << 32 | serial
