# cython: language_level=3
"""sharedkit.aio for compiled modules, which make coroutines of it: imported at the first wait, as it needs asyncio."""

from cpython.ref cimport Py_INCREF

from sharedkit._core.watcher cimport Waiter


cdef extern from "platform/sk_atomic.h" nogil:
    void *sk_load_pointer_acquire(void *const *pointer) noexcept
    void sk_store_pointer_release(void **pointer, void *value) noexcept

cdef void *module = NULL    # a reference of our own, which nobody drops


cdef object coroutines():
    """The module sharedkit.aio.waiters."""
    cdef void *known = sk_load_pointer_acquire(&module)    # A1
    if known is NULL:
        from sharedkit.aio import waiters
        Py_INCREF(waiters)    # of two threads that come first both store the same
        known = <void *>waiters
        sk_store_pointer_release(&module, known)    # R1: the module is whole
    return <object>known


cdef object leaving(object release, object wakes_next):
    """A coroutine that ends an `async with` block."""
    return coroutines().leave(release, wakes_next)


cdef object waiting(Waiter waiter):
    """A coroutine that waits for the waiter's answer."""
    return coroutines().wait(waiter)
