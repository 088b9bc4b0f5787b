"""Events in shared memory."""

from sharedkit.shm._event import Event

__all__ = ["Event"]
