# cython: language_level=3
"""What a wait of an event loop is in shared memory, and the one thread of a process that watches for all of them."""

import atexit
import os

cimport cython
from cpython.exc cimport PyErr_WriteUnraisable
from cpython.ref cimport Py_INCREF
from libc.string cimport memset

from sharedkit._threads import background
from sharedkit._segment cimport Segment, sk_me, sk_now_ns, sk_segment_sit


cdef extern from "sk_watch.h" nogil:
    void sk_watch_init(sk_watch *w, cbool polling) noexcept
    void sk_watch_add(sk_watch *w, sk_watched *x) noexcept
    void sk_watch_remove(sk_watch *w, sk_watched *x) noexcept
    void sk_watch_end(sk_watch *w) noexcept
    void *sk_watch_take(sk_watch *w) noexcept
    cbool sk_watch_wait(sk_watch *w, uint64_t idle) noexcept

cdef extern from "sk_atomic.h" nogil:
    uint32_t sk_add32_relaxed(uint32_t *word, uint32_t n) noexcept
    uint32_t sk_load32_relaxed(const uint32_t *word) noexcept
    void *sk_load_pointer_acquire(void *const *pointer) noexcept
    void sk_store_pointer_release(void **pointer, void *value) noexcept

cdef uint64_t FOR_EVER = <uint64_t>-1
cdef uint64_t IDLE_NS = 1000000000      # a thread with nothing to watch ends after so long
cdef uint64_t HEED_NS = 50000000        # how often it looks whether those that were told something still run
cdef void *aio = NULL                   # references of our own, which nobody drops
cdef void *PENDING = NULL


cdef object coroutines():
    """The module sharedkit.aio, which needs asyncio: imported at the first wait."""
    cdef void *known = sk_load_pointer_acquire(&aio)    # A1
    if known is NULL:
        from sharedkit import aio as module
        answer = module.PENDING
        Py_INCREF(answer)    # of two threads that come first both store the same
        Py_INCREF(module)
        known = <void *>module
        sk_store_pointer_release(&PENDING, <void *>answer)
        sk_store_pointer_release(&aio, known)    # R1: who sees the module at A1 may ask for `pending`
    return <object>known


cdef object pending():
    """What `look` answers that cannot go on; only a wait of sharedkit.aio looks."""
    coroutines()
    return <object>sk_load_pointer_acquire(&PENDING)


cdef object leaving(object release, object stirs):
    """A coroutine that ends an `async with` block."""
    return coroutines().leave(release, stirs)


cdef uint32_t in_line = 0


def stand_in_line(int change):
    """A task begins to wait in a line of its loop, or is done with that; for sharedkit.aio."""
    sk_add32_relaxed(&in_line, <uint32_t>change)


cdef bint nobody_in_line() noexcept:
    """Whether no task of this process waits in a line, so that who comes now may go first."""
    return sk_load32_relaxed(&in_line) == 0


cdef object waiting(Turn turn):
    """A coroutine that waits for the turn's answer."""
    return coroutines().wait(turn)


cdef class Watcher:
    """The table of one process, and the thread that sleeps on it: there while anything is watched, a second more.

    Without the GIL, critical sections keep two things apart from the loops' threads. On the watcher: which turns are in
    the table, and whether there is a thread. On a turn: its steps, and what the thread does with it.
    """

    cdef sk_watch table
    cdef set turns               # those in the table, which keep their segments mapped
    cdef set heeded              # those that have been told what is lost on others if their loop ends now
    cdef uint64_t heed           # when to look at them again
    cdef object thread           # None: to be started
    cdef readonly bint polling

    def __cinit__(self, bint polling):
        self.polling = polling
        self.turns = set()
        self.heeded = set()
        sk_watch_init(&self.table, polling)

    cdef int add(self, Turn turn) except -1:
        with cython.critical_section(self):
            if self.thread is None:
                self.table.ended = False
                self.thread = background(self.run, name="sharedkit watcher")
                try:
                    self.thread.start()
                except BaseException:
                    self.thread = None
                    raise
            self.turns.add(turn)
            turn.node.what = turn.aside
            turn.node.whose = <void *>turn
            sk_watch_add(&self.table, &turn.node)
        return 0

    cdef int remove(self, Turn turn) except -1:
        with cython.critical_section(self):
            if turn in self.turns:
                sk_watch_remove(&self.table, &turn.node)
                self.turns.discard(turn)
        return 0

    cdef Turn fired(self):
        """One whose time has come, no longer in the table; or None."""
        cdef void *whose
        cdef Turn turn = None
        with cython.critical_section(self):
            whose = sk_watch_take(&self.table)
            if whose is not NULL:
                turn = <Turn>whose
                self.turns.discard(turn)
        return turn

    cdef bint ends(self):
        """Whether the thread does, as there is nothing to watch."""
        cdef bint over
        with cython.critical_section(self):
            over = self.table.ended or not self.turns and not self.heeded
            if over:
                self.thread = None       # nobody has added a turn meanwhile
        return over

    def run(self):
        """What the thread does."""
        cdef cbool fired
        cdef uint64_t idle
        cdef Turn turn
        while True:
            idle = sk_now_ns() + (HEED_NS if self.heeded else IDLE_NS)
            with nogil:
                fired = sk_watch_wait(&self.table, idle)
            if not fired and self.ends():
                return
            if self.heeded and sk_now_ns() >= self.heed:
                self.look_after()
            while True:
                turn = self.fired()
                if turn is None:
                    break
                wake = turn.to_be_called()
                try:
                    if wake is not None and not wake():
                        turn.abandon_unheard()
                except BaseException:
                    PyErr_WriteUnraisable(wake)
                turn = wake = None       # nothing is kept while it sleeps

    cdef int look_after(self) except -1:
        """What was told to tasks whose loops do not run goes to others."""
        self.heed = sk_now_ns() + HEED_NS
        for turn in list(self.heeded):
            try:
                with cython.critical_section(turn):
                    (<Turn>turn).look_after()
            except BaseException:
                PyErr_WriteUnraisable(turn)
        return 0

    def stop(self):
        """At the interpreter's exit: nobody waits any more."""
        with cython.critical_section(self):
            thread = self.thread
        if thread is not None:
            sk_watch_end(&self.table)
            try:
                thread.join(1)
            except RuntimeError:    # another thread is just starting it; it has nothing to do
                pass


