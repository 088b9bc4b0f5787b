"""The queue in shared memory, under all of its names."""

from sharedkit.shm._queue import Queue

__all__ = ["JoinableQueue", "Queue", "SimpleQueue"]

JoinableQueue = SimpleQueue = Queue  # whose face has both of theirs in it
