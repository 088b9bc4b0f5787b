"""Keys of a dict as bytes: two keys have the same canonical form exactly when Python treats them as one key."""

from collections.abc import Hashable
from typing import Any

from typing_extensions import disjoint_base

@disjoint_base
class KeyBytes:
    def __new__(cls) -> KeyBytes: ...

def form_of(key: Hashable) -> str | int | bytes: ...
def form_and_first(key: Hashable) -> tuple[str | int | bytes, bytes | None]: ...
def key_of(form: str | int | bytes, first: bytes | None) -> Any: ...