cdef Watcher watcher = Watcher(False)


cdef int heed(Turn turn) except -1:
    """Until `unheed`, have the turn's `look_after` called now and then. A thread runs as long as anybody waits."""
    watcher.heeded.add(turn)
    return 0


cdef int unheed(Turn turn) except -1:
    watcher.heeded.discard(turn)
    return 0


def restart(polling=False):
    """A table of its own for the child of a fork, and for tests of the fallback. Who waited does so no more."""
    global watcher
    watcher.turns.clear()
    watcher.heeded.clear()
    watcher = Watcher(polling)


def stop():
    """End the thread, which is waited for."""
    watcher.stop()


os.register_at_fork(after_in_child=restart)
atexit.register(stop)


cdef class Turn:
    """One wait of one task for one thing: see sharedkit.aio."""

    cdef set(self, Segment segment, object key, uint64_t until):
        """`until`: monotonic nanoseconds; 0 for a look."""
        self.segment = segment
        self.key = key
        self.until = until
        self.deadline = None if until == FOR_EVER else until / 1e9
        if sk_me(segment.s) == 0:
            sk_segment_sit(segment.s)    # where there is no seat, `look` says so if it needs one
        self.me = sk_me(segment.s)
        memset(&self.node, 0, sizeof(self.node))

    cdef object look(self):
        """The answer, or PENDING; `aside` then says what to watch, if there is anything."""
        raise NotImplementedError

    cdef int end(self) except -1:
        """Wait no longer, in the kernel."""
        return 0

    cdef int abandon(self) except -1:
        """Its loop does not run: it must not stand in the way of others. Should it go on, it begins anew."""
        if self.begun and sk_me(self.segment.s) == self.me:
            self.begun = False
            self.end()
        return 0

    cdef int called(self) except -1:
        """It was told to look, and its loop ran then."""
        return 0

    cdef int look_after(self) except -1:
        """See whether its loop still runs, where it was heeded."""
        return 0

    cdef int drop(self) except -1:
        """Keep nothing alive: an exception that somebody keeps has the frame of the wait, which has this turn."""
        self.segment = None
        self.wake = None
        return 0

    cdef object to_be_called(self):
        """What wakes its task, which will have been told by that; None: it waits no more."""
        with cython.critical_section(self):
            wake = self.wake
            if wake is not None:
                self.called()    # first: it may have looked, and be over, when `wake` comes back
        return wake

    cdef int abandon_unheard(self) except -1:
        """Its loop does not run."""
        with cython.critical_section(self):
            unheed(self)
            self.abandon()
        return 0

    def step(self, wake):
        """Look once: the answer, or PENDING, after which `wake` will be called.
        """
        with cython.critical_section(self):
            answer = self.step_once(wake)
        return answer

    cdef object step_once(self, object wake):
        if self.watcher is not None:
            (<Watcher>self.watcher).remove(self)
            self.watcher = None
        self.aside.word = NULL
        try:
            answer = self.look()
        except BaseException:
            self.begun = False
            self.drop()
            raise
        self.begun = <void *>answer == sk_load_pointer_acquire(&PENDING)
        if not self.begun:
            self.drop()
        elif wake is not None:
            self.wake = wake
            if self.aside.word is NULL:
                wake()
            else:
                self.watcher = watcher
                watcher.add(self)
        return answer

    def quit(self):
        """The end: watch nothing any more, and pass on what had been promised."""
        with cython.critical_section(self):
            if self.watcher is not None:
                (<Watcher>self.watcher).remove(self)
                self.watcher = None
            self.wake = None
            if self.begun:
                self.begun = False
                if sk_me(self.segment.s) == self.me:
                    self.end()
            self.drop()
