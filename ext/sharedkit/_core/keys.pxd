"""Keys of a dict as bytes: equal keys have equal bytes."""

from sharedkit._core.segment cimport Segment


cdef enum Key:
    KEY_NONE = 0
    KEY_INT = 3             # 8 bytes; this and the next three are stored as items are (shm/_codec.pxd)
    KEY_FLOAT = 4           # 8 bytes: a number that is not an integer of 64 bits
    KEY_BYTES = 5
    KEY_STR = 6             # UTF-8
    KEY_SURROGATES = 32     # a str with lone surrogates, which UTF-8 in the strict sense cannot encode
    KEY_TUPLE = 33          # items, each: kind, length of the body in 8 bytes, body
    KEY_FROZENSET = 34      # the same, sorted by their bytes
    KEY_TAGGED = 35         # the same with two items: a str that names the type, and its value


cdef class KeyBytes:
    """An encoded key."""

    cdef bytes body
    cdef int kind
    cdef bint whole          # whether the body restores exactly this object
    cdef bint unfaithful     # whether plain pickle would restore another key, or none
    cdef bytes first(self, object key)


cdef KeyBytes key_bytes(object key)
cdef object key_object(int kind, const char *at, size_t size, Segment segment)
