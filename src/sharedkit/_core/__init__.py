"""What all placements stand on: segments, waits, timeouts, keys. Nothing here imports anything above it."""
