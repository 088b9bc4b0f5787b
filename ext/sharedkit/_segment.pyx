# cython: language_level=3
"""A process's hold on one segment, and the handles that share it."""

import errno as _errno
import os

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.errno cimport errno
from libc.stdlib cimport calloc, free

from sharedkit import errors


cdef extern from "sk_segment.h" nogil:
    int sk_segment_create(sk_segment *s, const char *folder, const char *path, const sk_plan *plan) noexcept
    int sk_segment_attach(sk_segment *s, const char *path, cbool sit) noexcept
    void sk_segment_leave(sk_segment *s) noexcept
    void sk_segment_abandon(sk_segment *s) noexcept
    void sk_segment_after_fork(sk_segment *s) noexcept
    int sk_segment_transit(const sk_segment *s, uint64_t dice) noexcept
    int sk_segment_sweep(const char *path) noexcept
    cbool sk_file_is_at(int fd, const char *path) noexcept
    int64_t sk_file_held(int fd) noexcept
    cbool sk_seat_taken(const sk_seats *s, uint32_t seat) noexcept
    cbool sk_seat_lives(const sk_seats *s, uint32_t owner) noexcept
    uint32_t sk_owner_seat(uint32_t owner) noexcept

cdef extern from "sk_exit.h" nogil:
    void sk_hold_add(sk_hold *hold) noexcept
    void sk_hold_drop(sk_hold *hold) noexcept
    void sk_hold_leave(sk_hold *hold) noexcept
    void sk_leave_all() noexcept


cdef extern from "Python.h":
    int Py_AtExit(void (*last)() noexcept nogil) noexcept

cdef uint64_t FOR_EVER = <uint64_t>-1
FOLDER = "/dev/shm"
MAX_SEATS = SK_SEATS_MAX
PERSIST = SK_PERSIST

cdef int closed() except -1:
    raise errors.ClosedError("operation on a closed handle")


cdef int refuse(int status, uint64_t asked) except -1:
    """The one place where a kernel's status becomes an exception. `asked` is a number of bytes, or 0."""
    cdef int reason = errno
    if status == SK_NO_MEMORY:
        room = os.statvfs(FOLDER)
        left = room.f_bavail * room.f_frsize
        wanted = f"{asked:,} bytes were asked for" if asked else "no more memory could be reserved"
        raise errors.OutOfSharedMemory(
            f"{wanted}, {left:,} are free in {FOLDER} ({os.strerror(reason)}): free some, or enlarge it "
            f"(docker run --shm-size=…, mount -o remount,size=… {FOLDER})"
        )
    if status == SK_TOO_LARGE:
        raise ValueError(f"too large for this structure: {asked:,} bytes")
    if status == SK_CORRUPT:
        raise errors.CorruptSegmentError("the segment contradicts itself: remove it with `sharedkit rm --force`")
    if status == SK_FOREIGN:
        raise errors.CorruptSegmentError("not a sharedkit segment, or one of another layout")
    if status == SK_NO_SEAT:
        raise errors.SeatsExhausted(_errno.EAGAIN, "no seat in the segment: create it with a larger seats=")
    if status == SK_GONE:
        raise FileNotFoundError(_errno.ENOENT, "no such segment")
    if status == SK_EXISTS:
        raise FileExistsError(_errno.EEXIST, "the name is taken")
    if status == SK_OVERFLOW:
        raise OverflowError("the result does not fit; the value is kept")
    if status == SK_EXCESS:
        raise ValueError("task_done() called too many times")
    if status == SK_BUSY:
        raise BlockingIOError(_errno.EAGAIN, "the segment is just being removed")
    if status == SK_SYSTEM:
        raise OSError(reason, os.strerror(reason))
    raise AssertionError(f"kernel status {status}")


cdef uint64_t deadline_of(object timeout) except? 0:
    """Monotonic nanoseconds of `timeout` seconds from now; None is for ever."""
    if timeout is None:
        return FOR_EVER
    cdef double seconds = timeout
    if not seconds >= 0:    # NaN, too
        raise ValueError("'timeout' must be a non-negative number")
    if seconds >= 9e9:
        return FOR_EVER
    return sk_now_ns() + <uint64_t>(seconds * 1e9)


cdef str holder_text(Segment segment, uint32_t owner):
    """Who an owner word names, for messages: "pid 123", or "a dead process"."""
    pid = segment.pid_of(owner)
    return "nobody" if owner == 0 else f"pid {pid}" if pid is not None else "a dead process"


