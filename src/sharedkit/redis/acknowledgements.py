"""What a session has to acknowledge in one structure: what its operations got, and their callers have used.

granted   operations whose waits were granted something: the next call on the structure says so
taken     operations that took something at once, by their lanes. A later operation of the lane replaces in the
          server what the lane had taken, so it acknowledges it without a word. Any other call says it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

__all__ = ["Acknowledgements"]

MOST = 200  # acknowledgements that one call carries


class Acknowledgements:
    """Any thread may call these methods."""

    __slots__ = ("granted", "taken")

    def __init__(self) -> None:
        self.granted: deque[int] = deque()
        self.taken: dict[int, int] = {}  # lane -> operation

    def take(self, lane: int, number: int) -> list[tuple[int, int]]:
        """What the operation of that number (0: it is no operation) acknowledges in that lane: pairs of an operation
        and its lane, which is 0 if its wait was granted something."""
        own = self.taken.pop(lane, 0) if number else 0
        acks = [(own, lane)] if own else []
        if not self.granted and not self.taken:
            return acks
        try:
            while self.granted and len(acks) < MOST:
                acks.append((self.granted.popleft(), 0))
            while self.taken and len(acks) < MOST:
                its_lane, other = self.taken.popitem()
                acks.append((other, its_lane))
        except (IndexError, KeyError):  # another thread has taken the last one
            pass
        return acks

    def restore(self, acks: Iterable[tuple[int, int]]) -> None:
        """Have a later call acknowledge these, because the server may not know it yet."""
        for number, lane in acks:
            if lane:
                self.taken.setdefault(lane, number)
            else:
                self.granted.appendleft(number)


def text_of(acks: list[tuple[int, int]], lane: int, number: int) -> bytes:
    """The acknowledgements as the operation of that number says them in that lane: without that of the lane itself."""
    if len(acks) == 1 and number and acks[0][1] == lane:
        return b""
    return b",".join(
        b"%d:%d" % each if each[1] else b"%d" % each[0] for each in acks if not (number and each[1] == lane)
    )
