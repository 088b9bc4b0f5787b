"""Benchmarks beside the standard library and the best rivals; `docs/benchmarks.md` says how to read them."""
