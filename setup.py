"""The table of compiled modules; everything else is in pyproject.toml."""

from glob import glob

from Cython.Build import cythonize
from setuptools import Extension, setup

KERNELS = sorted(glob("ext/include/*/*.h"))
FLAGS = ["-std=gnu11", "-D_GNU_SOURCE", "-O3", "-fno-strict-aliasing", "-Wall", "-Wextra", "-Wno-unused-function"]


def module(name: str, *, sources: tuple[str, ...] = (), depends: tuple[str, ...] = ()) -> Extension:
    """The compiled module `name`; its folder under ext/ mirrors the package."""
    return Extension(
        name,
        [f"ext/{name.replace('.', '/')}.pyx", *sources],
        include_dirs=["ext/include", "ext/hash"],
        depends=[*KERNELS, *depends],
        extra_compile_args=FLAGS,
    )


MODULES = [
    module("sharedkit._core.segment"),
    module("sharedkit._core.watcher"),
    module("sharedkit.aio._lazy"),
    module("sharedkit._core.receive_buffer"),
    module("sharedkit._core.interrupts"),
    module("sharedkit._core.poller"),
    module("sharedkit._core.keys"),
    module("sharedkit.manager._client_connection"),
    module("sharedkit.manager._exchange"),
    module("sharedkit.manager._door"),
    module("sharedkit.shm._counter"),
    module("sharedkit.shm._codec"),
    module("sharedkit.shm._stalls"),
    module("sharedkit.shm._queue"),
    module("sharedkit.shm._stream_reader"),
    module("sharedkit.shm._stream"),
    module("sharedkit.shm._waiting"),
    module("sharedkit.shm._lock"),
    module("sharedkit.shm._semaphore"),
    module("sharedkit.shm._event"),
    module("sharedkit.shm._barrier"),
    module("sharedkit.shm._sleeping"),
    module("sharedkit.shm._condition"),
    module("sharedkit.shm._rwlock"),
    module("sharedkit.shm._elements"),
    module("sharedkit.shm._array"),
    module("sharedkit.shm._value"),
    module("sharedkit.shm._dict"),
    module("sharedkit.shm._waits"),
    module("sharedkit.thread._items"),
    module("sharedkit.thread._waiters"),
    module("sharedkit.thread._queue"),
    module("sharedkit.thread._ranking"),
    module("sharedkit.thread._stream"),
    module("sharedkit.thread._table"),
    module("sharedkit.hashing._batch", depends=tuple(sorted(glob("ext/hash/*.h")))),
    module(
        "sharedkit.hashing._digests",
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
