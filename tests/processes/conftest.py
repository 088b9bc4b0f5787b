"""Makes helper modules importable for the tests and for the programs that they start."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
