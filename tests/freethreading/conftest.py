"""The programs here are modules, too, which name each other as where they are run."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
