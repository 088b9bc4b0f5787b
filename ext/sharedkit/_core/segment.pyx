# cython: language_level=3
"""A process's use of one segment, and the handles that share it."""

import atexit
import errno as _errno
import os
import time
from typing import NamedTuple

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.errno cimport errno
from libc.stdint cimport uint8_t
from libc.stdlib cimport calloc, free
from libc.string cimport strlen, strncmp, strrchr

from sharedkit import errors
from sharedkit._core import processes, refusals, timeouts
from sharedkit._core.coroutines import answer


cdef extern from "core/sk_segment.h" nogil:
    ctypedef struct sk_trouble:
        uint64_t thread
        int reason
        char path[512]

    ctypedef struct sk_process:
        pass

    sk_trouble sk_process_trouble(sk_process *process) noexcept

    ctypedef struct sk_asker:
        pass

    ctypedef struct sk_file:
        uint64_t held            # bytes of memory held
        uint64_t id[2]           # device and inode

    enum: SK_TRUST_OWN, SK_TRUST_GROUP
    sk_process sk_this_process
    int sk_segment_create(sk_segment *s, const char *folder, const char *path, const sk_plan *plan) noexcept
    int sk_segment_attach(sk_segment *s, const char *path, uint32_t trust, cbool present) noexcept
    void sk_segment_detach(sk_segment *s) noexcept
    cbool sk_segment_abandon(sk_segment *s) noexcept
    int sk_segment_transit(const sk_segment *s) noexcept
    int sk_segment_sweep(sk_process *process, const char *path, cbool hidden) noexcept
    int sk_segment_unname(sk_process *process, const char *path, const uint64_t *only) noexcept
    int sk_segment_look_at(const sk_segment *s, sk_file *file) noexcept
    cbool sk_segment_is_named(const sk_segment *s) noexcept
    cbool sk_segment_in_use(const sk_segment *s) noexcept
    sk_asker sk_ask(const sk_seats *s) noexcept
    cbool sk_asker_taken(sk_asker *asker, uint32_t seat) noexcept
    void sk_asker_end(sk_asker *asker) noexcept
    uint64_t sk_thread() noexcept
    cbool sk_leads_to(int fd, const uint64_t *id) noexcept
    const char *SK_HIDDEN

cdef extern from "core/sk_copy.h" nogil:
    enum: SK_COPY_KINDS, SK_COPY_WHOLE
    int sk_segment_copy(sk_segment *s, const char *path, const uint8_t *contents) noexcept

cdef extern from "core/sk_private.h" nogil:
    enum: SK_LINE
    uint64_t sk_private_len(const sk_plan *plan) noexcept
    int sk_private_create(void *memory, const sk_plan *plan) noexcept

cdef extern from "platform/sk_atomic.h" nogil:
    uint32_t sk_add32_seq_cst(uint32_t *word, uint32_t n) noexcept
    uint32_t sk_load32_relaxed(const uint32_t *word) noexcept
    uint32_t sk_load32_seq_cst(const uint32_t *word) noexcept
    uint64_t sk_load64_seq_cst(const uint64_t *word) noexcept
    void sk_store64_seq_cst(uint64_t *word, uint64_t value) noexcept

cdef extern from "core/sk_exit.h" nogil:
    void sk_hold_add(sk_hold *hold) noexcept
    void sk_hold_drop(sk_hold *hold) noexcept
    void sk_detach_all() noexcept


cdef extern from "Python.h":
    int Py_AtExit(void (*last)() noexcept nogil) noexcept
    str PyUnicode_DecodeFSDefault(const char *text)

cdef uint64_t FOR_EVER = <uint64_t>-1
cdef double LONGEST = timeouts.LONGEST
# The real path, because a relative one would change its meaning at a chdir(), and /proc shows only the real path.
FOLDER = os.path.realpath(os.environ.get("SHAREDKIT_DIR") or "/dev/shm")
PREFIX = "sk_"
HIDDEN = (<bytes>SK_HIDDEN).decode()
MAX_SEATS = SK_SEATS_MAX
PERSIST = SK_PERSIST
LAYOUT = SK_LAYOUT
TRUST = {None: SK_TRUST_OWN, "group": SK_TRUST_GROUP}
OWN_GROUP = 0xFFFFFFFF
KINDS = SK_COPY_KINDS
WHOLE = SK_COPY_WHOLE
cdef Py_ssize_t LEFT_MOST = 10_000
cdef dict left_to_others = {}    # paths of segments that this process left while others were present


