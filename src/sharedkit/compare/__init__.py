"""`sharedkit compare`: the same program over threads, processes and asyncio, measured side by side.

`workload` says what a workload is, `crew` keeps warm workers, `runner` measures, `report` holds the numbers, `table`
and `chart` show them. `WORKLOADS` in `catalogue` is the list; each of `digests`, `counter`, `queue`, `array` is one.
"""
