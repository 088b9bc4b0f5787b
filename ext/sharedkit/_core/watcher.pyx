# cython: language_level=3
"""The waits of event loops, and the one thread of a process that watches the 32-bit words in shared memory on which
these waits depend."""

import atexit
import os

cimport cython
from cpython.exc cimport PyErr_WriteUnraisable
from libc.string cimport memset

from sharedkit._core.background import background
from sharedkit._core.segment cimport Segment, sk_me, sk_now_ns, sk_segment_is_private, sk_segment_sit


cdef extern from "core/sk_watch.h" nogil:
    void sk_watch_init(sk_watch *w, cbool polling) noexcept
    void sk_watch_add(sk_watch *w, sk_watched *x) noexcept
    void sk_watch_remove(sk_watch *w, sk_watched *x) noexcept
    void sk_watch_end(sk_watch *w) noexcept
    void *sk_watch_take(sk_watch *w) noexcept
    cbool sk_watch_wait(sk_watch *w, uint64_t idle, uint64_t until) noexcept
    uint32_t sk_watch_count(sk_watch *w, uint32_t *covered) noexcept
    void sk_watch_ring(sk_watch *w) noexcept
    void sk_watch_dismiss(sk_watch *w) noexcept

cdef extern from "platform/sk_atomic.h" nogil:
    uint32_t sk_add32_relaxed(uint32_t *word, uint32_t n) noexcept
    uint32_t sk_load32_relaxed(const uint32_t *word) noexcept

cdef uint64_t FOR_EVER = <uint64_t>-1
cdef uint64_t IDLE_NS = 1000000000      # the thread ends when it has had nothing to watch for this long
cdef uint64_t RECLAIM_NS = 50000000        # how often the thread checks whether the loops of notified tasks still run


class Pending:
    """The result of a step of a wait that cannot go on yet."""

    def __repr__(self):
        return "PENDING"


PENDING = Pending()
cdef object PENDING_ANSWER = PENDING


cdef object pending():
    """Return PENDING, the answer of a `look` whose wait cannot go on."""
    return PENDING_ANSWER


cdef uint32_t queued_tasks = 0


def count_queued_task(int change):
    """Add `change` (1 or -1) to the number of tasks that stand in a wait queue of their loop; sharedkit.aio calls this.
    """
    sk_add32_relaxed(&queued_tasks, <uint32_t>change)


cdef bint no_task_queued() noexcept:
    """Return whether no task of this process stands in a wait queue, so that a call that comes now may go first."""
    return sk_load32_relaxed(&queued_tasks) == 0


cdef class Watcher:
    """The table of one process's waits, and the thread that sleeps until one of their words changes. The thread runs
    while anything is watched, and for a second more.

    Without the GIL, two critical sections exclude the threads of the loops. The one on the watcher protects the set of
    waiters in the table and the start and end of the thread. The one on a waiter protects the waiter's steps and what
    the thread does with the waiter.
    """

    cdef sk_watch table
    cdef set waiters               # the waiters in the table; they keep their segments mapped
    cdef set undelivered              # the waiters with a notification that would be lost if their loop ended now
    cdef uint64_t next_reclaim           # when to check the undelivered ones again
    cdef object thread           # None: it must be started
    cdef readonly bint polling

    def __cinit__(self, bint polling, bint patrol=True):
        self.polling = polling
        self.waiters = set()
        self.undelivered = set()
        sk_watch_init(&self.table, polling)
        self.table.unpatrolled = not patrol

    cdef int add(self, Waiter waiter) except -1:
        with cython.critical_section(self):
            if self.thread is None:
                self.table.ended = False
                self.thread = background(self.run, name="sharedkit watcher")
                try:
                    self.thread.start()
                except BaseException:
                    self.thread = None
                    raise
            self.waiters.add(waiter)
            waiter.node.what = waiter.aside
            waiter.node.whose = <void *>waiter
            sk_watch_add(&self.table, &waiter.node)
        return 0

    cdef int remove(self, Waiter waiter) except -1:
        with cython.critical_section(self):
            if waiter in self.waiters:
                sk_watch_remove(&self.table, &waiter.node)
                self.waiters.discard(waiter)
        return 0

    cdef Waiter fired(self):
        """Remove a waiter that must be woken from the table and return it; None if there is none."""
        cdef void *whose
        cdef Waiter waiter = None
        with cython.critical_section(self):
            whose = sk_watch_take(&self.table)
            if whose is not NULL:
                waiter = <Waiter>whose
                self.waiters.discard(waiter)
        return waiter

    cdef bint ends(self):
        """Return whether the thread must end because there is nothing to watch."""
        cdef bint over
        with cython.critical_section(self):
            over = self.table.ended or not self.waiters and not self.undelivered
            if over:
                self.thread = None       # no waiter was added meanwhile
        return over

    def run(self):
        """Run the thread: wake the waiters whose words have changed, until there is nothing to watch."""
        cdef cbool fired
        cdef uint64_t now, until
        cdef Waiter waiter
        while True:
            now = sk_now_ns()
            until = now + RECLAIM_NS if self.undelivered else FOR_EVER
            with nogil:
                fired = sk_watch_wait(&self.table, now + IDLE_NS, until)
            if not fired and (self.table.ended or not self.waiters and not self.undelivered):
                with nogil:
                    sk_watch_dismiss(&self.table)
                if self.ends():
                    return
            if self.undelivered and sk_now_ns() >= self.next_reclaim:
                self.reclaim()
            while True:
                waiter = self.fired()
                if waiter is None:
                    break
                wake = waiter.take_wake()
                try:
                    if wake is not None and not wake():
                        waiter.abandon_for_stopped_loop()
                except BaseException:
                    PyErr_WriteUnraisable(wake)
                waiter = wake = None       # keep nothing alive while the thread sleeps

    cdef int reclaim(self) except -1:
        """If the loop of a notified task does not run, pass the notification on to another waiter."""
        self.next_reclaim = sk_now_ns() + RECLAIM_NS
        for waiter in list(self.undelivered):
            try:
                with cython.critical_section(waiter):
                    (<Waiter>waiter).reclaim()
            except BaseException:
                PyErr_WriteUnraisable(waiter)
        return 0

    def stop(self):
        """End the thread, and wait at most a second for its end. Called at the exit of the interpreter; the thread
        wakes no more tasks."""
        with cython.critical_section(self):
            thread = self.thread
        if thread is not None:
            sk_watch_end(&self.table)
            try:
                thread.join(1)
            except RuntimeError:    # another thread is in `thread.start()` now; the new thread will end at once
                pass


