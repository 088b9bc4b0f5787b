"""Bases of the exceptions in `sharedkit.errors`, for exceptions that are defined in other modules."""

from __future__ import annotations

__all__ = ["ServerGoneError", "SharedkitError"]


class SharedkitError(Exception):
    """Base class of sharedkit's own exceptions, for an `except` clause that catches all of them."""

    __module__ = "sharedkit.errors"


class ServerGoneError(SharedkitError, ConnectionError):
    """Raised when the server of a structure does not answer or has ended; its contents are lost. Start a new server."""

    __module__ = "sharedkit.errors"
