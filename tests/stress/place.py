"""Where the structures under random kills are: in shared memory, or behind a server, as SHAREDKIT_KILLS_IN says."""

from __future__ import annotations

import os
from typing import Any

import sharedkit

PLACE = "SHAREDKIT_KILLS_IN"

sk: Any = sharedkit.get_context(os.environ.get(PLACE, "shm"))
