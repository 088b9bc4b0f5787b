"""Keys of a dict as bytes: equal keys have equal bytes."""


cdef class KeyBytes:
    """An encoded key that is not `plain`."""

    cdef bytes body
    cdef int kind


cdef KeyBytes key_bytes(object key)
cdef object key_object(int kind, const char *at, size_t size)
