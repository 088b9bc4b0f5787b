"""Single values: one compiled call takes the lock if there is one, reads or writes, and releases the lock."""

from typing import Any

from typing_extensions import disjoint_base

from sharedkit._core.segment import Handle, Segment

@disjoint_base
class Memory(Handle):
    """A `ctypes` object over the one element of an array in the handle's segment."""

    @property
    def _array(self) -> Any: ...
    @property
    def _cell(self) -> Any: ...
    def _hold(self, array: Any, cell: Any, segment: Segment) -> None: ...
    @property
    def value(self) -> Any: ...
    @value.setter
    def value(self, value: Any, /) -> None: ...

@disjoint_base
class LockedMemory(Memory):
    """A Memory with a lock: one in the segment, or the given one."""

    @property
    def _given(self) -> Any: ...
    def _lock_by(self, own: Any, given: Any) -> None: ...
    def get_lock(self) -> Any: ...
    def get_obj(self) -> Any: ...