cdef int closed(Handle handle) except -1:
    kind = type(handle).__name__
    if handle.called is None:
        raise errors.ClosedError(f"operation on a {kind} that was never opened")
    raise errors.ClosedError(f"operation on a closed {kind} {handle.called!r}")


cdef int refuse(int status, uint64_t asked, Segment segment) except -1:
    """Raise the exception for a status of the C code; no other function does. `asked`: a number of bytes, or 0;
    `segment`: the segment of the operation; None: there is none, or another thread has closed its handle."""
    cdef int reason = errno
    if status == SK_NO_MEMORY:
        raise refusals.no_memory(asked, FOLDER, reason)
    if status == SK_NO_MAPPING:
        raise refusals.no_mapping(asked)
    if status == SK_FILE_LIMIT:
        raise refusals.file_limit(asked, FOLDER, reason)
    if status == SK_FOLDER:
        raise refusals.no_folder(FOLDER, reason)
    if status == SK_TOO_LARGE:
        raise refusals.too_large(asked)
    if status == SK_CORRUPT:
        raise refusals.contradiction(name_of(segment))
    if status == SK_FOREIGN:
        raise errors.CorruptSegmentError("not a sharedkit segment")
    if status == SK_NO_SEAT:
        raise refusals.no_seat(name_of(segment), 0 if segment is None else segment.seats)
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
    if status == SK_SYSTEM and reason == _errno.ENOSYS:
        raise refusals.no_proc(FOLDER, reason)
    if status == SK_SYSTEM:
        raise refusals.no_file(path_of_trouble(reason), reason)
    raise AssertionError(f"kernel status {status}")


cdef str name_of(Segment segment):
    return None if segment is None else segment.name


cdef str path_of_trouble(int reason):
    """Return the path of the file that this thread could just not open, for this errno; FOLDER if it was no file."""
    cdef sk_trouble trouble = sk_process_trouble(&sk_this_process)
    if trouble.thread == sk_thread() and trouble.reason == reason:
        return os.fsdecode(trouble.path)
    return FOLDER


cdef int refuse_attach(Segment segment, int status, str path) except -1:
    """Raise the exception of `attach` when the file at `path` is not a segment that this process can use."""
    cdef int reason = errno
    if status == SK_OTHER_LAYOUT:
        raise refusals.other_layout(path, segment.s.header.layout, SK_LAYOUT)
    if status == SK_UNTRUSTED:
        raise refusals.untrusted(path)
    if status == SK_SYSTEM:
        raise OSError(reason, os.strerror(reason), path)
    return refuse(status, 0, segment)


cdef uint64_t deadline_of(object timeout) except? 0:
    """Return the monotonic time in nanoseconds that is `timeout` seconds from now, by the rules of a queue; None: no
    limit. See `is_too_long`. Raises TypeError, ValueError."""
    if timeout is None:
        return FOR_EVER
    cdef double seconds = timeout if type(timeout) is float or type(timeout) is int else timeouts.seconds(timeout)
    if not seconds >= 0:    # true for NaN, too
        timeouts.not_negative(timeout)
    if seconds > LONGEST:
        return <uint64_t>-2
    if seconds >= 9e9:
        return FOR_EVER
    return sk_now_ns() + <uint64_t>(seconds * 1e9)


cdef str holder_text(Segment segment, uint32_t owner):
    """Return a text for the process that an owner word names: "pid 123", or that it is gone. The table of the seats
    names a process that is gone until another process takes its seat."""
    cdef uint32_t pid
    cdef uint64_t started
    living = segment.pid_of(owner)
    if living is not None:
        return f"pid {living}"
    if not sk_seat_names(&segment.s.seats, owner, &pid, &started):
        return "a process that died"
    return f"pid {pid}, which {processes.how_it_went(pid, started)}"


