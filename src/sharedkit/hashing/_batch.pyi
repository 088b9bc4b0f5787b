from typing_extensions import disjoint_base

@disjoint_base
class Held:
    @property
    def count(self) -> int: ...
    def __new__(cls) -> Held: ...
