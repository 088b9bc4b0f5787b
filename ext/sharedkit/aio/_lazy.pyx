# cython: language_level=3
"""sharedkit.aio for compiled modules that return its coroutines: imported at the first wait, as it needs asyncio."""

from cpython.ref cimport Py_INCREF

from sharedkit._core.watcher cimport Waiter


cdef extern from "platform/sk_atomic.h" nogil:
    void *sk_load_pointer_acquire(void *const *pointer) noexcept
    void sk_store_pointer_release(void **pointer, void *value) noexcept

cdef void *module = NULL    # a reference that is never dropped


cdef object coroutines():
    """The module sharedkit.aio.waiters."""
    cdef void *known = sk_load_pointer_acquire(&module)    # A1
    if known is NULL:
        from sharedkit.aio import waiters
        Py_INCREF(waiters)    # if two threads come first, both store the same
        known = <void *>waiters
        sk_store_pointer_release(&module, known)    # R1: the module is initialized
    return <object>known


cdef object leaving(object release, object wakes_next):
    """A coroutine that ends an `async with` block."""
    return coroutines().leave(release, wakes_next)


cdef object waiting(Waiter waiter):
    """A coroutine that waits for the waiter's answer."""
    return coroutines().wait(waiter)