cdef class Segment:
    """Segment()\n--\n
    One process's mapping of one segment, and its seat there; all handles of the process share it. The process detaches
    from the segment when the last reference ends. The last process to detach removes the name.
    """

    cdef int begin(self) except -1:
        """Allocate the hold: the C code's record of a file that this process has mapped."""
        self.hold = <sk_hold *>calloc(1, sizeof(sk_hold))
        if self.hold is NULL:
            raise MemoryError
        sk_hold_add(self.hold)
        self.s = &self.hold.segment
        return 0

    def __dealloc__(self):
        if self.hold is NULL:
            return
        sk_hold_drop(self.hold)
        cdef cbool others
        with nogil:    # removing the name may free gigabytes
            others = sk_segment_abandon(self.s)
        if others and len(left_to_others) < LEFT_MOST:
            left_to_others[PyUnicode_DecodeFSDefault(self.s.seats.path)] = None
        free(self.hold)

    @staticmethod
    def attach(str path, str name, trust=None, cbool present=True):
        """Attach to the segment at `path`, or only map it for reading its state (`present=False`).

        `trust`: None, or "group" if a group of this process may write to it. Raises FileNotFoundError,
        UntrustedSegmentError, LayoutError, CorruptSegmentError, OutOfSharedMemory, OSError.
        """
        cdef Segment segment = Segment.__new__(Segment)
        segment.begin()
        segment.known = name
        segment.trust = trust
        cdef bytes where = os.fsencode(path)
        cdef const char *at = where
        cdef uint32_t trusted = TRUST[trust]
        cdef int rc
        with nogil:
            rc = sk_segment_attach(segment.s, at, trusted, present)
        if rc != SK_OK:
            refuse_attach(segment, rc, path)
        count_for_all(segment)
        return segment

    @staticmethod
    def copy(str path, str name, bytes contents not None):
        """Copy the segment at `path` without its contents, for inspection: no seat, no lock, no mapping of its file.

        `contents`, of KINDS bytes: which of the six params says where the contents of a kind begin, or WHOLE. The file
        may be another user's: every value is checked before it is used. Raises FileNotFoundError, LayoutError,
        CorruptSegmentError, ValueError if too much would have to be copied, OutOfSharedMemory, OSError.
        """
        cdef Segment segment = Segment.__new__(Segment)
        segment.begin()
        segment.known = name
        cdef bytes where = os.fsencode(path)
        cdef const char *at = where
        cdef const char *table = contents
        cdef int rc
        if len(contents) != SK_COPY_KINDS:
            raise ValueError(f"the table of contents has {len(contents)} kinds, not {SK_COPY_KINDS}")
        with nogil:
            rc = sk_segment_copy(segment.s, at, <const uint8_t *>table)
        if rc == SK_TOO_LARGE:
            raise ValueError(f"segment {name!r} is too large to be looked at")
        if rc != SK_OK:
            refuse_attach(segment, rc, path)
        return segment

    @property
    def name(self):
        """The name that `sharedkit.attach` takes."""
        return self.known

    @property
    def path(self):
        """The path of its file while the file has its name; None if the segment has no file."""
        return os.fsdecode(self.s.seats.path)

    @property
    def kind(self):
        """The number of its kind of structure: see segments.KINDS."""
        return sk_header_of(self.s).kind

    @property
    def identity(self):
        """The pair that distinguishes the segment from others of the same name: its kind, and its creation time in
        nanoseconds."""
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
        """When the segment was created, in seconds since 1970."""
        return sk_header_of(self.s).created_ns / 1e9

    @property
    def memory(self):
        """How many bytes of memory the segment holds now."""
        cdef sk_file file
        return file.held if sk_segment_look_at(self.s, &file) == 0 else 0

    @property
    def file(self):
        """The device and inode of its file."""
        return self.s.seats.file[0], self.s.seats.file[1]

    @property
    def meta(self):
        """The structure's description of itself, as bytes."""
        cdef const sk_header *h = sk_header_of(self.s)
        return PyBytes_FromStringAndSize(<char *>self.s.base + h.meta, h.meta_len)

    @property
    def params(self):
        """The six integers that the structure was made with; their meaning depends on the kind."""
        return tuple([sk_header_of(self.s).param[i] for i in range(SK_PARAMS)])

    @property
    def polling(self):
        """Whether this process polls in this segment instead of sleeping on futexes."""
        return self.s.waiter.polling != 0

    @polling.setter
    def polling(self, value):
        self.s.waiter.polling = bool(value)

    @property
    def short_park(self):
        """In microseconds: after a sleep shorter than this, the process polls longer before its next sleep here."""
        return self.s.waiter.short_ns / 1000

    @short_park.setter
    def short_park(self, double value):
        self.s.waiter.short_ns = <uint32_t>(value * 1000)

    @property
    def named(self):
        """Return whether the name still belongs to this segment."""
        return sk_segment_is_named(self.s)

    @property
    def in_use(self):
        """Return whether any process has the segment open; this process counts, too."""
        return sk_segment_in_use(self.s)

    def seated(self):
        """Return the pids of the processes that have a seat, each as in its own pid namespace, and of this process if
        it has the segment open."""
        cdef uint32_t seat
        cdef sk_asker asker = sk_ask(&self.s.seats)
        pids = [] if self.s.left or sk_me(self.s) != 0 else [os.getpid()]
        for seat in range(self.s.seats.count):
            # A process that takes a seat at this moment writes these words.
            if sk_load32_relaxed(&self.s.seats.table[seat].epoch) != 0 and sk_asker_taken(&asker, seat):
                pids.append(sk_load32_relaxed(&self.s.seats.table[seat].pid))
        sk_asker_end(&asker)
        return tuple(pids)

    def attached(self):
        """Return the pids of the processes that have used the segment, including this one, because `statistics()` is a
        use."""
        if sk_me(self.s) == 0:
            sk_segment_sit(self.s)    # so that others list this process; without a free seat, only this list has it
        return self.seated()

    def sit(self):
        """Take a seat now instead of at the first use. Raises SeatsExhausted, OSError."""
        cdef int rc = SK_OK
        if sk_me(self.s) == 0:
            rc = sk_segment_sit(self.s)
        if rc != SK_OK:
            refuse(rc, 0, self)

    def pid_of(self, uint32_t owner):
        """Return the pid that an owner word names, or None if that process is not alive."""
        cdef uint32_t pid
        cdef uint64_t started
        if owner == 0 or not sk_lives(self.s, owner) or not sk_seat_names(&self.s.seats, owner, &pid, &started):
            return None
        return pid

    def transit(self):
        """Return a new descriptor that keeps the segment alive in transit to a child. Raises OSError."""
        cdef int fd = sk_segment_transit(self.s)
        if fd < 0:
            raise OSError(-fd, os.strerror(-fd), self.path)
        return fd

    def unname(self):
        """Remove the segment's name, if it still has one; processes that have it open keep using it. Raises OSError."""
        cdef bytes where = os.fsencode(self.path)
        cdef const char *at = where
        cdef int rc
        with nogil:
            rc = sk_segment_unname(&sk_this_process, at, self.s.seats.file)
        if rc != 0 and rc != -_errno.ENOENT:
            raise OSError(-rc, os.strerror(-rc), self.path)

    def travel(self):
        """Return the pickled form of a handle on the segment."""
        return travel(self)


