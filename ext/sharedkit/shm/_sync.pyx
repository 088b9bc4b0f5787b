# cython: language_level=3
"""The lock: one try with the GIL held, then waiting without it in slices that let signals through."""

cimport cython
from cpython.exc cimport PyErr_CheckSignals, PyErr_WarnEx
from libc.math cimport isnan
from libc.stdint cimport uint32_t, uint64_t
from libcpp cimport bool as cbool

from sharedkit import errors
from sharedkit._segment cimport (
    SK_BUSY, SK_CORRUPT, SK_EXCESS, SK_INTERRUPTED, SK_OK, SK_OWNER_DIED, SK_TIMEOUT,
    Handle, Segment, closed, deadline_of, refuse, sk_body_of, sk_header_of, sk_segment,
)

import threading


cdef extern from "sk_mutex.h" nogil:
    ctypedef struct sk_mutex:
        uint32_t word
        uint32_t torn        # 1 from a hand-over by death to the release that ends it

    int sk_mutex_try(const sk_segment *s, sk_mutex *m) noexcept
    int sk_mutex_take(sk_segment *s, sk_mutex *m, uint64_t until) noexcept
    int sk_mutex_give(const sk_segment *s, sk_mutex *m) noexcept
    void sk_mutex_pass_on(sk_mutex *m) noexcept
    cbool sk_mutex_taken(const sk_segment *s, const sk_mutex *m) noexcept
    uint32_t sk_lock_owner(const uint32_t *word) noexcept

cdef uint64_t FOR_EVER = <uint64_t>-1
cdef object MINUS_ONE = -1
cdef double LONGEST = threading.TIMEOUT_MAX


cdef uint64_t until_of(cbool willing, object timeout) except? 0:
    """Monotonic nanoseconds at which to give up, 0 for at once; threading's rules. ValueError, OverflowError."""
    if timeout is None:
        return FOR_EVER if willing else 0
    cdef double seconds = timeout
    if isnan(seconds):
        raise ValueError("timeout must not be NaN")
    if not willing:
        if seconds != -1:
            raise ValueError("can't specify a timeout for a non-blocking call")
        return 0
    if seconds == -1:
        return FOR_EVER
    if seconds < 0:
        raise ValueError(f"timeout must be a non-negative number, or -1 or None for ever: {timeout}")
    if seconds > LONGEST:
        raise OverflowError(f"timeout is larger than threading.TIMEOUT_MAX: {timeout}")
    return 0 if seconds == 0 else deadline_of(seconds)


