"""Reads into memory and counts the received bytes, even if an error or a signal interrupts the reader."""

from typing import final

@final
class ReceiveBuffer:
    """Memory that is filled from a descriptor, and the number of bytes received so far."""

    def __new__(cls, memory: memoryview, filled: int) -> ReceiveBuffer: ...
    @property
    def memory(self) -> memoryview: ...
    @property
    def filled(self) -> int: ...
    def fill(self, fd: int) -> int: ...
