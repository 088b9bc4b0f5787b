"""Barriers in shared memory."""

from sharedkit.shm._barrier import Barrier

__all__ = ["Barrier"]
