"""A queue in shared memory."""

from sharedkit.shm._queue import Queue

__all__ = ["Queue"]
