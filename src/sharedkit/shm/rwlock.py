"""Locks for many readers or one writer in shared memory."""

from sharedkit.shm._rwlock import RWLock

__all__ = ["RWLock"]