cdef Watcher watcher = Watcher(False)


cdef int add_undelivered(Waiter waiter) except -1:
    """Make the watcher's thread call the waiter's `reclaim` every RECLAIM_NS, until `discard_undelivered`. This starts
    no thread: one runs as long as anything waits."""
    cdef bint first = not watcher.undelivered
    watcher.undelivered.add(waiter)
    if first:
        sk_watch_ring(&watcher.table)    # it may sleep for long
    return 0


cdef int discard_undelivered(Waiter waiter) except -1:
    watcher.undelivered.discard(waiter)
    return 0


def restart(polling=False, patrol=True):
    """Make a new table, for the child of a fork and for tests of the fallbacks. No earlier wait continues."""
    global watcher
    watcher.waiters.clear()
    watcher.undelivered.clear()
    watcher = Watcher(polling, patrol)


def counts():
    """Return how many waits of this process are watched now, and how many of them do not look for deaths
    themselves."""
    cdef uint32_t covered = 0
    watched = sk_watch_count(&watcher.table, &covered)
    return watched, covered


def stop():
    """End the thread and wait for its end."""
    watcher.stop()


os.register_at_fork(after_in_child=restart)
atexit.register(stop)


cdef class Waiter:
    """One wait of one task for one thing: see sharedkit.aio."""

    cdef set(self, Segment segment, object key, uint64_t until):
        """Set the wait up. `until`: the deadline, monotonic time in nanoseconds; 0: poll only once."""
        self.segment = segment
        self.key = key
        self.until = until
        self.deadline = None if until == FOR_EVER else until / 1e9
        if sk_me(segment.s) == 0:
            sk_segment_sit(segment.s)    # no seat may be free: a `look` that needs one reports this
        self.me = sk_me(segment.s)
        memset(&self.node, 0, sizeof(self.node))
        self.node.seats = NULL if sk_segment_is_private(segment.s) else &segment.s.seats

    cdef object look(self):
        """Return the answer or PENDING. After PENDING, `aside` says what to watch, if there is anything."""
        raise NotImplementedError

    cdef int end(self) except -1:
        """End the wait in the C code."""
        return 0

    cdef int abandon(self) except -1:
        """Abandon the wait because the task's loop does not run, so that the wait does not block others. If the loop
        runs again, the wait starts anew."""
        if self.begun and sk_me(self.segment.s) == self.me:
            self.begun = False
            self.end()
        return 0

    cdef int called(self) except -1:
        """Record that the task was woken while its loop ran."""
        return 0

    cdef int reclaim(self) except -1:
        """If the task's loop does not run, pass the notification of this waiter on to another waiter."""
        return 0

    cdef int drop(self) except -1:
        """Drop all references, so that this waiter keeps nothing alive: an exception that a program stores refers to
        the frame of the wait, and through it to this waiter."""
        self.segment = None
        self.wake = None
        return 0

    cdef object take_wake(self):
        """Return the function that wakes the task, and record the wake-up by `called`. None: no task waits."""
        with cython.critical_section(self):
            wake = self.wake
            if wake is not None:
                self.called()    # before `wake` runs: when `wake` returns, the wait may be over already
        return wake

    cdef int abandon_for_stopped_loop(self) except -1:
        """Abandon the wait, because the task's loop does not run."""
        with cython.critical_section(self):
            discard_undelivered(self)
            self.abandon()
        return 0

    def step(self, wake):
        """Poll once; return the answer, or PENDING, after which `wake` will be called.
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
        self.begun = answer is PENDING_ANSWER
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

    def cancel(self):
        """End the wait: watch nothing any more. If a notification has arrived, pass it on to another waiter."""
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
