"""The elements of an array, by flat position."""

import sys

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

@disjoint_base
class Elements:
    """The memory of an array's elements. Views keep this object alive, and it keeps the mapping alive."""

    if sys.version_info >= (3, 12):
        def __buffer__(self, flags: int, /) -> memoryview: ...

def fold(positions: NDArray[np.int64], indices: NDArray[np.int64], length: int, axis: int) -> None: ...
