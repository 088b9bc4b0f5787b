"""Numbers for human readers: three digits and a unit; things counted, with the verb that the number wants."""

from __future__ import annotations

__all__ = ["TIMES", "counted", "duration", "quantity", "ratio"]

TIMES = "\N{MULTIPLICATION SIGN}"


def quantity(number: float, unit: str = "") -> str:
    """1234567 → '1.23 M', with `unit` after the prefix."""
    for size, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size * 0.9995:
            return f"{_three(number / size)} {prefix}{unit}"
    return f"{_three(number)} {unit}".rstrip()


def duration(nanoseconds: float) -> str:
    """1500.0 → '1.50 µs'."""
    for size, unit in ((1e9, "s"), (1e6, "ms"), (1e3, "µs")):
        if nanoseconds >= size * 0.9995:
            return f"{_three(nanoseconds / size)} {unit}"
    return f"{_three(nanoseconds)} ns"


def ratio(number: float) -> str:
    """0.0123 → '0.012', 12.34 → '12.3', with the multiplication sign after it."""
    if number < 0.0995:
        return f"{number:.2g}{TIMES}"
    if number < 9.95:
        return f"{number:.2f}{TIMES}"
    return f"{_three(number)}{TIMES}"


def counted(number: int, noun: str, verb: str = "") -> str:
    """4, "worker", "add" → '4 workers add', and of one: '1 worker adds'."""
    one = number == 1
    return f"{number} {noun}{'' if one else 's'} {verb}{'s' if one and verb else ''}".rstrip()


def _three(number: float) -> str:
    if number < 9.995:
        return f"{number:.2f}"
    if number < 99.95:
        return f"{number:.1f}"
    return f"{number:,.0f}"
