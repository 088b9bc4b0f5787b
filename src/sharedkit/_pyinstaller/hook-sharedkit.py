"""What a frozen program that imports sharedkit takes along.

PyInstaller reads Python sources, so it sees nothing of what compiled modules import, nor what is imported by name.
"""

from PyInstaller.utils.hooks import collect_submodules

# The command line with its extras comes with a program that imports it itself.
APART = ("sharedkit.compare", "sharedkit.commands", "sharedkit.__main__", "sharedkit._pyinstaller")


def is_part(name: str) -> bool:
    """Whether the module belongs to every program."""
    return not name.startswith(APART)


hiddenimports = [
    *collect_submodules("sharedkit", filter=is_part),
    # of the standard library and NumPy, by compiled modules; tests/unit/test_pyinstaller.py compares
    "_thread", "atexit", "collections.abc", "errno", "functools", "inspect", "math", "numpy", "operator", "os",
    "pickle", "queue", "resource", "socket", "struct", "threading", "time", "types", "typing", "warnings",
]  # fmt: skip
