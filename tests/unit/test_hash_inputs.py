"""Every kind of input is hashed as its one-line definition says."""

import array
import gc
import hashlib
import mmap
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sharedkit.hashing import hash_file, hash_many, hash_spans

TEXTS = ["", "a", "ascii", "grüße", "мир", "日本語", "😀 mixed ü", "long " * 50, "x" * 15, "\0inside"]


def sha(messages: Iterable[Any]) -> list[bytes]:
    return [hashlib.sha256(m).digest() for m in messages]


def ours(items: Any) -> Any:
    return hash_many(items, "sha256", form="bytes")


@pytest.mark.parametrize("kind", [list, tuple, iter])
def test_bytes_in_any_iterable(kind: Any) -> None:
    messages = [b"", b"one", b"two" * 100]
    assert ours(kind(messages)) == sha(messages)


def test_every_bytes_like_object_by_its_bytes() -> None:
    square = np.arange(12, dtype="i4").reshape(3, 4)
    items = [bytearray(b"ab"), memoryview(b"cdefgh")[::2], array.array("d", [1.5, 2]), square, square.T, np.int64(7)]
    items += [bytearray(b"many %d" % i) for i in range(200)]
    assert ours(items) == sha(memoryview(item).tobytes() for item in items)


def test_text_by_its_utf8_in_lists_and_every_string_array() -> None:
    expected = sha(text.encode() for text in TEXTS)
    assert ours(TEXTS) == expected
    assert ours(np.array(TEXTS, dtype=object)) == expected
    assert ours(np.array(TEXTS)) == expected
    assert ours(np.array(TEXTS).astype(">U300")) == expected


@pytest.mark.skipif(not hasattr(np, "dtypes") or not hasattr(np.dtypes, "StringDType"), reason="needs NumPy 2")
def test_string_dtype_by_contents_never_by_descriptor() -> None:
    texts = np.array([*TEXTS, "a long text that lies outside of the array" * 3], dtype=np.dtypes.StringDType())
    assert ours(texts) == sha(str(text).encode() for text in texts)
    assert ours(texts[::-2]) == sha(str(text).encode() for text in texts[::-2])
    texts[0] = "the array is not left locked"


def test_bytes_arrays_without_the_nuls_at_the_end() -> None:
    items = np.array([b"abc", b"", b"a\0b", b"longer one"])
    assert ours(items) == sha(bytes(item) for item in items)
    assert ours(items[::-1]) == sha(bytes(item) for item in items[::-1])


def test_long_columns_of_bytes_whether_full_or_with_nuls_at_some_ends() -> None:
    full = np.array([b"%016d" % i for i in range(5000)], "S16")
    mixed = full.copy()
    mixed[1024], mixed[3000], mixed[4999] = b"short", b"", b"inside\0too"
    for column in (full, mixed, full[::-1], mixed[::-2], np.array([b"", b""], "S1")):
        items = [bytes(item) for item in column]
        assert hash_many(column, "xxh3_64").tolist() == hash_many(items, "xxh3_64").tolist()
        assert ours(column) == sha(items)


