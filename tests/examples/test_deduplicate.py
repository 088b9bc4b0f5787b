"""Deduplication by digests keeps the rows that `drop_duplicates` keeps."""

from __future__ import annotations

from pathlib import Path

import pytest
from examples.applications import application

pd = pytest.importorskip("pandas", reason="pandas has no wheel for this interpreter")
pytest.importorskip("pyarrow", reason="pyarrow has no wheel for this interpreter")

import deduplicate  # noqa: E402
import numpy as np  # noqa: E402


def kept(digests: np.ndarray) -> list[int]:
    return np.sort(np.unique(digests.view("V16"), return_index=True)[1]).tolist()


def test_it_agrees_with_pandas(folder: str) -> None:
    assert application("deduplicate", folder=folder) == "200000 rows, 86469 different; drop_duplicates agrees"


def test_files_may_have_their_columns_in_another_order(tmp_path: Path, folder: str) -> None:
    frame = pd.DataFrame({"a": [1, 2, 1, 3], "b": ["x", "y", "x", None], "c": [9, 9, 8, 9]})
    frame.to_parquet(tmp_path / "first.parquet")
    frame[["c", "b", "a"]].to_parquet(tmp_path / "second.parquet")
    said = application("deduplicate", tmp_path / "first.parquet", tmp_path / "second.parquet", folder=folder)
    assert said == "8 rows, 4 different; drop_duplicates agrees"
    assert deduplicate.first_rows([tmp_path / "second.parquet"], ["a", "b"]).tolist() == [0, 1, 3]


@pytest.mark.parametrize("seed", range(5))
def test_every_kind_of_column_is_compared_as_pandas_does(seed: int) -> None:
    random, rows = np.random.default_rng(seed), 400
    few = random.integers(0, 3, (8, rows))
    frame = pd.DataFrame({
        "int": few[0].astype("i4"),
        "float": np.choose(few[1], [0.0, -0.0, np.nan]),
        "bool": few[2] > 0,
        "text": pd.Series(np.choose(few[3], ["", "ä", "a"])).where(few[3] < 2, None),
        "nullable": pd.array(few[4], "Int64"),
        "time": np.choose(few[5], np.array(["2026-01-01", "NaT", "1950-01-01"], "M8[ns]")),
        "span": few[6].astype("m8[s]"),
        "kind": pd.Categorical.from_codes(few[7] - 1, ["new", "used"]),
    })  # fmt: skip
    frame.loc[few[0] == 1, "nullable"] = pd.NA
    for columns in (list(frame), ["float", "text"], ["kind"], ["nullable", "time"]):
        some = frame[columns]
        assert kept(deduplicate.row_digests(some)) == some.drop_duplicates().index.tolist()


def test_there_may_be_no_row(tmp_path: Path) -> None:
    pd.DataFrame({"a": pd.Series([], dtype="i8")}).to_parquet(tmp_path / "none.parquet")
    assert deduplicate.first_rows([tmp_path / "none.parquet"]).tolist() == []
