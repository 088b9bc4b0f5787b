"""The programs here import each other by plain names; so tests that import them need this folder in the path."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
