"""An array in shared memory."""

from sharedkit.shm._array import Array

__all__ = ["Array"]
