"""Locks in shared memory."""

from sharedkit.shm._sync import Lock

__all__ = ["Lock"]
