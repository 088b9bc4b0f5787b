"""Semaphores in shared memory."""

from sharedkit.shm._bounded import BoundedSemaphore
from sharedkit.shm._semaphore import Semaphore

__all__ = ["BoundedSemaphore", "Semaphore"]
