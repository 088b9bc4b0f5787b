"""Wrong arguments are refused with their numbers, before anything is written."""

import hashlib
import math
import sys
from typing import Any

import numpy as np
import pytest

from sharedkit.hashing import hash_file, hash_many, hash_spans

MARK = 0xAB


@pytest.mark.parametrize("bad", [5, 1.5, None, object(), ["nested"]])
def test_an_item_without_bytes_is_named_by_index_and_type(bad: Any) -> None:
    out = np.full((3, 32), MARK, "u1")
    with pytest.raises(TypeError, match=f"item 2 is of type {type(bad).__name__}"):
        hash_many([b"x", "ü", bad], "sha256", out=out)
    assert (out == MARK).all()


@pytest.mark.parametrize("whole", [b"abc", "abc", bytearray(b"abc"), memoryview(b"abc")])
def test_one_message_is_no_batch(whole: Any) -> None:
    with pytest.raises(TypeError, match="put it into a list"):
        hash_many(whole, "sha256")


def test_items_that_are_no_collection_are_refused() -> None:
    with pytest.raises(TypeError, match="sequence or an array"):
        hash_many(5, "sha256")


def test_object_references_are_never_hashed_as_bytes() -> None:
    with pytest.raises(TypeError, match="item 0"):
        hash_many([np.array([object()], dtype=object)], "sha256")
    with pytest.raises(TypeError, match="no defined bytes"):
        hash_many(np.zeros(3, dtype=[("a", "i1"), ("b", "i8")]), "sha256")
    with pytest.raises(TypeError, match="no defined bytes"):
        hash_many(np.zeros(3, dtype=np.longdouble), "sha256")


def test_arrays_of_too_many_dimensions_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2, 2\)"):
        hash_many(np.zeros((2, 2)), "sha256")
    with pytest.raises(ValueError, match="one dimension"):
        hash_many(np.array(5), "sha256")


def test_lone_surrogates_have_no_utf8() -> None:
    with pytest.raises(UnicodeEncodeError) as caught:
        hash_many(["fine", "\ud800"], "sha256")
    assert "in item 1" in str(caught.value.__notes__)
    with pytest.raises(UnicodeEncodeError):
        hash_many(np.array(["fine", "\ud800"]), "sha256")


@pytest.mark.parametrize("name", ["md5", "SHA256", ""])
def test_an_unknown_algorithm_lists_the_known(name: str) -> None:
    with pytest.raises(ValueError, match="sha224, sha256, sha384, sha512, blake3, xxh3_64"):
        hash_many([b"x"], name)
    with pytest.raises(TypeError):
        hash_many([b"x"], None)  # type: ignore[arg-type]


@pytest.mark.parametrize("threads", [0, -1])
def test_a_number_of_threads_below_one_is_refused(threads: int) -> None:
    with pytest.raises(ValueError, match=str(threads)):
        hash_many([b"x"], "sha256", threads=threads)


@pytest.mark.parametrize("threads", ["many", 1.5])
def test_a_number_of_threads_of_the_wrong_type_is_refused(threads: Any) -> None:
    with pytest.raises(TypeError):
        hash_many([b"x"], "sha256", threads=threads)


def test_seeds_and_keys_that_do_not_fit_the_algorithm_are_refused() -> None:
    with pytest.raises(ValueError, match="takes no seed"):
        hash_many([b"x"], "sha256", seed=1)
    with pytest.raises(ValueError, match="takes no key"):
        hash_many([b"x"], "sha256", key=bytes(32))
    for size in (0, 31, 33):
        with pytest.raises(ValueError, match=f"key of blake3 must have 32 bytes: {size}"):
            hash_many([b"x"], "blake3", key=bytes(size))
    for seed in (-1, 2**64):
        with pytest.raises(ValueError, match="seed of xxh3_64"):
            hash_many([b"x"], "xxh3_64", seed=seed)
    for wrong in ("7", 7.0, None):
        with pytest.raises(TypeError, match=f"seed must be an int: {type(wrong).__name__}"):
            hash_many([b"x"], "xxh3_64", seed=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "out",
    [
        np.zeros((2, 31), "u1"),
        np.zeros((3, 32), "u1"),
        np.zeros(64, "u1"),
        np.zeros((2, 32), "i1"),
        np.zeros((2, 64), "u1")[:, ::2],
        np.zeros((32, 2), "u1").T,
        bytearray(64),
        [0] * 64,
    ],
)
def test_an_out_array_of_the_wrong_shape_or_dtype_is_refused(out: Any) -> None:
    with pytest.raises(ValueError, match="out must"):
        hash_many([b"x", b"y"], "sha256", out=out)


def test_an_out_array_that_cannot_be_written_is_refused() -> None:
    out = np.zeros((2, 32), "u1")
    out.flags.writeable = False
    with pytest.raises(ValueError, match="writable"):
        hash_many([b"x", b"y"], "sha256", out=out)


def test_an_out_array_that_is_also_the_input() -> None:
    rows = np.zeros((4, 32), "u1")
    with pytest.raises(ValueError, match="share memory"):
        hash_many(rows, "sha256", out=rows)


