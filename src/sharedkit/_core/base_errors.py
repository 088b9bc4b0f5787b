"""Bases of the exceptions in `sharedkit.errors`, for exceptions that are defined in other modules."""

from __future__ import annotations

__all__ = ["ServerGoneError", "SharedkitError"]


class SharedkitError(Exception):
    """Base class of the kit's own exceptions, for `except` clauses that want them all."""

    __module__ = "sharedkit.errors"


class ServerGoneError(SharedkitError, ConnectionError):
    """Raised when the server of a structure does not answer or has ended; what it held is lost. Start another."""

    __module__ = "sharedkit.errors"