cdef class Segment:
    """Segment()\n--\n
    One process's mapping of, and seat in, one segment; shared by all handles of the process. It leaves when the last
    reference goes, and the last process to leave removes the name.
    """

    def __cinit__(self):
        self.hold = <sk_hold *>calloc(1, sizeof(sk_hold))
        if self.hold is NULL:
            raise MemoryError
        sk_hold_add(self.hold)
        self.s = &self.hold.segment

    def __dealloc__(self):
        if self.hold is NULL:
            return
        sk_hold_drop(self.hold)
        with nogil:    # removing the name may give gigabytes back
            sk_segment_abandon(self.s)
        free(self.hold)

    @staticmethod
    def attach(str path, str name, cbool sit=True):
        """Attach to the segment at `path`, or only map it for a look (`sit=False`).

        FileNotFoundError, CorruptSegmentError, SeatsExhausted, OutOfSharedMemory, OSError.
        """
        cdef Segment segment = Segment.__new__(Segment)
        segment.name = name
        cdef bytes where = os.fsencode(path)
        cdef const char *at = where
        cdef int rc
        with nogil:
            rc = sk_segment_attach(segment.s, at, sit)
        if rc != SK_OK:
            refuse(rc, 0)
        return segment

    @property
    def kind(self):
        """Number of the structure: see segments.KINDS."""
        return sk_header_of(self.s).kind

    @property
    def identity(self):
        """What tells the segment from an earlier or later one of its name: kind, and nanoseconds of its birth."""
        return sk_header_of(self.s).kind, sk_header_of(self.s).created_ns

    @property
    def persist(self):
        return (sk_header_of(self.s).flags & SK_PERSIST) != 0

    @property
    def seats(self):
        """How many processes can attach."""
        return sk_header_of(self.s).seats

    @property
    def created(self):
        """Seconds since 1970."""
        return sk_header_of(self.s).created_ns / 1e9

    @property
    def memory(self):
        """Bytes of memory that the segment holds now."""
        return max(sk_file_held(self.s.seats.fd), 0)

    @property
    def meta(self):
        """The structure's own description, bytes."""
        cdef const sk_header *h = sk_header_of(self.s)
        return PyBytes_FromStringAndSize(<char *>self.s.base + h.meta, h.meta_len)

    @property
    def params(self):
        """What the structure was made with: six integers, by kind."""
        return tuple([sk_header_of(self.s).param[i] for i in range(SK_PARAMS)])

    @property
    def polling(self):
        """True: this process polls instead of sleeping on futexes in this segment."""
        return self.s.waiter.polling != 0

    @polling.setter
    def polling(self, value):
        self.s.waiter.polling = bool(value)

    @property
    def short_park(self):
        """Microseconds: after a sleep that was over so soon, this process looks longer before the next one here."""
        return self.s.waiter.short_ns / 1000

    @short_park.setter
    def short_park(self, double value):
        self.s.waiter.short_ns = <uint32_t>(value * 1000)

    def is_at(self, str path):
        """Whether the name still leads to this segment."""
        return self.s.seats.fd >= 0 and sk_file_is_at(self.s.seats.fd, os.fsencode(path))

    def attached(self):
        """Pids of the processes that have a seat, in their own pid namespaces."""
        cdef uint32_t seat
        return tuple([
            self.s.seats.table[seat].pid
            for seat in range(self.s.seats.count)
            if self.s.seats.table[seat].epoch != 0 and sk_seat_taken(&self.s.seats, seat)
        ])

    def pid_of(self, uint32_t owner):
        """The pid that an owner word names, or None when it names nobody alive."""
        if owner == 0 or not sk_seat_lives(&self.s.seats, owner):
            return None
        return self.s.seats.table[sk_owner_seat(owner)].pid

    def transit(self, uint64_t dice):
        """A new descriptor that keeps the segment alive on its way to a child. OSError."""
        cdef int fd = sk_segment_transit(self.s, dice)
        if fd < 0:
            raise OSError(-fd, os.strerror(-fd))
        return fd

    def after_fork(self):
        """In the child of a fork: sit for ourselves. Where no seat is free, handles raise SeatsExhausted."""
        self.hold.inside = 0
        sk_segment_after_fork(self.s)

    def leave(self):
        """Stand up because the process ends; the mapping stays."""
        sk_hold_leave(self.hold)


Py_AtExit(sk_leave_all)    # after the last Python code, when no thread can get in any more


def sweep(str path):
    """Remove the segment's name if it is an orphan: ours, nobody attached, not persistent. Whether it was. OSError."""
    cdef bytes where = os.fsencode(path)
    cdef int rc = sk_segment_sweep(where)
    if rc < 0:
        raise OSError(-rc, os.strerror(-rc), path)
    return rc == 1


cdef Segment create_segment(str path, str name, sk_plan *plan):
    cdef Segment segment = Segment.__new__(Segment)
    segment.name = name
    cdef bytes folder = os.fsencode(FOLDER), where = os.fsencode(path)
    cdef const char *in_folder = folder
    cdef const char *at = where
    cdef int rc
    with nogil:
        rc = sk_segment_create(segment.s, in_folder, at, plan)
    if rc != SK_OK:
        refuse(rc, plan.body_len)
    return segment


cdef class Handle:
    """What the classes of the shm placement have in common: a segment, until closed.

    A class whose calls are hot is compiled whole: Python's fast path for a method call wants the very class
    that defines the method, a subclass of it costs 15 ns a call.
    """

    cdef bind(self, Segment segment):
        self.segment = segment
        self.s = segment.s

    def _bind(self, Segment segment):
        self.bind(segment)

    def _segment(self):
        """The segment, for the package. ClosedError."""
        if self.s is NULL:
            closed()
        return self.segment

    @property
    def closed(self):
        """Whether `close()` was called."""
        return self.s is NULL

    @property
    def name(self):
        """The segment's name, as `sharedkit.attach` takes it."""
        return self._segment().name

    def close(self):
        """Let go of the segment; using the handle afterwards raises ClosedError. Closing again does nothing.
        """
        self.s = NULL
        self.segment = None

    def unlink(self):
        """Remove the name: who is attached goes on, nobody else can attach. Needed for `persist=True` only.
        """
        from sharedkit import segments

        segments.unlink(self._segment())

    def __enter__(self):
        self._segment()
        return self

    def __exit__(self, *exc):
        self.close()

    def __aenter__(self):
        from sharedkit import aio

        return aio.enter(self.__enter__)

    def __aexit__(self, *exc):
        from sharedkit import aio

        return aio.leave(self.close)

    def __reduce__(self):
        from sharedkit import segments

        return segments.travel(self._segment())
