#!/usr/bin/env bash
# NumPy 2.3.5, text scalars.
#
# Guess: a str subclass that is equal to a str comes back equal from pickle.
# Behaviour: numpy.str_ and numpy.bytes_ keep trailing NULs as long as they live, in their length and in ==; their pickle is
# that of a fixed-width array element, which cannot have them, so they come back shorter. So does copy.deepcopy, and so does
# whatever sends them to another process: two keys that differ become one there.
# Seen: 2 True 'a' b'a' 'a'
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install numpy==2.3.5
seen=$("$folder/venv/bin/python" - <<'PY'
import copy
import pickle

import numpy as np

text, raw = np.str_("a\0"), np.bytes_(b"a\0")
there = pickle.loads(pickle.dumps(text)), pickle.loads(pickle.dumps(raw)), copy.deepcopy(text)
print(len(text), text == "a\0", repr(str(there[0])), repr(bytes(there[1])), repr(str(there[2])))
PY
)
echo "$seen"
[ "$seen" = "2 True 'a' b'a' 'a'" ]
