"""Keys of a dict as bytes: equal keys have equal bytes."""


cdef enum Key:
    KEY_NONE = 0
    KEY_INT = 3             # 8 bytes; this and the next three lie as items do (shm/_codec.pxd)
    KEY_FLOAT = 4           # 8 bytes: what is no integer of 64 bits
    KEY_BYTES = 5
    KEY_STR = 6             # UTF-8
    KEY_SURROGATES = 32     # the same of a str with lone surrogates
    KEY_TUPLE = 33          # items, each: kind, bytes of body in 8 bytes, body
    KEY_FROZENSET = 34      # the same, in order of their bytes
    KEY_TAGGED = 35         # the same, two: a str that says what it is, and its value


cdef class KeyBytes:
    """An encoded key."""

    cdef bytes body
    cdef int kind
    cdef bint whole          # whether the body gives the very object back
    cdef bint unfaithful     # whether plain pickle would give another key back, or none
    cdef bytes first(self, object key)


cdef KeyBytes key_bytes(object key)
cdef object key_object(int kind, const char *at, size_t size)
