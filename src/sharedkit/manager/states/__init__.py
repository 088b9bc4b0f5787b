"""The server's state of each kind of structure, a file for each concept. Importing this registers every kind."""

from sharedkit.manager.states.array import ArrayState
from sharedkit.manager.states.barrier import BarrierState
from sharedkit.manager.states.base import Call, Session, State, kinds
from sharedkit.manager.states.condition import ConditionState
from sharedkit.manager.states.counter import CountersState, CounterState
from sharedkit.manager.states.dict import DictState, SetState
from sharedkit.manager.states.event import EventState
from sharedkit.manager.states.executor import ExecutorState
from sharedkit.manager.states.lock import LockState, RLockState
from sharedkit.manager.states.queue import LifoQueueState, PriorityQueueState, QueueState
from sharedkit.manager.states.rwlock import RWLockState
from sharedkit.manager.states.semaphore import BoundedSemaphoreState, SemaphoreState
from sharedkit.manager.states.value import RawValueState, ValueState

__all__ = [
    "ArrayState",
    "BarrierState",
    "BoundedSemaphoreState",
    "Call",
    "ConditionState",
    "CounterState",
    "CountersState",
    "DictState",
    "EventState",
    "ExecutorState",
    "LifoQueueState",
    "LockState",
    "PriorityQueueState",
    "QueueState",
    "RLockState",
    "RWLockState",
    "RawValueState",
    "SemaphoreState",
    "Session",
    "SetState",
    "State",
    "ValueState",
    "kinds",
]
