"""Categoricals and dictionaries have the digests of the plain column, and each of their values is hashed once."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sharedkit.hashing import algorithms, duplicates, hash_many, partition

VALUES = ["", "a", "grüße", "😀 and more", "long " * 60, "x" * 15]
SOURCE = np.random.default_rng(5)
CODES = SOURCE.integers(0, len(VALUES), 7000)
TEXTS = [VALUES[code] for code in CODES]


def digests(items: Any, **how: Any) -> list[bytes]:
    return hash_many(items, "sha256", form="bytes", **how)


EXPECTED = [hashlib.sha256(text.encode()).digest() for text in TEXTS]


def pandas_categorical(texts: Any) -> Any:
    return pytest.importorskip("pandas").Categorical(texts)


def pandas_series(texts: Any) -> Any:
    return pytest.importorskip("pandas").Series(texts, dtype="category")


def pandas_index(texts: Any) -> Any:
    return pytest.importorskip("pandas").CategoricalIndex(texts)


def polars_categorical(texts: Any) -> Any:
    polars = pytest.importorskip("polars")
    return polars.Series(texts, dtype=polars.Categorical)


def polars_enum(texts: Any) -> Any:
    polars = pytest.importorskip("polars")
    return polars.Series(texts, dtype=polars.Enum([*VALUES, "one that no item has"]))


def arrow_dictionary(texts: Any) -> Any:
    return pytest.importorskip("pyarrow").array(texts).dictionary_encode()


def arrow_chunks(texts: Any) -> Any:
    """Two chunks that share a dictionary, an empty one, and one with a dictionary of its own."""
    pa = pytest.importorskip("pyarrow")
    one = pa.array(texts).dictionary_encode()
    cut, far = len(texts) // 3, 2 * len(texts) // 3
    return pa.chunked_array([one[:cut], one[cut:far], one[:0], pa.array(texts[far:]).dictionary_encode()], one.type)


COLUMNS = [
    pandas_categorical,
    pandas_series,
    pandas_index,
    polars_categorical,
    polars_enum,
    arrow_dictionary,
    arrow_chunks,
]
Make = Callable[[Any], Any]


@pytest.mark.parametrize("make", COLUMNS)
def test_a_categorical_has_the_digests_of_its_texts(make: Make) -> None:
    assert digests(make(TEXTS)) == EXPECTED
    assert digests(make(TEXTS), threads=3) == EXPECTED
    assert digests(make(TEXTS[:1])) == EXPECTED[:1]
    assert digests(make([])) == []


@pytest.mark.parametrize("make", COLUMNS)
@pytest.mark.parametrize("algorithm", algorithms())
def test_every_algorithm_form_key_and_seed(make: Make, algorithm: str) -> None:
    column = make(TEXTS)
    how = {"xxh3_64": {"seed": 2**63 + 1}, "crc32c": {"seed": 7}, "blake3": {"key": bytes(range(32))}}.get(
        algorithm, {}
    )
    plain = hash_many(TEXTS, algorithm, **how)  # type: ignore[arg-type]
    out = np.zeros_like(plain)
    assert hash_many(column, algorithm, out=out, threads=2, **how) is out  # type: ignore[arg-type]
    assert (out == plain).all()
    for form in ("bytes", "hex"):
        texts = hash_many(TEXTS, algorithm, form=form, **how)  # type: ignore[arg-type]
        assert hash_many(column, algorithm, form=form, **how) == texts  # type: ignore[arg-type]


@pytest.mark.parametrize("make", COLUMNS)
def test_a_missing_item_is_refused_by_its_index_as_in_a_plain_column(make: Make) -> None:
    out = np.full((5, 32), 0xAB, "u1")
    with pytest.raises(TypeError, match="item 3 is null; nulls have no bytes to hash"):
        hash_many(make(["a", "a", "", None, "a"]), "sha256", out=out)
    assert (out == 0xAB).all()


@pytest.mark.parametrize("make", COLUMNS)
def test_slices_of_a_column_with_many_values(make: Make) -> None:
    texts = [f"{i} of many" for i in range(3000)] if make is not polars_enum else TEXTS
    plain = digests(texts)
    column = make(texts)
    assert digests(column[100:110]) == plain[100:110]
    assert digests(column[2500:]) == plain[2500:]
    if make not in (arrow_dictionary, arrow_chunks):
        assert digests(column[::-7]) == plain[::-7]


@pytest.mark.parametrize("index", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
@pytest.mark.parametrize("kind", ["string", "large_string", "string_view", "large_binary", "binary_view"])
def test_every_kind_of_arrow_code_and_value(index: str, kind: str) -> None:
    pa = pytest.importorskip("pyarrow")
    values = pa.array([v if "string" in kind else v.encode() for v in VALUES], getattr(pa, kind)())
    column = pa.DictionaryArray.from_arrays(pa.array(CODES, getattr(pa, index)()), values)
    assert digests(column) == EXPECTED
    assert digests(column[17:]) == EXPECTED[17:]
    assert digests(pa.DictionaryArray.from_arrays(pa.array([2, 1], getattr(pa, index)()), values)) == [
        hashlib.sha256(VALUES[i].encode()).digest() for i in (2, 1)
    ]


def test_values_that_are_not_texts_are_hashed_like_the_plain_column() -> None:
    pa, pandas = pytest.importorskip("pyarrow"), pytest.importorskip("pandas")
    numbers = np.array([5, -3, 5, 5, 2**40])
    assert digests(pa.array(numbers).dictionary_encode()) == digests(numbers)
    assert digests(pandas.Categorical(numbers)) == digests(numbers)
    times = pandas.Series(pandas.to_datetime(["2021-03-01", "1999-01-01", "2021-03-01"]))
    assert digests(times.astype("category")) == digests(times)
    assert digests(pandas.Categorical([b"a", b"\0b", b"a"])) == digests([b"a", b"\0b", b"a"])


def test_a_missing_value_matters_only_to_items_that_have_it() -> None:
    pa = pytest.importorskip("pyarrow")
    for kind in ("string", "large_string", "string_view"):
        values = pa.array(["a", None, "b"], getattr(pa, kind)())
        column = pa.DictionaryArray.from_arrays(pa.array([0, 2, 0, 2]), values)
        assert digests(column) == digests(["a", "b", "a", "b"])
        assert digests(column[:2]) == digests(["a", "b"])
        for codes in ([0, 2, 1, 0], [2, 0, 1]):
            with pytest.raises(TypeError, match="item 2 is null"):
                digests(pa.DictionaryArray.from_arrays(pa.array(codes), values))


@pytest.mark.parametrize(
    ("index", "code"), [("int8", -1), ("int8", 3), ("uint8", 255), ("int64", -(2**63)), ("int32", 3)]
)
def test_a_code_outside_of_its_dictionary_is_refused(index: str, code: int) -> None:
    pa = pytest.importorskip("pyarrow")
    codes = pa.array([0, 1, 2, code], getattr(pa, index)())
    column = pa.DictionaryArray.from_arrays(codes, pa.array(["a", "b", "c"]), safe=False)
    out = np.full((4, 32), 0xAB, "u1")
    with pytest.raises(ValueError, match=f"item 3 has the code {code} in a dictionary of 3 values"):
        hash_many(column, "sha256", out=out)
    assert (out == 0xAB).all()


def test_items_of_a_dictionary_of_only_nulls_are_refused() -> None:
    pa = pytest.importorskip("pyarrow")
    for codes in ([0, 0], [None, None]):
        with pytest.raises(TypeError, match="item 0 is null"):
            digests(pa.DictionaryArray.from_arrays(pa.array(codes, pa.int8()), pa.nulls(1)))
    with pytest.raises(TypeError, match="item 0 is null"):
        digests(pa.nulls(3))
    assert digests(pa.nulls(0)) == []


def test_values_without_bytes_are_refused() -> None:
    pa, pandas = pytest.importorskip("pyarrow"), pytest.importorskip("pandas")
    with pytest.raises(TypeError, match="no bytes to hash"):
        digests(pa.array([True, False]).dictionary_encode())
    with pytest.raises(TypeError, match=r"no bytes to hash|is of type") as caught:
        digests(pandas.Categorical([True, "a"]))
    assert "categories" in str(caught.value.__notes__)


def test_one_batch_of_digests_for_chunks_that_share_a_dictionary() -> None:
    """A shared dictionary is hashed once: one more chunk costs only its codes."""
    pa = pytest.importorskip("pyarrow")
    one = pa.array([f"value {i} " * 20 for i in range(2000)]).dictionary_encode()
    chunks = pa.chunked_array([one] * 200)
    assert (hash_many(chunks, "xxh3_64").reshape(200, -1) == hash_many(one.dictionary, "xxh3_64")).all()


def test_shards_and_duplicates_of_a_categorical() -> None:
    column = pandas_categorical(TEXTS)
    assert (partition(column, 16) == partition(TEXTS, 16)).all()
    assert [group.tolist() for group in duplicates(column)] == [group.tolist() for group in duplicates(TEXTS)]


def test_a_pandas_series_without_pyarrow_is_hashed_by_its_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    pandas = pytest.importorskip("pandas")
    plain, column = pandas.Series(TEXTS, dtype=object), pandas_series(TEXTS)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert digests(plain) == EXPECTED
    assert digests(column) == EXPECTED


def test_no_package_is_imported_that_the_input_does_not_need() -> None:
    program = (
        "import sys; from sharedkit.hashing import hash_many; hash_many(iter([b'a']), 'sha256'); "
        "print(sorted({'pandas', 'polars', 'pyarrow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
