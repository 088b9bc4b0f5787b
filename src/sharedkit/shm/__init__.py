"""Placement `shm`."""
