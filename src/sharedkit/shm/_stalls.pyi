"""Calls that do not wait for the holder of an inner lock if that holder stands still."""
