# cython: language_level=3
"""Keys of a dict as bytes: equal keys have equal bytes.

`1`, `1.0` and `True` are one key, as in a dict. Tuples and frozensets are encoded item by item, because pickles of
equal tuples may differ; any other hashable object is its pickle, so objects that compare equal must pickle equally.
"""

import pickle

from libc.stdint cimport uint64_t
from libc.string cimport memcpy

from sharedkit.shm._codec cimport KIND_BYTES, KIND_FLOAT, KIND_INT, KIND_NONE, KIND_PICKLE, KIND_STR, corrupt, decode

cdef enum:
    KIND_BIG_INT = 32       # decimal digits
    KIND_TUPLE = 33         # items, each: kind, bytes of body in 8 bytes, body
    KIND_FROZENSET = 34     # the same, in order of their bytes


cdef KeyBytes made(int kind, bytes body):
    cdef KeyBytes key = KeyBytes.__new__(KeyBytes)
    key.kind = kind
    key.body = body
    return key


cdef KeyBytes key_bytes(object key):
    """TypeError for what is not hashable; what pickling raises."""
    if type(key) is bool:
        return made(KIND_INT, int(key).to_bytes(8, "little", signed=True))
    if type(key) is int:
        if -(1 << 63) <= key < 1 << 63:
            return made(KIND_INT, key.to_bytes(8, "little", signed=True))
        return made(KIND_BIG_INT, str(key).encode())
    if type(key) is float:
        return key_bytes(int(key)) if key.is_integer() else made(KIND_FLOAT, float_body(key))
    if type(key) is bytes:
        return made(KIND_BYTES, key)
    if key is None:
        return made(KIND_NONE, b"")
    hash(key)
    if type(key) is str:
        try:
            return made(KIND_STR, key.encode())
        except UnicodeEncodeError:    # lone surrogates
            return made(KIND_PICKLE, pickle.dumps(key, 5))
    if type(key) is tuple:
        return made(KIND_TUPLE, b"".join([framed(key_bytes(item)) for item in key]))
    if type(key) is frozenset:
        return made(KIND_FROZENSET, b"".join(sorted([framed(key_bytes(item)) for item in key])))
    return made(KIND_PICKLE, pickle.dumps(key, 5))


cdef bytes float_body(double real):
    return (<char *>&real)[:8]


cdef bytes framed(KeyBytes key):
    return bytes([key.kind]) + len(key.body).to_bytes(8, "little") + key.body


cdef object key_object(int kind, const char *at, size_t size):
    """The key of a body. CorruptSegmentError; what unpickling raises."""
    if kind == KIND_BIG_INT:
        return int(at[:size])
    if kind != KIND_TUPLE and kind != KIND_FROZENSET:
        return decode(kind, at, size)
    cdef uint64_t length
    items = []
    while size > 0:
        if size < 9:
            corrupt()
        memcpy(&length, at + 1, 8)
        if length > size - 9:
            corrupt()
        items.append(key_object(<unsigned char>at[0], at + 9, length))
        at += 9 + length
        size -= 9 + length
    return tuple(items) if kind == KIND_TUPLE else frozenset(items)
