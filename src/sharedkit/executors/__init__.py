"""Executors: their face and futures, and, in `processes`, the workers of one machine."""
