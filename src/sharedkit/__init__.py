"""Shared state for Python programs that run in many threads, processes or machines."""

__version__ = "0.1.0"
