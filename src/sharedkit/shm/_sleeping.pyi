"""A task's sleep in a slot of a condition."""

from asyncio import AbstractEventLoop
from collections.abc import Coroutine
from typing import Any

from typing_extensions import disjoint_base

from sharedkit._core.watcher import Waiter

@disjoint_base
class SleepWaiter(Waiter):
    loop: AbstractEventLoop
    def left(self) -> bool: ...
    def back(self) -> Coroutine[Any, Any, bool]: ...
    def done(self, well: bool) -> None: ...
