"""Segments with foreign bytes, and files that are no segments: an exception or work, never a fault or a hang."""

import asyncio
import json
import os
import random
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sharedkit import errors, segments, shm

MUTATE = Path(__file__).parent / "mutate.py"
KINDS = ["counter", "striped", "group", "queue", "bounded", "array", "dict", "set", "value", "stream", "frames"]
WATCHDOG = 1800
MAGIC, LAYOUT = 0, 8  # offsets in the header
KIND, META_LEN, META_CHECK, CHECK = 12, 40, 112, 152

# The legal outcomes with a mutated segment: those that the structure always may have; the errors that say that it is
# corrupt; and, since payloads have no checksums, any error of decoding changed bytes. Late: see mutate.py.
HONEST = {
    "worked", "Late", "Empty", "Full", "ShutDown", "OverflowError", "ValueError", "KeyError", "CorruptSegmentError",
    "LayoutError", "SeatsExhausted", "FileNotFoundError", "UnicodeDecodeError", "UnpicklingError", "EOFError",
    "TypeError", "AttributeError", "ModuleNotFoundError", "MemoryError",
    "RuntimeError",  # a stream whose rows look taken has as many readers as it can have
}  # fmt: skip


def mutations(kind: str, when: str, count: int, seed: int) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(MUTATE), kind, when, str(count), str(seed)],
        capture_output=True, text=True, timeout=WATCHDOG,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def judge(told: dict[str, Any]) -> None:
    assert told["faults"] == []
    assert set(told["outcomes"]) <= HONEST
    assert told["outcomes"].get("worked", 0) > 0  # some mutations hit bytes that are never read


