"""One adaptor file for each implementation that takes part. See `rival.py` for what an adaptor answers."""
