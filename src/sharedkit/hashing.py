"""Hash many things at once: a whole batch in one call, with the GIL released.

Digests are those of the reference implementations, byte for byte: `hashlib` for SHA-2, and the packages `blake3`,
`xxhash` (XXH3 with 64 and 128 bits) and `google-crc32c`.
"""

from sharedkit._hash_files import FileDigests, hash_file, hash_files
from sharedkit._hash_many import hash_many, hash_spans
from sharedkit._hash_uses import duplicates, partition
from sharedkit._hashing import algorithms

__all__ = [
    "FileDigests",
    "algorithms",
    "duplicates",
    "hash_file",
    "hash_files",
    "hash_many",
    "hash_spans",
    "partition",
]
