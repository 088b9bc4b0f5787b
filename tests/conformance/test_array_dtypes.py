"""The elements that an array can have, and arrays that begin with the contents of another."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from conformance.children import fill
from conformance.conftest import Kit
from conformance.watchdog import LIMIT, Child

import sharedkit as sk

ml_dtypes = pytest.importorskip("ml_dtypes")
ML_DTYPES = [
    each
    for each in vars(ml_dtypes).values()
    if isinstance(each, type) and issubclass(each, np.generic) and np.dtype(each).isbuiltin == 2
]
each_ml_dtype = pytest.mark.parametrize("scalar", ML_DTYPES, ids=lambda scalar: scalar.__name__)

ODD: tuple[Any, ...] = (
    *("U0", "S0", "V0", "U", "S", "V", "U3", "S5", "V7", "?", "M8[s]", "m8", ">i4", ">f8", "F", "g"),
    *([], [("a", "U0")], [("a", "S0"), ("b", "i4")], [("a", "i4", (0,))], [("a", "i4", (2, 0)), ("b", "u1")]),
    *(("i4", (2,)), ("i4", (2, 0)), ("u1", (3, 2)), {"names": [], "formats": [], "itemsize": 8}),
    {"names": ["a", "b"], "formats": ["i4", "i2"], "offsets": [0, 0]},
)
each_odd = pytest.mark.parametrize("dtype", ODD, ids=str)


def bits(array: Any) -> bytes:
    return np.asarray(array).tobytes()


# --- unusual dtypes -----------------------------------------------------------------------------------


@each_odd
@pytest.mark.parametrize("shape", [3, (2, 3), (), 0, (0, 2)], ids=str)
def test_shape_and_dtype_are_those_of_numpy_zeros(kit: Kit, dtype: Any, shape: Any) -> None:
    expected = np.zeros(shape, np.dtype(dtype))
    array = kit.Array(shape, dtype)
    assert (array.shape, array.dtype, array.ndim, array.size) == (
        expected.shape,
        expected.dtype,
        expected.ndim,
        expected.size,
    )
    assert array.nbytes == expected.nbytes
    assert bits(array) == expected.tobytes()
    seen = np.asarray(array)
    assert (seen.shape, seen.dtype) == (expected.shape, expected.dtype)


@each_odd
def test_a_second_handle_sees_the_same(kit: Kit, dtype: Any) -> None:
    array = kit.Array((2, 3), dtype)
    again = kit.context.attach(array.name)
    assert (again.shape, again.dtype) == (array.shape, array.dtype)
    assert kit.context.Array((2, 3), dtype, name=array.name, exist_ok=True).dtype == array.dtype
    with pytest.raises(ValueError, match="is an Array with shape"):
        kit.context.Array((3, 3), dtype, name=array.name, exist_ok=True)


@pytest.mark.parametrize("dtype", ["O", [("a", "O")], np.dtype([("a", "i4"), ("b", "O")]), ("O", (2,))], ids=str)
def test_python_objects_are_refused(kit: Kit, dtype: Any) -> None:
    with pytest.raises(TypeError, match="cannot hold Python objects"):
        kit.Array(3, dtype)


@pytest.mark.skipif(not hasattr(np.dtypes, "StringDType"), reason="StringDType came with NumPy 2")
def test_strings_of_any_length_are_refused(kit: Kit) -> None:
    with pytest.raises(TypeError):
        kit.Array(3, np.dtypes.StringDType())
    with pytest.raises(TypeError):
        kit.context.Array.from_array(np.array(["a", "b"], np.dtypes.StringDType()))


# --- with contents ------------------------------------------------------------------------------------

CONTENTS: dict[str, Any] = {
    "a list": [1, 2, 3],
    "nested lists": [[1.5, 2.5], [3.5, 4.5]],
    "a number": 7,
    "nothing": [],
    "text": ["ab", "c", ""],
    "empty text": [""],
    "bytes": [b"ab", b""],
    "an array": np.arange(12, dtype="f4").reshape(3, 4),
    "columns first": np.asfortranarray(np.arange(12).reshape(3, 4)),
    "every other": np.arange(20)[::-2],
    "the other byte order": np.arange(5, dtype=">i4"),
    "records": np.array([(1, 2.5), (3, 4.5)], [("a", "i4"), ("b", "f8")]),
    "times": np.array(["2026-01-01", "NaT"], "M8[D]"),
    "no dimension": np.array(3.5),
    "a million": np.arange(1_000_000, dtype="u4"),
}
each_content = pytest.mark.parametrize("contents", CONTENTS.values(), ids=CONTENTS.keys())


def from_array(kit: Kit, *args: Any, **options: Any) -> Any:
    array = kit.context.Array.from_array(*args, **options)
    kit.made.append(array)
    kit.names.append(array.name)
    return array


@each_content
def test_from_array_has_shape_dtype_and_contents(kit: Kit, contents: Any) -> None:
    expected = np.array(contents)
    array = from_array(kit, contents)
    assert type(array) is kit.context.Array
    assert (array.shape, array.dtype) == (expected.shape, expected.dtype)
    assert bits(array) == expected.tobytes()
    assert bits(kit.context.attach(array.name)) == expected.tobytes()


def test_from_array_copies(kit: Kit) -> None:
    mine = np.arange(4)
    array = from_array(kit, mine)
    array[0] = 9
    mine[1] = 8
    assert (mine.tolist(), np.asarray(array).tolist()) == ([0, 8, 2, 3], [9, 1, 2, 3])
    again = from_array(kit, array)
    assert np.asarray(again).tolist() == [9, 1, 2, 3]


def test_from_array_takes_what_the_constructor_takes(kit: Kit) -> None:
    array = from_array(kit, [1, 2], name="from-array", seats=7)
    with pytest.raises(FileExistsError):
        kit.context.Array.from_array([1, 2], name="from-array")
    array[0] = 5
    again = kit.context.Array.from_array([1, 2], name="from-array", exist_ok=True, seats=7)
    assert np.asarray(again).tolist() == [5, 2], "an existing array keeps its elements"
    with pytest.raises(ValueError, match=r"shape \(2,\), not \(3,\)"):
        kit.context.Array.from_array([1, 2, 3], name="from-array", exist_ok=True, seats=7)
    with pytest.raises(ValueError, match="persist"):
        kit.context.Array.from_array([1, 2], name="from-array", exist_ok=True, seats=7, persist=True)
    again.close()


@pytest.mark.parametrize("contents", [[1, 2, 3], [[1.5]], np.arange(3), np.zeros((2, 2)), {1: 2}, None, 1.5], ids=str)
def test_contents_for_a_shape_are_refused_with_a_hint(kit: Kit, contents: Any) -> None:
    with pytest.raises(TypeError, match=r"Array\.from_array\(x\)"):
        kit.context.Array(contents)


def test_the_order_of_multiprocessing_is_refused_with_a_hint(kit: Kit) -> None:
    with pytest.raises(TypeError, match="shape comes before the dtype"):
        kit.context.Array("i", 3)


# --- elements of ml_dtypes ----------------------------------------------------------------------------


@each_ml_dtype
def test_elements_of_ml_dtypes_are_as_in_numpy(kit: Kit, scalar: Any) -> None:
    expected = np.zeros((2, 3), scalar)
    array = kit.Array((2, 3), scalar)
    assert array.dtype == expected.dtype
    assert bits(array) == expected.tobytes()
    array[0] = 1
    expected[0] = 1
    array[1, 2] = scalar(1)
    expected[1, 2] = scalar(1)
    assert bits(array) == expected.tobytes()
    assert type(array[0, 0]) is scalar
    assert array[0, 0] == scalar(1)
    seen = np.asarray(array)
    assert seen.dtype == expected.dtype
    assert np.array_equal(seen.astype("c16"), expected.astype("c16"))
    again = kit.context.attach(array.name)
    assert again.dtype == array.dtype
    assert bits(again) == expected.tobytes()
    with pytest.raises(ValueError, match="dtype"):
        kit.context.Array((2, 3), f"V{expected.itemsize}", name=array.name, exist_ok=True)
    assert array.statistics().dtype == str(expected.dtype)
    copied = from_array(kit, expected)
    assert copied.dtype == expected.dtype
    assert bits(copied) == expected.tobytes()


@each_ml_dtype
def test_additions_to_elements_of_ml_dtypes_are_refused_with_a_reason(kit: Kit, scalar: Any) -> None:
    array = kit.Array(3, scalar)
    with pytest.raises(TypeError, match=f"not {np.dtype(scalar)}|order: {np.dtype(scalar)}"):
        array.fetch_add(0, 1)
    with pytest.raises(TypeError, match=str(np.dtype(scalar))):
        array.add_at([0], 1)
    assert bits(array) == bytes(3 * np.dtype(scalar).itemsize)


def test_a_field_may_be_of_ml_dtypes(kit: Kit) -> None:
    dtype = np.dtype([("weight", ml_dtypes.bfloat16), ("code", ml_dtypes.int4, (3,)), ("n", "i8")])
    array = kit.Array(4, dtype)
    array[1] = (1.5, [1, 2, 3], 9)
    again = kit.context.attach(array.name)
    assert again.dtype == dtype
    assert float(np.asarray(again)[1]["weight"]) == 1.5


@pytest.mark.needs("processes")
@pytest.mark.parametrize("start_method", ["fork", "spawn", "forkserver"])
def test_arrays_of_ml_dtypes_go_to_other_processes(kit: Kit, start_method: str) -> None:
    array = kit.Array(4, ml_dtypes.bfloat16)
    assert Child(start_method, fill, array, 1.5).result() == ((4,), "bfloat16", 6.0)
    assert np.asarray(array).astype("f4").tolist() == [1.5] * 4
    assert pickle.loads(pickle.dumps(array)).dtype == array.dtype


STRANGER = """
import sys
if sys.argv[2] == "without":
    sys.modules["ml_dtypes"] = None
import sharedkit as sk
assert "ml_dtypes" not in sys.modules or sys.argv[2] == "without"
array = sk.attach(sys.argv[1])
print(array.dtype, array[0])
"""


def stranger(name: str, how: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", STRANGER, name, how], capture_output=True, text=True, timeout=LIMIT, check=False
    )


def test_an_unrelated_program_attaches_by_name_alone() -> None:
    with sk.Array.from_array(np.array([2.5, 3], ml_dtypes.bfloat16)) as array:
        done = stranger(array.name, "with")
        assert (done.returncode, done.stdout) == (0, "bfloat16 2.5\n"), done.stderr


def test_a_program_without_ml_dtypes_is_told_which_package_is_missing() -> None:
    with sk.Array(3, ml_dtypes.float8_e4m3fn) as array:
        done = stranger(array.name, "without")
        assert done.returncode == 1
        assert (
            "ImportError: the elements of this array are of ml_dtypes.float8_e4m3fn: install ml_dtypes" in done.stderr
        )
