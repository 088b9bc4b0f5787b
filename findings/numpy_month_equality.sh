#!/usr/bin/env bash
# NumPy 2.3.5, timedelta64.
#
# Guess: a duration with a unit either equals no plain number, or every unit equals its number; and == is transitive, as
# hashing needs it.
# Behaviour: of all units, months alone equal a plain int, and hash as it does; days, hours and years do not equal it. A year
# equals 12 months. So 12 == 12 months == 1 year, but 12 != 1 year: what a dict finds depends on which was stored first.
# Seen: ['M'] True True False found missing
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install numpy==2.3.5
seen=$("$folder/venv/bin/python" - <<'PY'
import numpy as np

units = [unit for unit in "YMWDhms" if {np.timedelta64(1, unit): "found"}.get(1)]
year, months = np.timedelta64(1, "Y"), np.timedelta64(12, "M")
by_months = {months: "found"}.get(year, "missing")
by_number = {12: "found"}.get(year, "missing")
print(units, months == 12, year == months, year == 12, by_months, by_number)
PY
)
echo "$seen"
[ "$seen" = "['M'] True True False found missing" ]
