"""Digests as most programs compute them, one call a message. Subinterpreters run it, so it imports no other module of
sharedkit."""

import hashlib
from collections.abc import Iterable, Sequence
from functools import partial
from importlib import import_module

__all__ = ["PACKAGES", "digest_files", "digests", "messages", "package_of", "plain_algorithms"]

PACKAGES = {"blake3": "blake3", "crc32c": "google_crc32c", "xxh3_64": "xxhash", "xxh3_128": "xxhash"}
"""The packages for the algorithms that hashlib does not have."""


def plain_algorithms() -> list[str]:
    """Every algorithm with digests of one size that hashlib, or a known package, has."""
    fixed = {name for name in hashlib.algorithms_guaranteed if not name.startswith("shake_")}
    return sorted(fixed | PACKAGES.keys())


def package_of(algorithm: str) -> str:
    """The module that `digests` takes the algorithm from."""
    return PACKAGES.get(algorithm, "hashlib")


def digests(found: Iterable[bytes], algorithm: str) -> list[bytes]:
    """The digest of every message. Raises ImportError if the algorithm's package is not installed."""
    module = import_module(package_of(algorithm))
    if algorithm.startswith("xxh3_"):
        digest = getattr(module, f"{algorithm}_digest")
        return [digest(message) for message in found]
    if algorithm == "crc32c":
        return [module.value(message).to_bytes(4, "big") for message in found]
    new = getattr(module, algorithm, None) or partial(module.new, algorithm)
    return [new(message).digest() for message in found]


def messages(path: str, item_bytes: int = 0) -> list[bytes]:
    """Every line of the file, without its end, and then the whole file; or all items of `item_bytes` bytes."""
    with open(path, "rb") as file:
        data = file.read()
    if item_bytes:
        return [data[at : at + item_bytes] for at in range(0, len(data), item_bytes)]
    lines = data.splitlines()
    lines.append(data)
    return lines


def digest_files(paths: Sequence[str], algorithm: str, item_bytes: int = 0) -> bytes:
    """The digests of every message of every file, one after the other."""
    return b"".join([b"".join(digests(messages(path, item_bytes), algorithm)) for path in paths])