@pytest.mark.parametrize(
    ("algorithm", "wrong"),
    [
        ("sha256", {"threads": 0}),
        ("sha256", {"key": bytes(32)}),
        ("blake3", {"key": bytes(31)}),
        ("blake3", {"seed": 1}),
        ("sha256", {"form": "base64"}),
    ],
    ids=str,
)
def test_out_is_not_written_if_another_argument_is_wrong(algorithm: str, wrong: dict[str, Any]) -> None:
    out = np.full((2, 32), MARK, "u1")
    with pytest.raises(ValueError):
        hash_many([b"x", b"y"], algorithm, out=out, **wrong)
    assert (out == MARK).all()


@pytest.mark.parametrize("offsets", [[0, 2, 1], [0, 1, 9], [-1, 1, 2]], ids=str)
def test_out_is_not_written_if_offsets_are_wrong(offsets: list[int]) -> None:
    out = np.full((2, 32), MARK, "u1")
    with pytest.raises(ValueError):
        hash_spans(b"abc", np.array(offsets), "sha256", out=out)
    assert (out == MARK).all()


def test_out_is_filled_and_returned() -> None:
    out = np.zeros((2, 32), "u1")
    assert hash_many([b"x", b"y"], "sha256", out=out) is out
    assert out.tobytes() == hashlib.sha256(b"x").digest() + hashlib.sha256(b"y").digest()
    words = np.zeros(2, "u8")
    assert hash_many([b"x", b"y"], "xxh3_64", out=memoryview(words)).obj is words
    assert words.all()


def test_forms() -> None:
    with pytest.raises(ValueError, match="form"):
        hash_many([b"x"], "sha256", form="base64")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="out goes with"):
        hash_many([b"x"], "sha256", form="hex", out=np.zeros((1, 32), "u1"))
    with pytest.raises(ValueError, match="form"):
        hash_file("x", "sha256", form="array")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "array", [["a", "b", "c"], [b"a", b"b", b"c"], [1, 2, 3], [1.5, 2, 3]], ids=lambda items: type(items[0]).__name__
)
def test_a_masked_item_is_refused(array: Any) -> None:
    whole = np.ma.array(array)
    assert hash_many(whole, "sha256", form="hex") == hash_many(np.array(array), "sha256", form="hex")
    for masked in (np.ma.array(array, mask=[0, 0, 1]), np.ma.array(array, mask=[0, 0, 1], dtype=object)):
        with pytest.raises(TypeError, match="item 2"):
            hash_many(masked, "sha256")
    with pytest.raises(TypeError, match="item 0 is masked"):
        hash_many(np.ma.array(array, mask=[0, 0, 1])[::-1], "sha256")
    rows = np.ma.array(np.zeros((3, 2), "u1"), mask=[[0, 0], [0, 1], [0, 0]])
    with pytest.raises(TypeError, match="item 1 is masked"):
        hash_many(rows, "sha256")
    assert len(hash_many(rows[::2], "sha256")) == 2


@pytest.mark.parametrize("installed", [True, False])
@pytest.mark.parametrize("kind", ["Series", "Index"])
def test_a_pandas_column_of_numpys_types_is_its_array(
    kind: str, installed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pandas = pytest.importorskip("pandas")
    if not installed:
        monkeypatch.setitem(sys.modules, "pyarrow", None)
    make = getattr(pandas, kind)
    for values in ([True, False], [1, 2], [1.5, 2], [1j, 2], np.array([1, 2], "M8[ns]"), np.array([1, 2], "m8[s]")):
        column = make(values)
        assert (hash_many(column, "sha256") == hash_many(np.array(values, column.dtype), "sha256")).all()
        assert (hash_many(column[::-1], "sha256") == hash_many(column, "sha256")[::-1]).all()
    mixed = make(["a", b"b", "c"], dtype=object)
    assert (hash_many(mixed, "sha256") == hash_many(["a", b"b", "c"], "sha256")).all()
    missing = [make([1.5, math.nan]), make(np.array(["2024", "NaT"], "M8[ns]")), make(["a", None], dtype=object)]
    for column in missing:
        with pytest.raises(TypeError, match="item 1 is null"):
            hash_many(column, "sha256")
    with pytest.raises(TypeError, match="item 0 is of type bool"):
        hash_many(make([True, "a"], dtype=object), "sha256")
    if kind == "Series":
        sparse = make(pandas.arrays.SparseArray([0, 5]))
        assert (hash_many(sparse, "sha256") == hash_many(np.array([0, 5]), "sha256")).all()


def test_a_polars_series_of_objects_is_refused() -> None:
    polars = pytest.importorskip("polars")
    with pytest.raises(TypeError, match="item 0 is of type object"):
        hash_many(polars.Series([object()], dtype=polars.Object), "sha256")
    texts = polars.Series(["a", b"b"], dtype=polars.Object)
    assert (hash_many(texts, "sha256") == hash_many(["a", b"b"], "sha256")).all()


def test_more_threads_than_a_machine_can_have() -> None:
    items = [str(i) for i in range(5000)]
    assert (hash_many(items, "sha256", threads=2**70) == hash_many(items, "sha256")).all()