cdef object travel = None


def set_travel(function):
    """Set the function that pickles a segment's handle; the module that passes segments to children calls this."""
    global travel
    travel = function


cdef class PrivateSegment(Segment):
    """PrivateSegment()\n--\n
    Memory of this process in place of a file, for its threads; a fork copies it. `partner`: an object that a structure
    keeps with the memory because it cannot be stored as bytes. `wanted_seats`: the requested number of seats, which
    limits nothing here.
    """

    def __dealloc__(self):
        cdef void *next
        while self.chunks is not NULL:
            next = (<void **>self.chunks)[0]
            PyMem_RawFree(self.chunks)
            self.chunks = next
        PyMem_RawFree(self.memory)

    cdef void *more(self, uint64_t size) except NULL:
        """Return `size` zeroed bytes that live as long as the segment. Raises MemoryError."""
        cdef void *chunk = PyMem_RawCalloc(1, size + 16)
        if chunk is NULL:
            raise MemoryError
        with cython.critical_section(self):
            (<void **>chunk)[0] = self.chunks
            self.chunks = chunk
        return <char *>chunk + 16

    @property
    def name(self):
        """The given name, or a name that is chosen when it is first read."""
        cdef str known = self.name_now()
        if known is None:
            self.names.choose(self)
            known = self.name_now()
        return known

    cdef str name_now(self):
        """Return the name; None if there is none. Another thread may be choosing one at this moment."""
        cdef str known
        with cython.critical_section(self):
            known = self.known
        return known

    def call(self, str name):
        """Set the name, unless another thread has just set one; return the name that the segment has."""
        with cython.critical_section(self):
            if self.known is None:
                self.known = name
            name = self.known
        return name

    @property
    def path(self):
        return None

    @property
    def file(self):
        return None

    @property
    def named(self):
        return self.name_now() is not None and self.names.knows(self)

    @property
    def in_use(self):
        return True

    @property
    def seats(self):
        return self.wanted_seats

    @property
    def memory(self):
        return self.s.base_len

    def seated(self):
        return (os.getpid(),)

    def attached(self):
        return (os.getpid(),)

    def pid_of(self, uint32_t owner):
        return None if owner == 0 else os.getpid()

    def unname(self):
        self.names.forget(self)

    def travel(self):
        raise TypeError(
            f"cannot pickle {self.names.kind_of(self)} {self.name!r}: thread state cannot leave its process; "
            'get_context("shm") has one that can'
        )

