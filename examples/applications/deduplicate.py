"""Rows that occur more than once in a data set of several Parquet files, found by worker processes. Run:

    pip install sharedkit pandas pyarrow
    python examples/applications/deduplicate.py [FILE.parquet ...]      # without files: some that it makes up

Each worker reads a file and writes a digest of 16 bytes for each row into a shared array; the main program compares the
digests, so no process has all the data. The result is that of `pandas.concat(parts).drop_duplicates()`: missing values
are equal, and so are 0.0 and -0.0. A column must have one dtype in all files. If somebody may construct collisions,
use "blake3", whose digests have 32 bytes.
"""

import multiprocessing
import sys
import tempfile
from collections.abc import Sequence
from itertools import repeat
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet

import sharedkit as sk
from sharedkit.hashing import hash_many

ALGORITHM, SIZE = "xxh3_128", 16


def row_digests(frame: pd.DataFrame) -> np.ndarray:
    """An array of shape (rows, 16) and dtype uint8; equal rows have equal digests."""
    cells = np.zeros((len(frame), frame.shape[1], SIZE), np.uint8)  # a missing value stays zero
    for i, name in enumerate(frame):
        column = frame[name]
        present = column.notna().to_numpy()
        values = column[present]
        if values.dtype.kind == "f":
            values = values + 0.0  # -0.0 becomes 0.0, whose bytes differ
        cells[present, i] = hash_many(values, ALGORITHM)
    return hash_many(cells.reshape(len(frame), frame.shape[1] * SIZE), ALGORITHM)


def _digest_file(path: Path, columns: list[str], digests: sk.Array, start: int) -> None:
    rows = row_digests(pd.read_parquet(path, columns=columns))
    digests.ndarray[start : start + len(rows)] = rows


def first_rows(paths: Sequence[Path], columns: list[str] | None = None, workers: int | None = None) -> np.ndarray:
    """The numbers of the rows to keep, counted through all files: the first of each group of equal rows, ascending."""
    columns = columns or pyarrow.parquet.read_schema(paths[0]).names
    lengths = [pyarrow.parquet.read_metadata(path).num_rows for path in paths]
    *starts, rows = np.cumsum([0, *lengths]).tolist()
    context = multiprocessing.get_context("forkserver")  # a fork would copy pyarrow without its threads
    with sk.Array((rows, SIZE), "u1") as digests, sk.Executor(workers, context) as pool:
        list(pool.map(_digest_file, paths, repeat(columns), repeat(digests), starts))  # raises what a worker raised
        _, first = np.unique(digests.ndarray.view(f"V{SIZE}"), return_index=True)
        return np.sort(first)


def make_up(folder: Path, files: int = 4, rows: int = 50_000) -> list[Path]:
    """Files with about as many different rows as equal ones, and all that makes comparing rows hard."""
    random = np.random.default_rng(0)
    paths = [folder / f"part-{number}.parquet" for number in range(files)]
    for path in paths:
        key = random.integers(0, files * rows // 2, rows)
        pd.DataFrame({
            "name": pd.Series(key).map(lambda k: None if k % 11 == 0 else f"Müller {k % 1000}"),
            "amount": np.where(key % 7 == 0, np.nan, np.where(key % 2, 0.0, -0.0) + key % 5),
            "day": np.datetime64("2026-01-01", "ns") + (key % 365).astype("timedelta64[D]"),
            "kind": pd.Categorical.from_codes(key % 3, ["new", "used", "broken"]),
            "number": key,
        }).to_parquet(path)  # fmt: skip
    return paths


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        parts = [Path(each) for each in sys.argv[1:]] or make_up(Path(folder))
        kept = first_rows(parts)
        table = pd.concat(map(pd.read_parquet, parts), ignore_index=True)  # all the data, to check the result
        agrees = kept.tolist() == table.drop_duplicates().index.tolist()
        print(f"{len(table)} rows, {len(kept)} different; drop_duplicates {'agrees' if agrees else 'DIFFERS'}")
