"""Segments and handles, for the classes of the structures."""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libcpp cimport bool as cbool


cdef extern from "core/sk_segment.h" nogil:
    enum: SK_OK, SK_OWNER_DIED, SK_EMPTY, SK_FULL, SK_SHUTDOWN, SK_TIMEOUT, SK_INTERRUPTED, SK_BUSY, SK_FREE
    enum: SK_LARGER, SK_TOO_LARGE, SK_NO_MEMORY, SK_NO_SEAT, SK_GONE, SK_EXISTS, SK_FOREIGN, SK_CORRUPT
    enum: SK_OVERFLOW, SK_EXCESS, SK_SYSTEM, SK_UNTRUSTED, SK_OTHER_LAYOUT, SK_FOLDER, SK_FILE_LIMIT, SK_NO_MAPPING
    enum: SK_PERSIST, SK_PARAMS, SK_SEATS_MAX, SK_LARGEST, SK_LAYOUT

    ctypedef struct sk_seat_entry:
        uint32_t epoch
        uint32_t pid
        uint64_t started

    ctypedef struct sk_seats:
        uint64_t file[2]     # device and inode
        uint32_t count
        sk_seat_entry *table
        const char *path
        cbool reads          # whether the segment is a copy, for inspection

    ctypedef struct sk_waiter:
        uint32_t polling     # 1: poll instead of sleeping on futexes
        uint32_t hasty       # 1: return SK_INTERRUPTED instead of sleeping
        uint32_t short_ns    # after a shorter park, poll longer the next time

    ctypedef struct sk_header:
        uint32_t layout
        uint32_t kind
        uint32_t flags
        uint32_t seats
        uint64_t size
        uint64_t meta
        uint64_t meta_len
        uint64_t body
        uint64_t param[6]
        uint64_t created_ns

    ctypedef struct sk_segment:
        sk_seats seats
        sk_waiter waiter
        sk_header header
        unsigned char *base
        uint64_t base_len    # bytes mapped at `base`
        cbool left           # whether this process has no presence: it only reads the segment, or is ending
        uint32_t forks       # how often the process had forked when it attached

    ctypedef struct sk_plan:
        uint32_t kind
        uint32_t flags
        uint32_t seats
        uint32_t mode
        uint32_t gid
        uint64_t body_len
        uint64_t param[6]
        const void *meta
        uint64_t meta_len
        int (*fill)(sk_segment *) noexcept nogil

    const sk_header *sk_header_of(const sk_segment *s) noexcept
    uint32_t sk_me(const sk_segment *s) noexcept
    cbool sk_segment_is_private(const sk_segment *s) noexcept
    cbool sk_lives(const sk_segment *s, uint32_t owner) noexcept
    cbool sk_seat_names(const sk_seats *s, uint32_t owner, uint32_t *pid, uint64_t *started) noexcept
    int sk_segment_sit(const sk_segment *s) noexcept
    void *sk_body_of(const sk_segment *s) noexcept
    uint64_t sk_now_ns() noexcept


cdef extern from "core/sk_exit.h" nogil:
    ctypedef struct sk_hold:
        sk_segment segment


cdef extern from "Python.h":
    ctypedef struct PyInterpreterState
    ctypedef struct PyThreadState
    PyInterpreterState *PyInterpreterState_Get() noexcept
    PyThreadState *PyInterpreterState_ThreadHead(PyInterpreterState *interpreter) noexcept
    PyThreadState *PyThreadState_Next(PyThreadState *thread) noexcept


cdef extern from *:
    """
    #ifdef Py_GIL_DISABLED
    #define HAS_GIL 0
    #else
    #define HAS_GIL 1
    #endif
    """
    int HAS_GIL


cdef inline bint alone() noexcept:
    """Return whether no other thread wants the GIL: there is no GIL, or this is the only Python thread of its
    interpreter. Then a spin of two or three microseconds may keep the GIL, which costs less than releasing it and
    taking it again (0.1 us).

    The list of threads is consistent only under the GIL: without it, an entry may be freed while it is read."""
    return not HAS_GIL or PyThreadState_Next(PyInterpreterState_ThreadHead(PyInterpreterState_Get())) is NULL


cdef inline bint is_too_long(uint64_t until) noexcept:
    """Return whether `deadline_of` got a timeout past threading.TIMEOUT_MAX: then a call that must wait raises
    OverflowError."""
    return until == <uint64_t>-2


cdef class Segment:
    cdef sk_hold *hold       # NULL: the segment has no file
    cdef sk_segment *s       # the segment of the hold
    cdef str known           # the segment's name; None: it has not been read yet
    cdef readonly str trust  # None, or "group"
    cdef object __weakref__

    cdef int begin(self) except -1


cdef class PrivateSegment(Segment):
    cdef void *memory
    cdef void *chunks        # further memory; each chunk begins with a pointer to the next
    cdef object names        # the registry that knows the segment by name
    cdef readonly uint32_t wanted_seats
    cdef uint32_t atomic     # how many threads now change an array's elements outside the GIL, by atomic steps
    cdef public object partner

    cdef void *more(self, uint64_t size) except NULL
    cdef str name_now(self)


cdef enum:
    KEPT = 6                 # the largest number of references that a handle has

cdef struct Dropped:
    void *handle             # the handle that is closed
    void *called             # its name
    void *kept[KEPT]         # references to the objects that the handle has released
    int n


cdef class Handle:
    cdef Segment segment     # None once closed
    cdef sk_segment *s       # the C part of the segment; NULL once closed
    cdef str called          # the segment's name once closed, for the error message
    cdef object __weakref__
    cdef bind(self, Segment segment)
    cdef void drop(self, Dropped *dropped) noexcept


cdef void keep(Dropped *dropped, object what) noexcept
cpdef object ends_anywhere(object what)


cdef Segment create_segment(object place, str name, sk_plan *plan)
cdef int refuse(int status, uint64_t asked, Segment segment) except -1
cdef int closed(Handle handle) except -1
cdef uint64_t deadline_of(object timeout) except? 0
cdef str holder_text(Segment segment, uint32_t owner)