Py_AtExit(sk_detach_all)    # after the last Python code: no thread can call any more


def leave_all():
    """End the presence in all segments because the process ends; mappings and seats stay until then."""
    sk_detach_all()


def sweep(list paths):
    """Remove each segment that is an orphan: this user's, open in no process, not persistent. Return the removed
    paths."""
    cdef list encoded = [os.fsencode(path) for path in paths]
    cdef Py_ssize_t i, n = len(encoded)
    cdef const char **at = <const char **>calloc(n + 1, sizeof(char *))
    cdef cbool *swept = <cbool *>calloc(n + 1, sizeof(cbool))
    try:
        if at is NULL or swept is NULL:
            raise MemoryError
        for i in range(n):
            at[i] = <bytes>encoded[i]
        with nogil:    # removing a large orphan takes a second
            for i in range(n):
                swept[i] = sk_segment_sweep(&sk_this_process, at[i], is_hidden(at[i])) == 1
        return [paths[i] for i in range(n) if swept[i]]
    finally:
        free(at)
        free(swept)


def sweep_left():
    """Remove the segments that this process left to other processes if those have ended by now: a `preexec_fn` may
    still have been running, or a program may just have been started."""
    paths = []
    while left_to_others:
        try:
            paths.append(left_to_others.popitem()[0])
        except KeyError:    # another thread has removed it
            break
    if paths:
        sweep(paths)


def forget_left():
    """Forget the segments that were left to others, in the child of a fork: removing them is up to the parent."""
    left_to_others.clear()


cdef extern from *:
    """
    static PyObject *own_descriptor(PyTypeObject *of, PyObject *descriptor) {
        return PyDescr_NewMethod(of, ((PyMethodDescrObject *)descriptor)->d_method);
    }
    """
    object own_descriptor(type of, object descriptor)


def with_own_methods(type cls):
    """Copy the methods of its base into a subclass: Python's fast path for a method call requires that the class itself
    defines the method; otherwise a call takes 15 ns more."""
    descriptor = type(str.join)
    for base in cls.__mro__[1:]:
        for name, method in vars(base).items():
            special = name.startswith("__") and name not in ("__enter__", "__exit__")
            if type(method) is descriptor and name not in vars(cls) and not special:
                setattr(cls, name, own_descriptor(cls, method))
    return cls


def leads_to(int fd, file):
    """Return whether the descriptor refers to the file of this device and inode."""
    cdef uint64_t id[2]
    id[0], id[1] = file
    return sk_leads_to(fd, id)


cdef cbool is_hidden(const char *path) noexcept nogil:
    """Return whether the path is the hidden one of a segment that was unlinked while in use."""
    cdef const char *slash = strrchr(path, c"/")
    cdef const char *name = path if slash is NULL else slash + 1
    return strncmp(name, SK_HIDDEN, strlen(SK_HIDDEN)) == 0


def unname(str path):
    """Remove the name of the segment at this path, whatever segment it is; processes that have it open keep using it.
    Raises OSError."""
    cdef bytes where = os.fsencode(path)
    cdef const char *at = where
    cdef int rc
    with nogil:
        rc = sk_segment_unname(&sk_this_process, at, NULL)
    if rc != 0:
        raise OSError(-rc, os.strerror(-rc), path)


class Place(NamedTuple):
    """The folder of a new segment, its permissions, and its group (OWN_GROUP: the folder decides)."""

    path: str
    mode: int
    gid: int


