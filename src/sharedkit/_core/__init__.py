"""The base of all placements: segments, waits, timeouts, keys. Nothing here imports anything above it."""
