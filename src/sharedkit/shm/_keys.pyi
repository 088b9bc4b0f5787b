"""Keys of a dict as bytes; nothing here is called from Python."""

from typing_extensions import disjoint_base

@disjoint_base
class KeyBytes:
    def __new__(cls) -> KeyBytes: ...