@pytest.mark.parametrize("when", ["before", "during"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_mutated_segment_works_or_refuses_but_never_faults_or_hangs(kind: str, when: str) -> None:
    told = mutations(kind, when, 40, seed=1)
    judge(told)
    if when == "before":
        assert told["outcomes"].get("CorruptSegmentError", 0) > 0


@pytest.mark.stress
@pytest.mark.parametrize("when", ["before", "during"])
@pytest.mark.parametrize("kind", KINDS)
def test_many_mutated_segments_work_or_refuse(kind: str, when: str) -> None:
    for seed in range(2, 7):
        judge(mutations(kind, when, 300, seed))


# --- files that are no segments of sharedkit, or not sound ones --------------------------------------------


def fnv(of: bytes) -> int:
    total = 0xCBF29CE484222325
    for each in of:
        total = (total ^ each) * 0x100000001B3 % (1 << 64)
    return total


def signed(raw: bytearray) -> bytearray:
    """Make the checksums of the header right again, as a program that knows the format could."""
    meta, meta_len = struct.unpack_from("<2Q", raw, META_LEN - 8)
    struct.pack_into("<Q", raw, META_CHECK, fnv(bytes(raw[meta : meta + meta_len])))
    struct.pack_into("<Q", raw, CHECK, fnv(bytes(raw[LAYOUT:CHECK])))
    return raw


def changed(offset: int, form: str, value: int) -> Callable[[bytearray], bytearray]:
    def change(raw: bytearray) -> bytearray:
        struct.pack_into(form, raw, offset, value)
        return signed(raw)

    return change


FOREIGN: dict[str, Callable[[bytearray], bytes | bytearray]] = {
    "empty": lambda raw: b"",
    "one byte": lambda raw: raw[:1],
    "half a header": lambda raw: raw[:60],
    "a header and no more": lambda raw: raw[:168],
    "less than a page": lambda raw: raw[:4000],
    "a page of a longer one": lambda raw: raw[:4096],
    "zeros": lambda raw: bytes(len(raw)),
    "noise": lambda raw: random.Random(1).randbytes(len(raw)),
    "text": lambda raw: b"this is not a segment\n" * 1000,
    "no magic": lambda raw: bytes(8) + raw[8:],
    "another magic": lambda raw: b"SHREDKT9" + raw[8:],
    "another layout": changed(LAYOUT, "<I", 99),
    "an unknown kind": changed(KIND, "<I", 4000),
    "no seats": changed(20, "<I", 0),
    "very many seats": changed(20, "<I", 0xFFFFFFFF),
    "longer than the file": changed(24, "<Q", 1 << 39),
    "a description beyond the end": changed(META_LEN, "<Q", 1 << 30),
    "a body beyond the end": changed(48, "<Q", 1 << 39),
    "a body in the seat table": changed(48, "<Q", 256),
    "bad check sum": lambda raw: raw[:CHECK] + bytes(8) + raw[CHECK + 8 :],
}


@pytest.fixture
def name() -> Iterator[str]:
    told = f"foreign-{os.getpid()}"
    yield told
    path_of(told).unlink(missing_ok=True)


def path_of(name: str) -> Path:
    return Path("/dev/shm") / segments.shared_memory_name(name)


def sound() -> bytearray:
    with shm.Queue[int](name=f"sound-{os.getpid()}") as queue:
        queue.put(1)
        return bytearray(path_of(queue.name).read_bytes())


@pytest.mark.parametrize("what", FOREIGN)
def test_a_file_that_is_no_sound_segment_is_refused_and_left_alone(what: str, name: str) -> None:
    raw = bytes(FOREIGN[what](sound()))
    path_of(name).write_bytes(raw)
    with pytest.raises((errors.CorruptSegmentError, FileNotFoundError)) as why:
        segments.attach(name)
    assert str(path_of(name)) in str(why.value) or name in str(why.value)
    if isinstance(why.value, FileNotFoundError):  # the file looks like a sound segment that no process has open
        assert what == "an unknown kind"
        return
    with pytest.raises((errors.CorruptSegmentError, FileExistsError)):
        shm.Counter(name=name)
    with pytest.raises(errors.CorruptSegmentError):
        shm.Counter(name=name, exist_ok=True)
    assert path_of(name).read_bytes() == raw
    assert name in {each.name for each in segments.live()}
    segments.remove(name, force=True)
    assert not path_of(name).exists()


def test_a_sound_segment_of_another_kind_is_refused_by_the_constructors(name: str) -> None:
    with shm.Counter(name=name):
        with pytest.raises(ValueError, match="is a Counter, not a Queue"):
            shm.Queue(name=name, exist_ok=True)
        with pytest.raises(FileExistsError):
            shm.Queue(name=name)
        assert isinstance(segments.attach(name), shm.Counter)


def test_a_kind_that_the_body_cannot_hold_is_refused(name: str) -> None:
    raw = sound()
    with shm.Counter(name=f"small-{os.getpid()}", persist=True) as counter:
        small = bytearray(path_of(counter.name).read_bytes())
        counter.unlink()
    small[KIND : KIND + 4] = raw[KIND : KIND + 4]  # says that it is a queue
    path_of(name).write_bytes(signed(small))
    with pytest.raises(errors.CorruptSegmentError):
        segments.attach(name)


def test_paths_that_are_not_files_are_refused(name: str) -> None:
    path = path_of(name)
    os.mkfifo(path)
    with pytest.raises((errors.CorruptSegmentError, OSError)):
        segments.attach(name)
    path.unlink()
    path.symlink_to("/etc/hostname")
    with pytest.raises((errors.CorruptSegmentError, OSError)):
        segments.attach(name)
    path.unlink()
    path.mkdir()
    with pytest.raises((errors.CorruptSegmentError, OSError)):
        segments.attach(name)
    assert segments.live() is not None
    path.rmdir()


def test_a_file_of_an_absurd_length_is_refused(name: str) -> None:
    with path_of(name).open("wb") as file:
        file.write(bytes(sound()))
        file.truncate(1 << 42)
    with pytest.raises((errors.CorruptSegmentError, FileNotFoundError)):
        segments.attach(name)


# --- the name in the errors ---------------------------------------------------------------------------------

KEY, WORD = 0x2122334455667788, 0x1122334455667788


def bytes_before(word: int, raw: bytes, back: int) -> int:
    """The offset `back` bytes before the only place of the word."""
    told = word.to_bytes(8, sys.byteorder)
    assert raw.count(told) == 1
    return raw.index(told) - back


def damage_the_kind_of_an_item(name: str) -> None:
    with path_of(name).open("r+b") as file:
        at = bytes_before(WORD, file.read(), 8)  # the head of its record: payload, kind << 40, check << 48
        head = 8 | 200 << 40
        check = (head ^ 0xA5A5A5A5A5A5A5A5) * 0x9E3779B97F4A7C15 >> 48 & 0xFFFF
        file.seek(at)
        file.write((head | check << 48).to_bytes(8, sys.byteorder))


def damage_a_kind_of_an_entry(name: str, byte: int) -> None:
    with path_of(name).open("r+b") as file:
        file.seek(bytes_before(KEY, file.read(), 16 - byte))  # the entry's word of the key: its kind, the value's kind
        file.write(b"\xc8")


def get_an_item(name: str, take: Callable[[shm.Queue[int]], object]) -> None:
    with shm.Queue[int](name=name) as queue:
        queue.put(WORD)
        damage_the_kind_of_an_item(name)
        take(queue)


def read_an_entry(name: str, byte: int, read: Callable[[shm.Dict[int, int]], object]) -> None:
    with shm.Dict[int, int](name=name) as table:
        table[KEY] = WORD
        damage_a_kind_of_an_entry(name, byte)
        read(table)


def attach_a_cut_one(name: str) -> None:
    path_of(name).write_bytes(bytes(sound()[:4096]))
    segments.attach(name)


def attach_one_of_a_body_too_small(name: str) -> None:
    with shm.Counter(name=name, persist=True):
        small = bytearray(path_of(name).read_bytes())
    path_of(name).unlink()
    small[KIND : KIND + 4] = sound()[KIND : KIND + 4]
    path_of(name).write_bytes(signed(small))
    segments.attach(name)


CONTRADICTIONS: dict[str, Callable[[str], None]] = {
    "an item": lambda name: get_an_item(name, lambda queue: queue.get()),
    "an item, from a loop": lambda name: get_an_item(name, lambda queue: asyncio.run(queue.aget())),
    "items": lambda name: get_an_item(name, lambda queue: queue.get_many()),
    "a value": lambda name: read_an_entry(name, 7, lambda table: table[KEY]),
    "values": lambda name: read_an_entry(name, 7, lambda table: list(table.values())),
    "keys": lambda name: read_an_entry(name, 6, lambda table: list(table)),
    "a cut file": attach_a_cut_one,
    "a body": attach_one_of_a_body_too_small,
}


@pytest.mark.parametrize("what", CONTRADICTIONS)
def test_the_error_of_damaged_contents_says_the_command_that_removes_the_segment(what: str) -> None:
    name = f"foreign odd {os.getpid()}"
    try:
        with pytest.raises(errors.CorruptSegmentError, match=f"remove it with `sharedkit rm --force '{name}'`$"):
            CONTRADICTIONS[what](name)
    finally:
        path_of(name).unlink(missing_ok=True)
