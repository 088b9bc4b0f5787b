"""Reading into memory, so that what has come is counted whatever happens next."""

from typing import final

@final
class ReceiveBuffer:
    """Memory that is filled from a descriptor; so much of it is there."""

    def __new__(cls, memory: memoryview, filled: int) -> ReceiveBuffer: ...
    @property
    def memory(self) -> memoryview: ...
    @property
    def filled(self) -> int: ...
    def fill(self, fd: int) -> int: ...
