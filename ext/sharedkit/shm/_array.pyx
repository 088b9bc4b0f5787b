# cython: language_level=3
"""The array: NumPy's interface to elements in shared memory, atomic steps on them, and a lock."""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.number cimport PyNumber_AsSsize_t
from cpython.ref cimport Py_DECREF
from libc cimport errno
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

from sharedkit._core.segment cimport (
    SK_CORRUPT, SK_EXISTS, SK_LARGEST, SK_NO_MEMORY,
    Dropped, Handle, PrivateSegment, Segment, closed, ends_anywhere, create_segment, keep, refuse, sk_plan,
    sk_segment,
)
from sharedkit._core.segment import PrivatePlace
from sharedkit.shm._elements cimport Elements, elements_of

import math
import os

import numpy as np

from sharedkit import errors, segments
from sharedkit._core import segment as core
from sharedkit._core.differences import unlike
from sharedkit._core.array_spec import contents_of, geometry
from sharedkit.shm import described, scatter
from sharedkit.shm._lock import Lock


cdef extern from "structures/sk_array.h" nogil:
    enum: SK_ARRAY_ITEMSIZE, SK_ARRAY_COUNT, SK_ARRAY_DATA

    uint64_t sk_body_at(uint32_t seats, uint64_t meta_len) noexcept
    uint64_t sk_array_data_at(uint64_t body, uint32_t seats, uint64_t bytes) noexcept
    void sk_array_fill_from(const void *contents) noexcept
    int sk_array_fill(sk_segment *s) noexcept

KIND_ARRAY = 5
LARGEST = SK_LARGEST // 2
LOCK_AT = 0         # in the body: see sk_array.h
cdef object NDARRAY = np.ndarray


cdef uint64_t room_left():
    """Return how many bytes are free in the folder of segments, or the largest number if that is unknown.

    In that case the creation of the segment reports the error."""
    try:
        room = os.statvfs(core.FOLDER)
    except OSError:
        return <uint64_t>-1
    return room.f_bavail * room.f_frsize if room.f_blocks else <uint64_t>-1


def make(
    place, str name, uint32_t seats, uint32_t flags, uint64_t itemsize, uint64_t count, bytes meta, contents=None,
    uint32_t kind=KIND_ARRAY
):
    """Make an array segment of zeros, or with the `contents` of a NumPy array of the same number of bytes.

    The contents are in the segment before it gets its name. The caller has checked that the elements take at most
    LARGEST bytes."""
    cdef sk_plan plan
    cdef Py_buffer source
    cdef uint64_t size = itemsize * count, body = sk_body_at(seats, len(meta))
    cdef bint private = type(place) is PrivatePlace
    memset(&plan, 0, sizeof(plan))
    if not private and os.path.lexists(place.path):    # first, so that no memory is reserved in vain
        refuse(SK_EXISTS, 0, None)
    plan.kind = kind
    plan.flags = flags
    plan.seats = seats
    plan.param[SK_ARRAY_ITEMSIZE] = itemsize
    plan.param[SK_ARRAY_COUNT] = count
    plan.param[SK_ARRAY_DATA] = sk_array_data_at(body, seats, size)
    plan.body_len = plan.param[SK_ARRAY_DATA] - body + size
    plan.meta = <const char *>meta
    plan.meta_len = len(meta)
    if not private and plan.body_len > room_left():    # first, because the attempt would use up all free pages
        errno.errno = errno.ENOSPC
        refuse(SK_NO_MEMORY, size, None)
    if contents is None or size == 0:
        return create_segment(place, name, &plan)
    PyObject_GetBuffer(contents.reshape(-1).view("u1"), &source, PyBUF_SIMPLE)
    try:
        if <uint64_t>source.len != size:
            raise ValueError(f"{source.len} bytes for an array of {size}")
        sk_array_fill_from(source.buf)
        plan.fill = sk_array_fill
        return create_segment(place, name, &plan)
    finally:
        PyBuffer_Release(&source)


