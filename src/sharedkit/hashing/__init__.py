"""Hash many things at once: a whole batch in one call, with the GIL released.

Digests are those of the reference implementations, byte for byte: `hashlib` for SHA-2, and the packages `blake3`,
`xxhash` (XXH3 with 64 and 128 bits) and `google-crc32c`.
"""

from sharedkit.hashing._digests import algorithms
from sharedkit.hashing.files import FileDigests, hash_file, hash_files
from sharedkit.hashing.many import hash_many, hash_spans
from sharedkit.hashing.uses import duplicates, partition

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
