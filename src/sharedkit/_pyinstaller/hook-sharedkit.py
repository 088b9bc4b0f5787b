"""The modules that PyInstaller must add to a frozen program that imports sharedkit.

PyInstaller reads Python sources, so it does not see what compiled modules import, nor what is imported by name.
"""

from PyInstaller.utils.hooks import collect_submodules

# A program gets the command line and its extras only if it imports them itself.
APART = ("sharedkit.compare", "sharedkit.commands", "sharedkit.__main__", "sharedkit._pyinstaller")


def is_part(name: str) -> bool:
    """Whether the module belongs to every program."""
    return not name.startswith(APART)


hiddenimports = [
    *collect_submodules("sharedkit", filter=is_part),
    # modules of the standard library and NumPy that compiled modules import; tests/unit/test_pyinstaller.py compares
    "_thread", "atexit", "collections.abc", "errno", "functools", "inspect", "math", "numpy", "operator", "os",
    "pickle", "queue", "resource", "socket", "struct", "threading", "time", "types", "typing", "warnings",
]  # fmt: skip
