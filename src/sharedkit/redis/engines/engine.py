"""What a dispatcher needs of the engine to which it gives its calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

from sharedkit.redis.engines.calls import Outcome, Packed
from sharedkit.redis.engines.record import Owner, Where

__all__ = ["LARGE", "Came", "Counts", "Engine", "Work"]

LARGE = 1 << 20
"""Bytes; a larger call is not counted in a batch, because its data does not go through a scheduler."""

Came = Callable[[tuple[int, Any, "Outcome | None"]], object]
"""Takes the number of a call, its task, and the outcome; None if the task is lost."""

Counts = tuple[tuple[int, ...], int, int]
"""Process ids of the children of one worker, how many calls are with them, how many children have died."""


class Work(NamedTuple):
    """One call for the engine: a key that no other task has, the call, and the most seconds that it may take."""

    key: str
    call: Packed
    limit: float | None


class Engine(Protocol):
    """An engine, as one executor uses it. A task is what the engine has for one attempt at a call."""

    name: str

    def submit(self, work: dict[int, Work], where: Where) -> dict[int, Any]:
        """Have workers run these calls; returns the tasks. Raises whatever the engine raises."""

    def fetch(self, number: int, task: Any, came: Came) -> None:
        """Call `came` when the task is done or lost; in any thread."""

    def forget(self, number: int, task: Any) -> None:
        """Drop the task, None if there is none yet, and the call's data. If it has not run, it need not."""

    def is_pending(self, task: Any) -> bool:
        """Whether the engine still has the task."""

    def state(self, task: Any) -> str:
        """The state of the task, for the text of an error."""

    def status(self) -> str:
        """ "running", or why the engine takes no tasks."""

    def lost(self, tasks: dict[int, Any]) -> Iterable[int]:
        """The numbers of the tasks of which `fetch` will tell nothing more."""

    def failure(self, task: Any) -> BaseException | None:
        """What the task raised by its own fault; None if it did not, or if the engine has lost it."""

    def places(self) -> set[str] | None:
        """The addresses of the workers that are there; None if the engine tells of each death by the tasks."""

    def threads(self) -> int:
        """How many calls the engine runs at once."""

    def end_call(self, where: Where, number: int, owner: Owner) -> bool:
        """End a call that runs in that worker; whether that was possible."""

    def end_children(self, where: Where, kill: bool) -> None:
        """Send SIGKILL, or SIGTERM, to the children of all workers for this executor."""

    def counts(self, where: Where) -> list[Counts]:
        """The counts of each worker that answers."""
