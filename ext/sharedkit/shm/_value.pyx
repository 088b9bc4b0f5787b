# cython: language_level=3
"""Single values: one compiled call takes the lock if there is one, reads or writes the value, and releases the lock."""

from libc.stdint cimport uint64_t

from sharedkit._core.segment cimport Dropped, Handle, Segment, closed, keep
from sharedkit.shm._lock cimport RLock

cdef uint64_t FOR_EVER = <uint64_t>-1


cdef class Memory(Handle):
    """Memory()\n--\n
    A `ctypes` object over the one element of an array in the handle's segment.
    """

    cdef readonly object _array  # None once closed
    cdef readonly object _cell

    def _hold(self, array, cell, Segment segment):
        self._array, self._cell = array, cell
        self.bind(segment)

    def close(self):
        """Detach from the value. Using the handle afterwards raises ClosedError; closing again does nothing.
        """
        array = self._array
        Handle.close(self)
        if array is not None:
            array.close()

    cdef void drop(self, Dropped *dropped) noexcept:
        keep(dropped, self._array)
        keep(dropped, self._cell)
        self._array = self._cell = None
        Handle.drop(self, dropped)

    cdef object cell(self):
        if self.s is NULL:
            closed(self)
        return self._cell

    @property
    def value(self):
        """The value. A read is one step, and so is a write. As in `ctypes`, a number that is too large wraps around."""
        return self.cell().value

    @value.setter
    def value(self, value):
        self.cell().value = value


cdef class LockedMemory(Memory):
    """LockedMemory()\n--\n
    A Memory with a lock: one in the segment, or the given one.
    """

    cdef RLock own               # None if another lock was given, or after `close()`
    cdef readonly object _given

    def _lock_by(self, own, given):
        self.own, self._given = own, given

    cdef void drop(self, Dropped *dropped) noexcept:
        keep(dropped, self.own)
        keep(dropped, self._given)
        self.own = self._given = None
        Memory.drop(self, dropped)

    def get_lock(self):
        """Return the lock that each read and write takes: an RLock, or the given lock."""
        if self.s is NULL:
            closed(self)
        return self.own if self._given is None else self._given

    def get_obj(self):
        """Return the `ctypes` object over the value's own memory; no lock guards it, and it outlives `close()`."""
        return self.cell()

    @property
    def value(self):
        """The value. Each read and write holds the lock. As in `ctypes`, a number that is too large wraps around.

        `v.value += 1` reads, then writes: hold the lock around it, or use a Counter.
        """
        cell = self.cell()
        cdef RLock own = self.own
        if own is None:
            with self._given:
                return cell.value
        own.take(FOR_EVER)
        try:
            return cell.value
        finally:
            own.free()

    @value.setter
    def value(self, value):
        cell = self.cell()
        cdef RLock own = self.own
        if own is None:
            with self._given:
                cell.value = value
            return
        own.take(FOR_EVER)
        try:
            cell.value = value
        finally:
            own.free()
