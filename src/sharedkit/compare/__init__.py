"""`sharedkit compare`: the same program over threads, processes and asyncio, measured side by side.

`workload` defines what a workload is, `crew` keeps warm workers, `runner` measures, `report` holds the numbers, `table`
and `chart` show them. `WORKLOADS` in `catalogue` lists the workloads; `digests`, `counter` and others are one each.
"""