class PrivatePlace(NamedTuple):
    """Memory of this process: the registry that knows its segments by name, and the requested number of seats."""

    names: object
    seats: int


cdef Segment create_segment(object place, str name, sk_plan *plan):
    """Create a segment. `place` is a Place, a path, or a PrivatePlace; for the last, `name` may be None."""
    cdef Segment segment
    cdef str path
    if type(place) is PrivatePlace:
        return create_private(place, name, plan)
    segment = Segment.__new__(Segment)
    segment.begin()
    segment.known = name
    path, plan.mode, plan.gid = place if isinstance(place, tuple) else (place, 0o600, OWN_GROUP)
    if plan.mode & 0o020:
        segment.trust = "group"
    cdef bytes folder = os.fsencode(FOLDER), where = os.fsencode(path)
    cdef const char *in_folder = folder
    cdef const char *at = where
    cdef int rc
    with nogil:
        rc = sk_segment_create(segment.s, in_folder, at, plan)
    if rc != SK_OK:
        refuse(rc, plan.body_len, segment)
    count_for_all(segment)
    return segment


cdef PrivateSegment create_private(object place, str name, sk_plan *plan):
    cdef PrivateSegment segment = PrivateSegment.__new__(PrivateSegment)
    cdef uint64_t size = sk_private_len(plan)
    cdef int rc
    segment.memory = PyMem_RawCalloc(1, size + SK_LINE) if size < SK_LARGEST else NULL
    if segment.memory is NULL:
        raise MemoryError(f"no memory for {size:,} bytes")
    segment.s = <sk_segment *>((<size_t>segment.memory + SK_LINE - 1) // SK_LINE * SK_LINE)
    segment.known = name
    segment.names, segment.wanted_seats = place
    rc = sk_private_create(segment.s, plan)
    if rc != SK_OK:
        refuse(rc, 0, segment)
    count_for_all(segment)
    return segment


# --- handles --------------------------------------------------------------------------------------------
#
# One thread may close a handle that another thread uses. A method reads the fields of its handle, and takes its own
# references to the objects that it needs longer, without a point in between at which another thread can close the
# handle. With the GIL this holds anyway. Without it, `close()` stops all other threads of the interpreter while it
# empties the fields. CPython stops a thread only at certain points, and compiled code between two calls into Python has
# none. So using a handle costs no more than with the GIL, and needs no count that threads share.


cdef extern from *:
    """
    #ifdef Py_GIL_DISABLED
    /* Call `what(with)` while no other thread of the interpreter runs Python code. Visiting the collector's objects
     * stops the other threads; the visit ends at the first object. */
    typedef struct { void (*what)(void *); void *with; } Stopped;
    static int stopped_visit(PyObject *object, void *at) {
        Stopped *stopped = at;
        (void)object;
        if (stopped->what != NULL) stopped->what(stopped->with);
        stopped->what = NULL;
        return 0;
    }
    static void with_others_stopped(void (*what)(void *), void *with) {
        Stopped stopped = {what, with};
        PyUnstable_GC_VisitObjects(stopped_visit, &stopped);
        if (stopped.what != NULL) what(with); /* there was no object to visit */
    }
    /* CPython counts the references of the thread that made an object separately. If another thread drops the last
     * one, the object ends only when its maker runs again: never, if the maker waits for that thread. A segment must
     * end at once. So these objects are counted like an object whose maker has dropped it: with one shared count.
     * Call this in the maker, before other threads see the object. */
    static void count_for_all(PyObject *object) {
        uint32_t own = object->ob_ref_local;
        if (object->ob_tid != _Py_ThreadId() || object->ob_ref_shared != 0 || own == UINT32_MAX) return;
        object->ob_tid = 0;
        object->ob_ref_local = 0;
        object->ob_ref_shared = ((Py_ssize_t)own << _Py_REF_SHARED_SHIFT) | _Py_REF_MERGED;
    }
    /* A memoryview and the object that holds its buffer; gc.get_referents would stop all threads to find that. */
    static void count_view_for_all(PyObject *view) {
        count_for_all(view);
        if (PyMemoryView_Check(view)) count_for_all((PyObject *)((PyMemoryViewObject *)view)->mbuf);
    }
    #else
    static void with_others_stopped(void (*what)(void *), void *with) { what(with); }
    static void count_for_all(PyObject *object) { (void)object; }
    static void count_view_for_all(PyObject *view) { (void)view; }
    #endif
    """
    void with_others_stopped(void (*what)(void *) noexcept, void *to)
    void count_for_all(object what)
    void count_view_for_all(object view)


cpdef object ends_anywhere(object what):
    """Return the same new object, which holds a segment, changed so that it ends as soon as the last reference is
    dropped, in any thread. For a memoryview, this also holds for the object that holds its buffer."""
    count_view_for_all(what)
    return what


cdef void keep(Dropped *dropped, object what) noexcept:
    """Keep an object that a handle releases alive until the fields are empty: its finalizer may run any code."""
    Py_INCREF(what)
    dropped.kept[dropped.n] = <void *>what
    dropped.n += 1


cdef void drop_now(void *at) noexcept:
    cdef Dropped *dropped = <Dropped *>at
    cdef Handle handle = <Handle>dropped.handle
    if handle.s is not NULL and dropped.called is not NULL:
        handle.called = <str>dropped.called
    handle.drop(dropped)


cdef uint32_t stopping = 0       # how many threads are stopping the others now
cdef uint64_t ender = 0          # the thread that ends the interpreter


def stop_no_more():
    """Forbid stopping the other threads, at the interpreter's exit: if a daemon thread ended while it stops the others,
    the interpreter would wait for it for ever (CPython 3.13). No thread begins to stop others any more, and this waits
    for those that have begun."""
    sk_store64_seq_cst(&ender, sk_thread())    # E1: before the load of `stopping`; pairs with E2
    for _ in range(5000):
        if sk_load32_seq_cst(&stopping) == 0:
            break
        time.sleep(0.001)


def _after_fork_in_child():
    global stopping, ender
    stopping = 0
    ender = 0


atexit.register(stop_no_more)
os.register_at_fork(after_in_child=_after_fork_in_child)


cdef int let_go(Handle handle, str called) except -1:
    """Empty the handle's fields; from then on, error messages use this name for it."""
    cdef Dropped dropped
    cdef uint64_t ends
    cdef int i
    dropped.n = 0
    dropped.handle = <void *>handle
    dropped.called = <void *>called if called is not None else NULL
    if HAS_GIL:
        drop_now(&dropped)
    else:
        sk_add32_seq_cst(&stopping, 1)             # E2: before the load of `ender`; one of the two sees the other
        ends = sk_load64_seq_cst(&ender)
        if ends == 0 or ends == sk_thread():       # otherwise the process ends, and the handle stays open
            with_others_stopped(drop_now, &dropped)
        sk_add32_seq_cst(&stopping, <uint32_t>-1)
    for i in range(dropped.n):
        Py_DECREF(<object>dropped.kept[i])
    return 0


cdef class Handle:
    """The common part of the classes of the shm placement: a segment, until closed.

    A class with hot methods is compiled completely: Python's fast path for a method call requires that the class itself
    defines the method; in a subclass, a call takes 15 ns more.
    """

    cdef bind(self, Segment segment):
        self.segment = segment
        self.s = segment.s
        count_for_all(self)

    cdef void drop(self, Dropped *dropped) noexcept:
        """Empty the fields, after those of a subclass. No finalizer may run in here, so `keep` what a field held."""
        self.s = NULL
        keep(dropped, self.segment)
        self.segment = None

    def _bind(self, Segment segment):
        self.bind(segment)

    def _segment(self):
        """Return the segment, for use inside the package. Raises ClosedError."""
        if self.s is NULL:
            closed(self)
        return self.segment

    @property
    def closed(self):
        """Whether `close()` was called."""
        return self.s is NULL

    @property
    def name(self):
        """The segment's name, which `sharedkit.attach` takes."""
        return self._segment().name

    def close(self):
        """Detach from the segment. Using the handle afterwards raises ClosedError; closing again does nothing.
        """
        cdef Segment segment = self.segment
        if segment is not None:
            let_go(self, segment.name)

    def unlink(self):
        """Remove the name: open handles keep working, but `attach` finds it no more. Needed only for `persist=True`.
        """
        self._segment().unname()

    def __enter__(self):
        self._segment()
        return self

    def __exit__(self, *exc):
        self.close()

    def __aenter__(self):
        return answer(self.__enter__)

    def __aexit__(self, *exc):
        return answer(self.close)

    def __reduce__(self):
        return self._segment().travel()
