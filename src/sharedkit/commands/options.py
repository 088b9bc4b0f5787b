"""Kinds of options that several commands take, with the words for what is no such thing."""

from __future__ import annotations

from math import isnan, nan
from typing import Any

import click

__all__ = ["Seconds", "Whole"]


class Whole(click.IntRange):
    """An integer, `least` or more; click calls it an "integer range"."""

    name = "integer"

    def __init__(self, least: int) -> None:
        super().__init__(least)


class Seconds(click.FloatRange):
    """A time from `least` (`min_open`: more than that) to one hour, which is a number: click lets NaN through."""

    name = "seconds"

    def __init__(self, least: float, min_open: bool = False) -> None:
        super().__init__(least, 3600, min_open)

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> float:
        """The number. BadParameter."""
        try:
            seconds = float(value)
        except (TypeError, ValueError):
            seconds = nan
        if isnan(seconds):
            self.fail(f"{value!r} is not a number of seconds.", param, context)
        return float(super().convert(seconds, param, context))
