"""How an exception travels back from the process where a call ran."""

from __future__ import annotations

import pickle
import traceback
from concurrent.futures.process import _RemoteTraceback

__all__ = ["packed_error", "raised", "remote_cause"]


def packed_error(error: BaseException) -> tuple[bytes, str]:
    """The pickled exception and its traceback as text. If pickling fails, the exception says why instead."""
    text = "".join(traceback.format_exception(error))
    try:
        return pickle.dumps(error, protocol=5), text
    except BaseException as why:  # pickling runs the user's code
        what = f"{type(error).__name__} of the task cannot be pickled: {why!r}"
        return pickle.dumps(pickle.PicklingError(what), protocol=5), text


def remote_cause(text: str) -> Exception:
    """The cause of an exception from a worker: the traceback there, shown as ProcessPoolExecutor shows it."""
    return _RemoteTraceback(f'\n"""\n{text}"""')  # type: ignore[arg-type]


def raised(value: object, text: str) -> BaseException:
    """The exception that a call raised, after unpickling; its traceback in the worker, if any, becomes its cause."""
    if not isinstance(value, BaseException):
        value = pickle.UnpicklingError(f"what the call raised is no exception any more, but a {type(value).__name__}")
    if text:  # a frozen dataclass does not allow its cause to be set in the usual way
        BaseException.__setattr__(value, "__cause__", remote_cause(text))
    return value
