"""A NumPy array for the threads of this process, with atomic operations on its elements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from sharedkit._core.array_spec import contents_of, geometry
from sharedkit._core.segment import with_own_methods
from sharedkit.segments import DEFAULT_SEATS
from sharedkit.shm import _array
from sharedkit.thread import registry
from sharedkit.thread.lock import Lock

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike

__all__ = ["Array"]


@registry.opens(_array.KIND_ARRAY)
@with_own_methods
class Array(_array.Array):
    """Array(shape, dtype="f8", *, name=None, exist_ok=False, persist=False, seats=192)

    A NumPy array of zeros, in C order, that the threads of this process share. Indexing reads and writes the elements
    themselves; `ndarray` and `np.asarray(array)` are views of them, not copies, and stay valid after `close()`. With
    `exist_ok=True` and the name of an existing array, the result is a further handle on it. `fetch_add`,
    `compare_exchange` and `add_at` change each element in one atomic step; `array[i] += 1` is several steps: hold
    `lock` around it.

    Raises TypeError for a dtype with Python objects, ValueError for a negative length or when the existing structure is
    not an array with the same parameters, FileExistsError when `name` is taken and not `exist_ok`, MemoryError.
    """

    __slots__ = ()

    _lock_class = Lock

    def __init__(
        self,
        shape: int | tuple[int, ...],
        dtype: DTypeLike = "f8",
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = DEFAULT_SEATS,
    ) -> None:
        plan = _array.blueprint(*geometry(shape, dtype), None)
        self._open(registry.create(plan, name, exist_ok, persist, seats))

    @classmethod
    def from_array(  # type: ignore[override]  # no other process: no mode, no group
        cls,
        array: ArrayLike,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = DEFAULT_SEATS,
    ) -> Self:
        """Return a new array with the shape, the dtype and a copy of the elements of `array`, or of what
        `numpy.asarray` makes of it. With `exist_ok`, an existing array of the same shape and dtype keeps its own
        elements, as a Counter keeps its value.

        Raises as `Array` does.
        """
        contents = contents_of(array)
        plan = _array.blueprint(contents.shape, contents.dtype, contents)
        self = cls.__new__(cls)
        self._open(registry.create(plan, name, exist_ok, persist, seats))
        return self
