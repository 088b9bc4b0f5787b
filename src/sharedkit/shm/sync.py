"""Locks in shared memory."""

from sharedkit.shm._rlock import RLock
from sharedkit.shm._sync import Lock

__all__ = ["Lock", "RLock"]
