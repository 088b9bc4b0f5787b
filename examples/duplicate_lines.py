"""Find the lines that stand in more than one place of a file, by their digests: one call for all lines."""

import sys
from collections import Counter
from pathlib import Path

from sharedkit.hashing import hash_many

if __name__ == "__main__":
    path = Path(sys.argv[1] if len(sys.argv) > 1 else __file__)
    lines = [line for line in path.read_bytes().splitlines() if line.strip()]
    digests = hash_many(lines, "xxh3_64")
    often = Counter(digests.tolist())
    repeated = sum(count > 1 for count in often.values())
    print(f"{path.name}: {len(lines)} lines, {len(often)} different, {repeated} of them more than once")
    assert len(often) == len(set(lines))
