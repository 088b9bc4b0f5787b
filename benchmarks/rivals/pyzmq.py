"""pyzmq: PUSH and PULL sockets over ipc; brokerless, blocking, one consumer binds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ports import Receiver, Sender
from benchmarks.rivals.rival import QueueRival, Traffic


class Pyzmq(QueueRival):
    """Bytes are sent as they are, arrays without a copy by the sender, objects as pickles."""

    name = "pyzmq"
    module = "zmq"
    package = "pyzmq"
    many_to_many = False  # several PULL sockets get the messages in turn, and have no common queue

    def create(self, traffic: Traffic, scratch: Path) -> None:
        self._items, self._address = traffic.items, f"ipc://{scratch}/zmq-{id(self)}"

    def _socket(self, kind: str) -> Any:
        import zmq

        self._context = zmq.Context()
        socket = self._context.socket(getattr(zmq, kind))
        socket.linger = 0
        (socket.bind if kind == "PULL" else socket.connect)(self._address)
        return socket

    def sender(self) -> Sender:
        socket = self._socket("PUSH")
        if self._items == "arrays":
            return Sender(put=lambda array: socket.send(array, copy=False))
        return Sender(put=socket.send if self._items == "bytes" else socket.send_pyobj)

    def receiver(self) -> Receiver:
        socket = self._socket("PULL")
        if self._items == "arrays":
            return Receiver(get=lambda: np.frombuffer(socket.recv(), np.float64))
        return Receiver(get=socket.recv if self._items == "bytes" else socket.recv_pyobj)

    def leave(self) -> None:
        self._context.destroy(linger=0)
