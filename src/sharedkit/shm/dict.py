"""A dict in shared memory."""

from sharedkit.shm._dict import Dict

__all__ = ["Dict"]
