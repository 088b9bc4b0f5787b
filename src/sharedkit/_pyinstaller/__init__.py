"""For PyInstaller, which finds this folder by the package's entry point `pyinstaller40`. Nothing else imports it."""

from pathlib import Path

__all__ = ["get_hook_dirs"]


def get_hook_dirs() -> list[str]:
    """The folders with hooks: this one."""
    return [str(Path(__file__).parent)]
