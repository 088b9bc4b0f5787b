"""Messages over one connection, for a client. A signal handler that raises in the midst of one loses no byte of it."""

from __future__ import annotations

import errno
import io
import os

import numpy as np

from sharedkit._inlet import Inlet
from sharedkit._look import Looker
from sharedkit.manager.sockets import End
from sharedkit.manager.wire import Message, bounds, rest_of

__all__ = ["Stream"]

CHUNK = 1 << 16


class Stream:
    """What has come of a message stays until all of it is there, whoever reads on.

    A handler can raise as soon as a read returns, before anybody has its result. So what is read is first looked at in
    the buffer of a BufferedReader, and leaves that only with the next read, when it is `_taken` into ours. What is
    still to come of a large message goes straight to where it is to be, by an `_inlet`, which counts it.

    `epoch` says of which session of its process it is, and `number` is that of its last call.
    """

    def __init__(self, connection: End, epoch: int = 0) -> None:
        self.connection = connection
        self.epoch = epoch
        self.number = 0
        self._reader = io.BufferedReader(io.FileIO(connection.fileno(), closefd=False), CHUNK)
        self._looker = Looker()
        self._taken = 0
        self._incoming = bytearray()
        self._inlet: Inlet | None = None

    def send(self, message: Message) -> None:
        """Send one message whole, in its frame. Raises OSError."""
        if isinstance(message, list):
            while message:
                message = rest_of(message, os.writev(self.connection.fileno(), message))
            return
        gone = os.write(self.connection.fileno(), message)
        while gone < len(message):
            gone += os.write(self.connection.fileno(), memoryview(message)[gone:])

    def receive(self) -> bytes | memoryview:
        """Wait for the next message. Raises EOFError where the other side has ended it, OSError."""
        incoming = self._incoming
        while True:
            if self._inlet is not None:
                return self._receive_rest(self._inlet)
            if incoming:
                begin, end = bounds(incoming)
                if 0 < end <= len(incoming):
                    message = bytes(memoryview(incoming)[begin:end])
                    del incoming[:end]
                    return message
                if end - begin > CHUNK:
                    memory = np.empty(end - begin, np.uint8).data
                    memory[: len(incoming) - begin] = memoryview(incoming)[begin:]
                    inlet = Inlet(memory, len(incoming) - begin)
                    self._inlet = inlet  # no handler runs between this step and the next
                    incoming.clear()
                    continue
            fd = self.connection.fileno()
            if fd < 0:  # we have closed it, and its number may be another's
                raise OSError(errno.EBADF, "it was closed")
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

    def _receive_rest(self, inlet: Inlet) -> memoryview:
        """Of a large message."""
        while inlet.filled < len(inlet.memory):
            fd = self.connection.fileno()
            self._looker.look(fd)
            came = inlet.fill(fd)
            self._looker.woke()
            if not came:
                raise EOFError
        self._inlet = None  # no handler runs between this step and the return
        return inlet.memory