@pytest.mark.parametrize("dtype", ["?", "i1", "u1", "i2", "u4", "i8", "u8", "f2", "f4", "f8", "c16", "M8[ns]", "m8[s]"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_numbers_by_their_little_endian_bytes(dtype: str, order: str) -> None:
    column = np.arange(-50, 50).astype("i8").astype(dtype)
    little = column.astype(column.dtype.newbyteorder("<"))
    given = column.astype(column.dtype.newbyteorder(order))
    assert ours(given) == sha(item.tobytes() for item in little)
    assert ours(given[::-3]) == sha(item.tobytes() for item in little[::-3])
    assert hash_many(given, "xxh3_64").tolist() == hash_many([i.tobytes() for i in little], "xxh3_64").tolist()


def test_rows_of_a_two_dimensional_byte_array() -> None:
    rows = np.random.default_rng(1).integers(0, 256, (50, 37), dtype="u1")
    assert ours(rows) == sha(row.tobytes() for row in rows)
    assert ours(rows[::2]) == sha(row.tobytes() for row in rows[::2])
    assert ours(rows.T) == sha(row.tobytes() for row in rows.T)


def test_void_items_and_empty_widths() -> None:
    items = np.array([b"0123456789abcdef", b"fedcba9876543210"], dtype="V16")
    assert ours(items) == sha(item.tobytes() for item in items)
    assert ours(np.array(["", ""])) == sha([b"", b""])


@pytest.mark.parametrize(
    "empty", [[], (), np.empty(0), np.empty((0, 4), "u1"), np.array([], "U5"), np.array([], object)]
)
def test_no_items_give_no_digests(empty: Any) -> None:
    assert hash_many(empty, "sha384").shape == (0, 48)
    assert hash_many(empty, "xxh3_64").shape == (0,)


def test_a_broadcast_array_repeats_its_item() -> None:
    assert ours(np.broadcast_to(np.int32(9), 5)) == sha([np.int32(9).tobytes()] * 5)


def test_the_buffer_protocol_is_seen_as_numpy_sees_it() -> None:
    numbers = array.array("d", [1.0, 2.5, -3.0])
    assert ours(numbers) == sha(np.float64(x).tobytes() for x in numbers)


@pytest.mark.parametrize("kind", ["string", "large_string", "string_view", "binary", "large_binary", "binary_view"])
def test_arrow_text_and_binary_by_their_contents(kind: str) -> None:
    pa = pytest.importorskip("pyarrow")
    items = [t if "string" in kind else t.encode() for t in TEXTS]
    expected = sha(t.encode() for t in TEXTS)
    column = pa.array(items, getattr(pa, kind)())
    assert ours(column) == expected
    assert ours(column[3:7]) == expected[3:7]
    chunked = pa.chunked_array([column, column[2:5], column[:0]])
    assert ours(chunked) == expected + expected[2:5]


def test_arrow_numbers_and_fixed_binary() -> None:
    pa = pytest.importorskip("pyarrow")
    numbers = np.arange(100, dtype="i8")
    assert ours(pa.array(numbers)[10:]) == ours(numbers[10:])
    assert ours(pa.array([b"abcd", b"efgh"], pa.binary(4))) == sha([b"abcd", b"efgh"])


def test_arrow_nulls_and_nested_types_are_refused() -> None:
    pa = pytest.importorskip("pyarrow")
    with pytest.raises(TypeError, match="item 9 is null"):
        ours(pa.array(["x"] * 9 + [None]))
    with pytest.raises(TypeError, match="item 13 is null"):
        ours(pa.chunked_array([pa.array(["x"] * 10), pa.array(["x", "y", "z", None])]))
    for column in (pa.array([[1], [2]]), pa.array([True]), pa.array([True]).dictionary_encode()):
        with pytest.raises(TypeError, match="no bytes to hash"):
            ours(column)


def test_polars_series_come_as_arrow_streams() -> None:
    polars = pytest.importorskip("polars")
    assert ours(polars.Series(TEXTS)) == sha(text.encode() for text in TEXTS)


def test_spans_of_one_buffer(tmp_path: Path) -> None:
    lines = [b"first\n", b"\n", b"a longer third line\n", b"last without end"]
    path = tmp_path / "lines"
    path.write_bytes(b"".join(lines))
    ends = np.cumsum([0] + [len(line) for line in lines])
    pairs = np.stack([ends[:-1], ends[1:]], axis=1)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert hash_spans(mapped, ends, "sha256", form="bytes") == sha(lines)
        assert hash_spans(mapped, pairs[::-1], "sha256", form="bytes") == sha(lines[::-1])
        assert hash_spans(mapped, ends.astype("u4").tolist(), "sha256", form="bytes") == sha(lines)
    assert hash_spans(b"", [0], "sha256").shape == (0, 32)


@pytest.mark.parametrize(
    ("offsets", "words"),
    [
        ([0, 3, 2], "span 1 runs from 3 to 2"),
        ([0, 11], "span 0 runs from 0 to 11 in a buffer of 10 bytes"),
        ([-1, 2], "span 0 runs from -1 to 2"),
        ([[0, 1], [5, 4]], "span 1 runs from 5 to 4"),
        ([[0, 1, 2]], "shape"),
        ([], "is empty"),
        ([2**64 - 1, 2], "past the end"),
    ],
)
def test_offsets_that_leave_the_buffer_are_refused(offsets: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        hash_spans(b"0123456789", np.array(offsets, "u8") if 2**64 - 1 in offsets else offsets, "sha256")
    with pytest.raises(TypeError, match="integers"):
        hash_spans(b"0123456789", [0.5, 1], "sha256")


def test_no_reference_to_an_item_is_kept() -> None:
    items: list[Any] = [bytes([i]) * 40 for i in range(50)] + ["ü" * 30, bytearray(5), memoryview(b"abc")]
    before = [sys.getrefcount(item) for item in items]
    for _ in range(5):
        hash_many(items, "sha256")
        with pytest.raises(TypeError):
            hash_many([*items, 5], "sha256")
    gc.collect()
    assert [sys.getrefcount(item) for item in items] == before
    items[-2].append(1)


def test_a_list_changed_by_another_thread_during_the_batch_harms_nothing() -> None:
    expected = sha(b"%d" % i * 500 for i in range(300))
    stop = threading.Event()
    items: list[bytes] = []

    def change() -> None:
        while not stop.is_set():
            items.clear()
            items.extend(b"%d" % i * 500 for i in range(300))

    thread = threading.Thread(target=change, daemon=True)
    thread.start()
    try:
        for _ in range(200):
            digests = ours(items)
            assert digests == expected[: len(digests)]
    finally:
        stop.set()
        thread.join(20)
    assert not thread.is_alive()


def test_the_gil_is_released_while_a_batch_is_hashed() -> None:
    """Automatic thread switches are off, so another thread can only run if the call itself releases the GIL."""
    data = [bytes(1 << 22)] * 4
    interval = sys.getswitchinterval()
    for _ in range(100):
        go, steps = threading.Event(), [0]

        def step(go: threading.Event = go, steps: list[int] = steps) -> None:
            go.wait(20)
            steps[0] += 1

        thread = threading.Thread(target=step, daemon=True)
        thread.start()
        sys.setswitchinterval(1000)
        try:
            go.set()
            before = steps[0]
            hash_many(data, "sha256")
            after = steps[0]
        finally:
            sys.setswitchinterval(interval)
        thread.join(20)
        assert not thread.is_alive()
        if before == 0 and after == 1:
            return
    pytest.fail("no thread made a step during a hundred batches")


def test_a_file_has_the_digest_of_its_contents(tmp_path: Path) -> None:
    for size in (0, 1, 1 << 20, (1 << 20) + 1, 3_000_001):
        path = tmp_path / str(size)
        path.write_bytes(np.random.default_rng(size).bytes(size))
        assert hash_file(path, "sha384") == hashlib.sha384(path.read_bytes()).digest()
        assert hash_file(str(path), "sha384", form="hex") == hashlib.sha384(path.read_bytes()).hexdigest()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="absent"):
        hash_file(tmp_path / "absent", "sha256")
    with pytest.raises(IsADirectoryError):
        hash_file(tmp_path, "sha256")
