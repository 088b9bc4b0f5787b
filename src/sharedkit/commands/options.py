"""Kinds of options that several commands take."""

from __future__ import annotations

from typing import Any

import click

__all__ = ["Seconds"]


class Seconds(click.FloatRange):
    """A time from `least` to one hour, which is a number: click lets NaN through."""

    name = "seconds"

    def __init__(self, least: float) -> None:
        super().__init__(least, 3600)

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> float:
        """The number. BadParameter."""
        seconds = super().convert(value, param, context)
        if seconds != seconds:
            self.fail(f"{value!r} is no number of seconds", param, context)
        return float(seconds)
