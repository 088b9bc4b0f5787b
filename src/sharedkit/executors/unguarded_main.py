"""Detects a main program that starts workers whenever it is imported (each worker imports it); has the error's text."""

from __future__ import annotations

from multiprocessing import spawn
from types import CodeType

__all__ = ["SENTENCE", "UNGUARDED", "is_refusal"]

UNGUARDED = 178  # an exit code that no other code uses
SENTENCE = (
    'the main program starts workers when a worker imports it: put what it does under `if __name__ == "__main__":`'
    ' (with the start methods "spawn" and "forkserver", and behind a server, each worker imports it again)'
)
_CHECK: CodeType = spawn._check_not_importing_main.__code__  # type: ignore[attr-defined]


def is_refusal(error: BaseException | None) -> bool:
    """Whether `error` or one of its causes is multiprocessing's error that no process may be started while a worker
    imports its main program."""
    while error is not None:
        trace = error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code is _CHECK:
                return True
            trace = trace.tb_next
        error = error.__cause__ or error.__context__
    return False
