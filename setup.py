"""The table of compiled modules; everything else is in pyproject.toml."""

from glob import glob

from Cython.Build import cythonize
from setuptools import Extension, setup

KERNELS = sorted(glob("ext/include/*.h"))
FLAGS = ["-std=gnu11", "-D_GNU_SOURCE", "-O3", "-fno-strict-aliasing", "-Wall", "-Wextra", "-Wno-unused-function"]


def module(name: str, *, sources: tuple[str, ...] = (), depends: tuple[str, ...] = ()) -> Extension:
    """The compiled module `name`, whose face mirrors the package under ext/."""
    return Extension(
        name,
        [f"ext/{name.replace('.', '/')}.pyx", *sources],
        include_dirs=["ext/include", "ext/hash"],
        depends=[*KERNELS, *depends],
        extra_compile_args=FLAGS,
    )


MODULES = [
    module("sharedkit._segment"),
    module("sharedkit._watch"),
    module("sharedkit._inlet"),
    module("sharedkit._attend"),
    module("sharedkit._look"),
    module("sharedkit._keys"),
    module("sharedkit.manager._stream"),
    module("sharedkit.manager._exchange"),
    module("sharedkit.manager._door"),
    module("sharedkit.shm._counter"),
    module("sharedkit.shm._codec"),
    module("sharedkit.shm._stalls"),
    module("sharedkit.shm._batch"),
    module("sharedkit.shm._queue"),
    module("sharedkit.shm._queue_turns"),
    module("sharedkit.shm._waiting"),
    module("sharedkit.shm._sync"),
    module("sharedkit.shm._rlock"),
    module("sharedkit.shm._semaphore"),
    module("sharedkit.shm._bounded"),
    module("sharedkit.shm._event"),
    module("sharedkit.shm._barrier"),
    module("sharedkit.shm._sleeping"),
    module("sharedkit.shm._condition"),
    module("sharedkit.shm._rwlock"),
    module("sharedkit.shm._elements"),
    module("sharedkit.shm._array"),
    module("sharedkit.shm._value"),
    module("sharedkit.shm._entries"),
    module("sharedkit.shm._dict"),
    module("sharedkit.thread._queue"),
    module("sharedkit.thread._ranking"),
    module("sharedkit.thread._table"),
    module("sharedkit._held", depends=tuple(sorted(glob("ext/hash/*.h")))),
    module(
        "sharedkit._hashing",
        sources=tuple(sorted(glob("ext/hash/*.c"))),
        depends=tuple(sorted(glob("ext/hash/*.h"))),
    ),
]

setup(
    ext_modules=cythonize(
        MODULES,
        include_path=["ext"],
        compiler_directives={
            "language_level": 3,
            "freethreading_compatible": True,
            "boundscheck": False,
            "wraparound": False,
            "initializedcheck": False,
            "embedsignature": False,
            "auto_pickle": False,
            "autotestdict": False,
        },
    )
)
