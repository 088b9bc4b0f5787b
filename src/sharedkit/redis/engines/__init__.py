"""Executors whose calls run on an engine that exists: the side of the program that submits, and that of a worker.

`dask.py` and `ray.py` are the engines, `engine.py` is what they have in common. They need the extras `sharedkit[dask]`
and `sharedkit[ray]`. No other module of sharedkit imports this package before an executor is made.
"""
