"""Memory that changes while a batch is read: right digests of the items that do not change, or an exception; no fault.

Each kind of input is hashed in a process of its own, so that a fault fails only its own test.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parent))
sys.path.append(str(Path(__file__).parent.parent))

import hash_changing as children
from conformance.watchdog import Child

from sharedkit.hashing import hash_spans

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")

WRONG_LATER = [
    "spans",
    "pairs",
    "arrow string",
    "arrow large_binary",
    "arrow string_view",
    "arrow codes of 8 bits",
    "arrow codes of 16 bits, unsigned",
    "arrow codes of 64 bits",
    "arrow codes of a large dictionary",
    "pandas codes",
]


def needs(name: str) -> None:
    if name.startswith("arrow"):
        pytest.importorskip("pyarrow")
    if name.startswith("pandas"):
        pytest.importorskip("pandas")
    if name == "StringDType" and not hasattr(getattr(np, "dtypes", None), "StringDType"):
        pytest.skip("needs NumPy 2")


@pytest.mark.parametrize("name", list(children.KINDS))
def test_an_input_that_changes_all_the_time_harms_nothing(name: str) -> None:
    needs(name)
    hashed, refused = Child("fork", children.hash_while_it_changes, name).result()
    assert hashed + refused >= children.ROUNDS
    if name in ("U", "S", "strided numbers", "rows", "list", "object array", "bytearrays", "StringDType"):
        assert refused == 0


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("name", WRONG_LATER)
def test_an_item_that_becomes_invalid_after_its_check_is_refused_by_its_index(name: str, threads: int) -> None:
    needs(name)
    said = Child("fork", children.hash_after_a_change, name, threads).result()
    item = children.SAME + 2
    assert said.startswith(f"item {item} was changed while the batch was hashed"), said


def test_offsets_inside_the_output_end_with_an_exception() -> None:
    place = np.zeros((2000, 32), "u1")
    offsets = place.reshape(-1)[: 8 * 2001].view("i8")
    offsets[:] = np.arange(2001)
    with pytest.raises(ValueError, match="changed while"):
        hash_spans(bytes(5000), offsets, "sha256", out=place)
