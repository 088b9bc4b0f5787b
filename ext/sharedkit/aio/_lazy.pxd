"""sharedkit.aio for compiled modules, imported at the first wait."""

from sharedkit._core.watcher cimport Waiter


cdef object coroutines()
cdef object waiting(Waiter waiter)
cdef object leaving(object release, object wakes_next)
