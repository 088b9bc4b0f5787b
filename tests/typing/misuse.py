"""Misuse that mypy --strict must find: each line with `expected:` names the code of its error."""

from __future__ import annotations

import sharedkit as sk
from sharedkit import protocols

sk.Counter("5")  # expected: arg-type
sk.Counter(1, "name")  # expected: call-arg
sk.Counter(1).value = "x"  # expected: assignment
sk.Queue(maxsize="3")  # expected: arg-type
jobs: sk.Queue[int] = sk.Queue()
jobs.put("text")  # expected: arg-type
jobs.put_many(["text"])  # expected: list-item
text: str = jobs.get()  # expected: assignment
sk.Array((2, 3)).shape = (3, 2)  # expected: misc
sk.Counters(["a"]).add(5)  # expected: arg-type
sk.get_context(5)  # expected: call-overload
wrong: protocols.Counter = sk.Queue[int]()  # expected: assignment
