"""The comparison of threads, processes and asyncio."""
