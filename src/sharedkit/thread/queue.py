"""Queues for the threads of this process: those of Python 3.13's `queue`, on every Python, with batches."""

from sharedkit.thread import registry
from sharedkit.thread._queue import KIND_LIFO, KIND_PRIORITY, KIND_QUEUE, LifoQueue, PriorityQueue, Queue

__all__ = ["JoinableQueue", "LifoQueue", "PriorityQueue", "Queue", "SimpleQueue"]

registry.opens(KIND_QUEUE)(Queue)
registry.opens(KIND_LIFO)(LifoQueue)
registry.opens(KIND_PRIORITY)(PriorityQueue)

JoinableQueue = SimpleQueue = Queue  # its interface includes those of both
