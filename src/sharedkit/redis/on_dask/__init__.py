"""An executor whose calls run on a Dask cluster: the side of the program that submits, and the side of a Dask worker.

Needs the extra `sharedkit[dask]`. No other module of sharedkit imports this package before an executor is made.
"""