cdef class Lock(Handle):
    """Lock()\n--\n
    A lock between threads and processes with the face of `threading.Lock`; `Array.lock` is one.

    Any thread of any process may release it. It is held in the name of a process: when that dies, the next one takes
    the lock over, finds `owner_died` true and gets an OwnerDiedWarning; a process that is stopped keeps it. After a
    fork the parent holds it, and the child does not. `acquire` takes `block=` for `blocking=` and a timeout of None
    for -1; `owner` tells who holds it. Method: a robust futex word (ext/include/sk_mutex.h).
    """

    cdef sk_mutex *mutex         # NULL once closed

    def __init__(self):
        raise TypeError("a Lock is part of a structure: take the one of sharedkit.Array(…).lock")

    @staticmethod
    def _in(Segment segment, uint64_t offset):
        """The lock whose mutex is `offset` bytes into the body of the segment."""
        cdef Lock self = Lock.__new__(Lock)
        cdef uint64_t room = segment.s.base_len - sk_header_of(segment.s).body
        if offset > room or room - offset < sizeof(sk_mutex) or offset % sizeof(sk_mutex) != 0:
            refuse(SK_CORRUPT, 0)
        self.bind(segment)
        self.mutex = <sk_mutex *>(<unsigned char *>sk_body_of(self.s) + offset)
        return self

    def close(self):
        """Let go of the segment, not of the lock if it is held. Using the handle afterwards raises ClosedError.
        """
        self.mutex = NULL
        Handle.close(self)

    cdef bint wait(self, uint64_t until) except -1:
        cdef Segment segment = self.segment
        cdef sk_mutex *mutex = self.mutex
        cdef int rc = SK_BUSY
        if until == 0:
            rc = sk_mutex_take(segment.s, mutex, 0)
            if rc == SK_BUSY:
                return False
        while rc != SK_OK and rc != SK_OWNER_DIED:
            if rc == SK_TIMEOUT:
                return False
            if rc == SK_INTERRUPTED:
                PyErr_CheckSignals()
            elif rc != SK_BUSY:
                refuse(rc, 0)
            segment.hold.inside += 1
            with nogil:
                rc = sk_mutex_take(segment.s, mutex, until)
            segment.hold.inside -= 1
        if rc == SK_OWNER_DIED:
            warn(segment, mutex)
        return True

    cdef bint take(self) except -1:
        """Take it, for ever waiting."""
        if self.mutex is NULL:
            closed()
        cdef int rc = sk_mutex_try(self.s, self.mutex)
        if rc == SK_OK:
            return True
        if rc == SK_OWNER_DIED:
            warn(self.segment, self.mutex)
            return True
        return self.wait(FOR_EVER)

    @cython.binding(False)
    def acquire(self, blocking=True, timeout=MINUS_ONE, *, block=None):
        """acquire($self, blocking=True, timeout=-1, *, block=None)\n--\n
        Take the lock; with `blocking`, wait up to `timeout` seconds (-1 or None: for ever). Whether it was taken.

        If the process that held it has died, it is taken over: `owner_died` is true and an OwnerDiedWarning is given.
        Raises ValueError for another negative timeout, or any with `blocking=False`; OverflowError for one past
        threading.TIMEOUT_MAX.
        """
        if blocking is True and timeout is MINUS_ONE and block is None:
            return self.take()
        cdef cbool willing = blocking if block is None else block
        cdef uint64_t until = until_of(willing, timeout)
        if self.mutex is NULL:
            closed()
        return self.wait(until)

    @cython.binding(False)
    def release(self):
        """release($self)\n--\n
        Free the lock, whichever thread or process took it. NotLockedError, a RuntimeError and ValueError, if free.
        """
        if self.mutex is NULL:
            closed()
        self.free()

    cdef int free(self) except -1:
        cdef int rc = sk_mutex_give(self.s, self.mutex)
        if rc == SK_EXCESS:
            raise errors.NotLockedError("release unlocked lock")
        if rc != SK_OK:
            refuse(rc, 0)
        return 0

    def locked(self):
        """Whether somebody holds it; not a dead process, whose lock can be taken over.
        """
        if self.mutex is NULL:
            closed()
        return bool(sk_mutex_taken(self.s, self.mutex))

    @property
    def owner(self):
        """Pid of the process that holds it, in its own pid namespace; None when it is free or the holder is dead."""
        if self.mutex is NULL:
            closed()
        return self.segment.pid_of(sk_lock_owner(&self.mutex.word))

    @property
    def owner_died(self):
        """True from the moment that it is taken over from a dead process until it is released."""
        if self.mutex is NULL:
            closed()
        return self.mutex.torn != 0

    def __enter__(self):
        return self.take()

    def __exit__(self, kind, error, trace):
        if self.mutex is NULL:
            closed()
        self.free()

    def __reduce__(self):
        return lock_of, Handle.__reduce__(self)

    def __repr__(self):
        where = f"{type(self).__module__}.{type(self).__qualname__} object"
        if self.mutex is NULL:
            return f"<closed {where} at {id(self):#x}>"
        owner = self.owner
        return f"<{'unlocked' if owner is None else 'locked'} {where} owner={owner} at {id(self):#x}>"


def lock_of(arrive, arguments):
    """The lock of the structure that arrives."""
    return arrive(*arguments).lock


cdef int warn(Segment segment, sk_mutex *mutex) except -1:
    """Say that the lock, which is held now, comes from the dead. If that is an error, let the next one have it."""
    cdef bytes text = (
        f"the process that held the lock of {segment.name!r} has died: check what the lock protects".encode()
    )
    try:
        PyErr_WarnEx(errors.OwnerDiedWarning, text, 1)
    except BaseException:
        sk_mutex_pass_on(mutex)
        raise
    return 0
