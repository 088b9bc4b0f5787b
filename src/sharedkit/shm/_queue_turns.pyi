"""What a task's wait for a queue looks like."""

from typing_extensions import disjoint_base

from sharedkit._watch import Turn

@disjoint_base
class QueueTurn(Turn): ...

class GetTurn(QueueTurn): ...

@disjoint_base
class GetManyTurn(QueueTurn): ...

@disjoint_base
class PutTurn(QueueTurn): ...

@disjoint_base
class PutManyTurn(QueueTurn):
    @property
    def done(self) -> int: ...

class JoinTurn(QueueTurn): ...
