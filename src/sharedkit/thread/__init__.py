"""Placement `thread`."""
