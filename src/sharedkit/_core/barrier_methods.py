"""The common part of the barriers behind a server: checks of arguments, the action, what statistics say."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from sharedkit._core.counts import number_of
from sharedkit._core.handle_methods import HandleMethods
from sharedkit._core.timeouts import LONGEST, span, too_long
from sharedkit.statistics import BarrierStatistics

__all__ = ["BarrierMethods", "checked_parties"]


def checked_parties(parties: object) -> int:
    """The number of parties. Raises TypeError, ValueError."""
    wanted = number_of("parties", parties)
    if wanted < 1:
        raise ValueError(f"parties must be > 0: {wanted}")
    return wanted


class BarrierMethods(HandleMethods):
    """The rest of a barrier, built on `statistics`."""

    _action: Callable[[], object] | None = None

    @abstractmethod
    def statistics(self) -> BarrierStatistics:
        """Return the parties that have come and the state of the barrier: a BarrierStatistics."""

    def _time(self, timeout: float | None) -> float | None:
        """A timeout for the server. Raises TypeError, ValueError; OverflowError if it is too long and the call has to
        wait."""
        number = span(timeout)
        if number is None or number <= LONGEST:
            return number
        snapshot = self.statistics()
        if snapshot.state == "broken" or snapshot.waiting + 1 >= snapshot.parties:
            return LONGEST  # such a wait ends at once
        raise too_long()

    @property
    def parties(self) -> int:
        """How many parties must come."""
        return self.statistics().parties

    @property
    def n_waiting(self) -> int:
        """How many parties have come and wait for the others."""
        return self.statistics().waiting

    @property
    def broken(self) -> bool:
        """Whether the barrier is broken."""
        return self.statistics().state == "broken"

    def __reduce__(self) -> tuple[Any, ...]:
        reduced: Any = super().__reduce__()
        arrive, arguments = reduced
        return (arrive, arguments) if self._action is None else (_acting, (arrive, arguments, self._action))

    def __repr__(self) -> str:
        if self.closed:
            return super().__repr__()
        snapshot = self.statistics()
        shown = "broken" if snapshot.state == "broken" else f"waiters={snapshot.waiting}/{snapshot.parties}"
        return f"<sharedkit.Barrier at {id(self):#x} name={self._name!r}: {shown}>"


def _acting(arrive: Callable[..., BarrierMethods], arguments: Any, action: Callable[[], object]) -> BarrierMethods:
    """Unpickle a barrier together with its action."""
    barrier = arrive(*arguments)
    barrier._action = action
    return barrier
