"""Calls that wait for no holder of an inner lock that stands still."""