def blueprint(tuple lengths, element, contents, kind=KIND_ARRAY):
    """Return the blueprint of an array, or of another structure with elements, of that shape and dtype: zeros or a copy
    of `contents`. Raises TypeError, OutOfSharedMemory."""
    count = math.prod(lengths)
    if element.itemsize * count > LARGEST:
        raise errors.OutOfSharedMemory(
            f"{element.itemsize * count:,} bytes were asked for, a segment holds at most {LARGEST:,}"
        )

    def made(place, name, seats, flags):
        meta = b"" if type(place) is PrivatePlace else described.encode(lengths, element)
        segment = make(place, name, seats, flags, element.itemsize, count, meta, contents, kind)
        if type(place) is PrivatePlace:
            segment.partner = lengths, element
        return segment

    return segments.Blueprint(kind, made, lambda there: differs(there, lengths, element))


cdef class Array(Handle):
    """Array(shape, dtype="f8", *, name=None, exist_ok=False, persist=False, seats=192, mode=None, group=None)\n--\n
    A NumPy array of zeros, in C order, that threads and processes share; any dtype without Python objects.

    Indexing, `len` and iteration act on the elements themselves; `ndarray`, `np.asarray(array)` and
    `memoryview(array)` are views of them, which keep the segment attached even after `close()`. `fetch_add`,
    `compare_exchange` and `add_at` change each element in one atomic step; `array[i] += 1` is several steps: hold
    `lock` around it. A handle equals only itself; compare elements with `np.array_equal`. `seats`: how many processes
    can attach at once.
    Raises TypeError for a dtype with Python objects, ValueError for a negative length, FileExistsError when `name` is
    taken and not `exist_ok`, ValueError when the existing structure differs, OutOfSharedMemory.
    """

    _lock_class = Lock

    cdef Elements elements
    cdef object array            # ndarray over all elements; None once closed
    cdef object users_lock
    cdef bint exports            # whether a buffer describes the dtype completely, so that np.asarray may use it
    cdef uint32_t axes
    cdef Py_ssize_t *lengths     # of the axes

    def __init__(
        self, shape, dtype="f8", *, name=None,
        exist_ok=False, persist=False, seats=segments.DEFAULT_SEATS, mode=None, group=None
    ):
        lengths, element = geometry(shape, dtype)
        self._create(lengths, element, None, name, exist_ok, persist, seats, mode, group)

    @classmethod
    def from_array(
        cls, array, *, name=None, exist_ok=False, persist=False, seats=segments.DEFAULT_SEATS, mode=None, group=None
    ):
        """Return a new array with the shape, the dtype and a copy of the elements of `array`, or of what
        `numpy.asarray` makes of it. The elements are in place before any process can attach. With `exist_ok`, an
        existing array of the same shape and dtype keeps its own elements, as a Counter keeps its value.

        Raises as `Array` does.
        """
        cdef Array self = cls.__new__(cls)
        contents = contents_of(array)
        self._create(contents.shape, contents.dtype, contents, name, exist_ok, persist, seats, mode, group)
        return self

    cdef _create(self, tuple lengths, element, contents, name, exist_ok, persist, seats, mode, group):
        """Bind to the new segment, or to an equal one that already exists."""
        plan = blueprint(lengths, element, contents)
        self._open(segments.create(plan, name, exist_ok, persist, seats, mode, group))

    @classmethod
    def _of(cls, Segment segment):
        self = cls.__new__(cls)
        self._open(segment)
        return self

    def __dealloc__(self):
        PyMem_Free(self.lengths)

    def _open(self, Segment segment):
        """Bind to the elements. Raises CorruptSegmentError if their description is inconsistent."""
        cdef tuple shape
        shape, dtype = description_of(segment)
        cdef Elements elements = elements_of(segment, dtype)
        if math.prod(shape) != elements.count:
            refuse(SK_CORRUPT, 0, segment)
        array = ends_anywhere(np.ndarray(shape, dtype, buffer=elements))
        PyMem_Free(self.lengths)
        self.axes = 0
        self.lengths = <Py_ssize_t *>PyMem_Malloc(max(len(shape), 1) * sizeof(Py_ssize_t))
        if self.lengths is NULL:
            raise MemoryError
        for length in shape:
            self.lengths[self.axes] = length
            self.axes += 1
        self.exports = dtype.kind != "V" or comes_back(array[:0] if shape else array)
        self.users_lock = self._lock_class._in(segment, LOCK_AT)
        self.array = array
        self.elements = elements
        self.bind(segment)

    def close(self):
        """Detach from the segment. Using the handle afterwards raises ClosedError; its views and its lock keep working.
        """
        Handle.close(self)

    cdef void drop(self, Dropped *dropped) noexcept:
        keep(dropped, self.array)
        keep(dropped, self.elements)
        keep(dropped, self.users_lock)
        self.array = self.elements = self.users_lock = None
        Handle.drop(self, dropped)

    cdef object all(self):
        if self.s is NULL:
            closed(self)
        return self.array

    # --- the interface of an array ---------------------------------------------------------------

    @property
    def ndarray(self):
        """A view of the elements, not a copy. It keeps the segment attached, even after `close()`."""
        return ends_anywhere(self.all().view())

    @property
    def lock(self):
        """A lock whose meaning the users agree on; every handle has the same one. No method here takes it."""
        if self.s is NULL:
            closed(self)
        return self.users_lock

    @property
    def shape(self):
        """The length of each axis."""
        return self.all().shape

    @property
    def dtype(self):
        """The type of one element."""
        return self.all().dtype

    @property
    def ndim(self):
        """How many axes there are."""
        return self.all().ndim

    @property
    def size(self):
        """How many elements there are."""
        return self.all().size

    @property
    def nbytes(self):
        """How many bytes the elements take."""
        return self.all().nbytes

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        array = self.all()
        if not self.exports:
            raise BufferError(f"a buffer cannot describe {array.dtype} in full: take .ndarray")
        PyObject_GetBuffer(array, buffer, flags)
        Py_DECREF(None)  # Cython had set the buffer's `obj` to None; NumPy has set it anew

    def __array__(self, dtype=None, copy=None):
        array = self.ndarray
        if dtype is not None and np.dtype(dtype) != array.dtype:
            if copy is False:
                raise ValueError(f"{array.dtype} cannot become {np.dtype(dtype)} without a copy")
            return array.astype(dtype)
        return array.copy() if copy else array

    def __len__(self):
        return len(self.all())

    def __iter__(self):
        return iter(self.all())

    def __getitem__(self, key):
        array = self.all()    # kept in a local variable: the key may close the handle
        return array[key]

    def __setitem__(self, key, value):
        array = self.all()
        array[key] = value

    # --- atomic steps ------------------------------------------------------------------------------

    cdef Py_ssize_t along(self, object index, uint32_t axis) except -1:
        """Return the index on one axis, counted from its start. Raises IndexError, TypeError."""
        cdef Py_ssize_t length = self.lengths[axis]
        cdef Py_ssize_t place = PyNumber_AsSsize_t(index, IndexError)
        if place < 0:
            place += length
        if not 0 <= place < length:
            raise IndexError(f"index {index} is out of bounds for axis {axis} with size {length}")
        return place

    cdef Py_ssize_t place(self, object index) except -1:
        """Return the flat position of the one element `index`. Raises IndexError, TypeError."""
        cdef Py_ssize_t flat = 0
        cdef uint32_t axis
        if self.axes == 1 and not isinstance(index, tuple):
            return self.along(index, 0)
        key = index if isinstance(index, tuple) else (index,)
        if len(key) != self.axes:
            raise IndexError(f"one element of {self.axes} axes needs as many indices: {index!r}")
        for axis in range(self.axes):
            flat = flat * self.lengths[axis] + self.along(key[axis], axis)
        return flat

    @cython.binding(False)
    def fetch_add(self, index, n):
        """fetch_add($self, index, n)\n--\n
        Add `n` to one element in one step and return the value from before, as a Python number.

        Works on integers of 8 to 64 bits, which wrap around at the ends of their type as NumPy's do, and on floats of
        32 and 64 bits. Raises IndexError; TypeError for another dtype or byte order, or for a float `n` and an integer
        dtype; OverflowError for an `n` that the dtype cannot hold.
        """
        cdef Elements elements = self.elements    # kept in a local variable: an argument may close the handle
        if self.s is NULL:
            closed(self)
        elements.require_number()
        return elements.add(self.place(index), n)

    @cython.binding(False)
    def compare_exchange(self, index, expected, desired):
        """compare_exchange($self, index, expected, desired)\n--\n
        Set one element to `desired` if it is `expected`, in one step; return whether it was.

        Works on every dtype of 1, 2, 4 or 8 bytes. Compares the bytes: 0.0 is not equal to -0.0, a NaN equals itself.
        Raises IndexError, OverflowError as `fetch_add` does, TypeError for another size and for values of a wrong type.
        """
        cdef Elements elements = self.elements
        if self.s is NULL:
            closed(self)
        if elements.itemsize not in (1, 2, 4, 8):
            raise TypeError(f"compare_exchange needs elements of 1, 2, 4 or 8 bytes: {elements.dtype}")
        return elements.exchange_if(self.place(index), expected, desired)

    def add_at(self, indices, values):
        """Add `values` to the elements at `indices`, each in one atomic step; an index that occurs twice is added to
        twice.

        `indices` and `values` are as for `numpy.add.at`: integers of any shape for one axis, a tuple of such for
        several axes, or any other index; `values` must broadcast to it. Dtypes are as for `fetch_add`. A large batch
        releases the GIL. If a call hits each element many times, it may add its summed values to an element in one
        step.
        Raises, with nothing added: IndexError out of range, TypeError for another dtype or for values of a wrong type,
        OverflowError for values that the dtype cannot hold, ValueError for values that do not broadcast.
        """
        cdef Elements elements = self.elements
        if self.s is NULL:
            closed(self)
        array = self.array
        elements.require_number()
        if type(indices) is NDARRAY and array.ndim == 1 and (type(values) is int or type(values) is float):
            if elements.add_one_many(indices, values):
                return
        positions = scatter.positions_of(array.shape, indices)
        if type(values) is not int and type(values) is not float:
            values = scatter.summands_of(array.dtype, values, positions.shape)
        elements.add_many(positions, values)

    # --- about itself -------------------------------------------------------------------------------

    def statistics(self):
        """Return the shape and dtype, the attached processes and the lock's holder at this moment: an ArrayStatistics.
        """
        if self.s is NULL:
            closed(self)
        segment, array, lock = self.segment, self.array, self.users_lock    # another thread may close the handle
        from sharedkit.statistics import ArrayStatistics
        return ArrayStatistics(
            name=segment.name,
            kind="Array",
            shape=array.shape,
            dtype=str(array.dtype),
            nbytes=array.nbytes,
            attached=segment.attached(),
            lock_owner=lock.owner,
        )

    def __repr__(self):
        if self.s is NULL:
            return "<Array closed>"
        return f"<Array shape={self.shape} dtype={self.dtype} name={self.name!r}>"


cdef object description_of(Segment segment):
    """Return the shape and the dtype. Raises CorruptSegmentError."""
    if isinstance(segment, PrivateSegment):
        return segment.partner
    return described.decode(segment.meta)


cdef object differs(Segment there, lengths, element):
    shape, dtype = description_of(there)
    return unlike("shape", shape, lengths) or unlike("dtype", dtype, element)


cdef bint comes_back(array) except -1:
    """Return whether NumPy makes the same dtype again from the array's buffer."""
    try:
        again = np.asarray(memoryview(array)).dtype
    except (ValueError, BufferError, TypeError, RuntimeError):
        return False
    return again == array.dtype and again.type is array.dtype.type


def state(Segment segment):
    """Describe the state in one line, for listings."""
    array = Array._of(segment)
    return f"{array.dtype} {array.shape}, {array.lock._held_text()}"


segments.register_kind(segments.Kind(KIND_ARRAY, "Array", Array._of, state, SK_ARRAY_DATA))
