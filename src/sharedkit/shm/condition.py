"""Conditions in shared memory."""

from sharedkit.shm._condition import Condition

__all__ = ["Condition"]
