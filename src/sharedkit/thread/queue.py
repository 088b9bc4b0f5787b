"""A queue for the threads of this process: `queue.Queue` of Python 3.13 on every Python, with batches."""

from sharedkit.thread import registry
from sharedkit.thread._queue import KIND_QUEUE, Queue

__all__ = ["Queue"]

registry.opens(KIND_QUEUE)(Queue)
