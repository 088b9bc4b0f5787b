"""One adaptor file for each implementation that takes part. `rival.py` defines the interface of an adaptor."""
