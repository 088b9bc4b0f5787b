"""Calls in worker processes: the parent that starts workers, the messages between them, and the state of the calls."""
