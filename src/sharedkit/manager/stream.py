"""Messages over one connection, for a client. A signal handler that raises in the midst of one loses no byte of it."""

from __future__ import annotations

import io
import os
import struct
from multiprocessing.connection import Connection

from sharedkit._look import Looker

__all__ = ["CHUNK", "Stream"]

CHUNK = 1 << 16


class Stream:
    """What has come of a message stays until all of it is there, whoever reads on.

    A handler can raise as soon as a read returns, before anybody has its result. So what is read is first looked at in
    the buffer of a BufferedReader, and leaves that only with the next read, when it is `_taken` into ours.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._reader = io.BufferedReader(io.FileIO(connection.fileno(), closefd=False), CHUNK)
        self._looker = Looker()
        self._taken = 0
        self._incoming = bytearray()

    def send(self, message: bytes) -> None:
        """Send one message whole, in its frame. Raises OSError."""
        gone = os.write(self.connection.fileno(), message)
        while gone < len(message):
            gone += os.write(self.connection.fileno(), memoryview(message)[gone:])

    def receive(self) -> bytes:
        """Wait for the next message. Raises EOFError where the other side has ended it, OSError."""
        incoming = self._incoming
        while True:
            if incoming:
                begin, end = _bounds(incoming)
                if 0 < end <= len(incoming):
                    message = bytes(memoryview(incoming)[begin:end])
                    del incoming[:end]
                    return message
            fd = self.connection.fileno()  # an OSError where we have closed it
            if self._taken:
                n, self._taken = self._taken, 0
                self._reader.read(n)
            self._looker.look(fd)
            chunk = self._reader.peek()
            n = len(chunk)
            self._looker.woke()
            if not n:
                raise EOFError
            if not incoming and n > 4 and int.from_bytes(chunk[:4], "big") == n - 4:
                message = chunk[4:]  # as nearly always: one message, whole
                self._taken = n  # no handler runs between this step and the return
                return message
            incoming += chunk  # nor between this step and the next
            self._taken = n


def _bounds(incoming: bytearray) -> tuple[int, int]:
    """Where the first message begins and ends, if its length is known; 0, 0 otherwise."""
    if len(incoming) < 4:
        return 0, 0
    (length,) = struct.unpack_from("!i", incoming)
    if length >= 0:
        return 4, 4 + length
    if len(incoming) < 12:
        return 0, 0
    (length,) = struct.unpack_from("!Q", incoming, 4)
    return 12, 12 + length
