"""The hashing code without Python, under AddressSanitizer and UBSan, with messages that end at an unmapped page."""

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("hash_guard.sh")


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_no_kernel_reads_past_its_message(tmp_path: Path) -> None:
    done = subprocess.run([SCRIPT, tmp_path], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert "right at the edge" in done.stdout
