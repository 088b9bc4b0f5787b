"""The placement of the structures under random kills: shared memory or a server, given by SHAREDKIT_KILLS_IN."""

from __future__ import annotations

import os
from typing import Any

import sharedkit

PLACE = "SHAREDKIT_KILLS_IN"

sk: Any = sharedkit.get_context(os.environ.get(PLACE, "shm"))
