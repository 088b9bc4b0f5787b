"""A Ray cluster of the tests' own, with two processors; it starts at the first use and ends with the process."""

from __future__ import annotations

import atexit
import os
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from redis_server import ABSENT as NO_REDIS

__all__ = ["ABSENT", "the_ray"]

TESTS = Path(__file__).parent
MEMORY = 100 << 20  # bytes for objects
STARTS = 4  # attempts to start it: Ray gives its own servers 30 seconds, which is too short on a busy machine


def _why_absent() -> str | None:
    if NO_REDIS is not None:
        return NO_REDIS
    if find_spec("ray") is None:
        return 'Ray is not installed: pip install "sharedkit[ray]"'
    return None


ABSENT = _why_absent()


@cache
def the_ray() -> Any:
    """The module ray, connected to a cluster."""
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # it writes a token to the user's folder otherwise
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    paths = [str(TESTS), *(path for path in sys.path if path)]
    for attempt in range(STARTS):
        try:
            ray.init(
                num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=MEMORY,
                runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(paths)}},
            )  # fmt: skip
            break
        except Exception as why:  # Ray has no class for it
            ray.shutdown()
            if attempt == STARTS - 1 or "timed out during startup" not in str(why):
                raise
    atexit.register(ray.shutdown)
    return ray
