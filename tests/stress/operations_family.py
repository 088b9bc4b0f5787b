"""Deaths of processes whose children live on, with copies of all descriptors and mappings of the dead process."""

from __future__ import annotations

import os
import time
from typing import Any

from stress.operations import QueueOperation, path_of
from stress.operations_queue import Get, Put, PutGrowing

from sharedkit import shm as sk


class WithChild(QueueOperation):
    """The victim forks a child before the operation; the child lives until the survivors have gone on."""

    def prepare(self) -> None:
        super().prepare()
        self._until, self._gate = os.pipe()

    def enter(self) -> None:
        super().enter()
        self.queue.close()  # opens new mappings, which the child then shares
        self.queue = sk.attach(self.name)
        if os.fork() == 0:
            os.close(self._gate)
            os.read(self._until, 1)  # returns when the arena closes the pipe or dies
            self.queue.close()
            os._exit(0)
        self._close_gate()

    def _close_gate(self) -> None:
        if self._gate >= 0:
            os.close(self._gate)
            self._gate = -1

    def finish(self) -> int:
        super().finish()
        self._close_gate()
        os.close(self._until)
        deadline = time.monotonic() + 10
        while path_of(self.name).exists() and time.monotonic() < deadline:  # it is not a child of this process
            time.sleep(0.0005)
        return int(path_of(self.name).exists())


class PutWithChild(WithChild, Put):
    pass


class GetWithChild(WithChild, Get):
    pass


class PutGrowingWithChild(WithChild, PutGrowing):
    pass


FAMILY: dict[str, Any] = {
    "put, child lives on": PutWithChild,
    "put, growing, child lives on": PutGrowingWithChild,
    "get, child lives on": GetWithChild,
}
