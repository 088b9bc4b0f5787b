#!/usr/bin/env bash
# polars 1.35.2 with pyarrow 22.0.0: a Series of Python objects (pl.Object).
#
# Guess: to_arrow() of objects raises, as pyarrow does for the list of them, or pickles them.
# Behaviour: it answers, with a fixed_size_binary[8] array of the objects' addresses in this process: equal objects differ,
# every run differs, and whoever hashes, stores or sends that column has numbers without a meaning. to_numpy() gives the
# objects; the Arrow C stream of the same series raises.
# Seen: fixed_size_binary[8] [True, True] object raises
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install polars==1.35.2 pyarrow==22.0.0 numpy==2.3.5
seen=$("$folder/venv/bin/python" - <<'PY'
import polars as pl
import pyarrow as pa

things = [("a", 1), ("b", 2)]
series = pl.Series(things, dtype=pl.Object)
arrow = series.to_arrow()
addresses = [int.from_bytes(each.as_py(), "little") == id(thing) for each, thing in zip(arrow, things)]
try:
    pa.chunked_array(series)
    stream = "answers"
except Exception:
    stream = "raises"
print(arrow.type, addresses, series.to_numpy().dtype, stream)
PY
)
echo "$seen"
[ "$seen" = "fixed_size_binary[8] [True, True] object raises" ]
