"""Calls in worker processes: who starts them, what they are told, and what becomes of their calls."""
