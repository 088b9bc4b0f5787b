"""Placement `thread`: the state lives in this process, for its threads; the baseline of every comparison."""

from sharedkit.thread.array import Array
from sharedkit.thread.counter import Counter, Counters
from sharedkit.thread.dict import Dict
from sharedkit.thread.handle import attach
from sharedkit.thread.queue import Queue

__all__ = ["Array", "Counter", "Counters", "Dict", "Queue", "attach"]
