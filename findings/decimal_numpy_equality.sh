#!/usr/bin/env bash
# CPython's decimal beside NumPy 2.3.5.
#
# Guess: == between two numbers never raises, and has the same answer whichever stands first. NumPy's integers say that
# they are numbers.Integral, which decimal compares with exactly.
# Behaviour: Decimal(0) == numpy.int64(0) raises TypeError; numpy.int64(0) == Decimal(0) is True. Their hashes are equal, so
# a dict with a Decimal key raises when it is asked for the NumPy number, and finds it the other way round.
# Seen: TypeError: argument must be an integer | True | TypeError | found
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install numpy==2.3.5
seen=$("$folder/venv/bin/python" - <<'PY'
from decimal import Decimal

import numpy as np


def outcome(call, text=False):
    try:
        return str(call())
    except Exception as error:
        return f"{type(error).__name__}: {error}" if text else type(error).__name__


zero, other = Decimal(0), np.int64(0)
print(
    outcome(lambda: zero == other, text=True),
    outcome(lambda: other == zero),
    outcome(lambda: {zero: "found"}[other]),
    outcome(lambda: {other: "found"}[zero]),
    sep=" | ",
)
PY
)
echo "$seen"
[ "$seen" = "TypeError: argument must be an integer | True | TypeError | found" ]
