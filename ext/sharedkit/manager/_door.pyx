# cython: language_level=3
"""The server's checks that every request passes first: they compare types, which runs no Python code of a client.

`arguments.py` has the table of permitted types. If these checks find something unusual, it finds out what is wrong.
"""

import struct

cimport cython

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.object cimport Py_TYPE
from libc.stdint cimport int32_t, uint32_t

cdef object of_bytes = struct.Struct("!d").unpack

cdef enum:
    NUMBER_BYTES = 100   # limit of a pickled number
    PROTO = 0x80         # first byte of a pickle; then the protocol,
    FRAME = 0x95         # perhaps the length of the rest in 8 bytes,
    ONE_BYTE = 0x4B      # an int without its sign, of one byte
    TWO_BYTES = 0x4D     # or two, the lowest first,
    FOUR_BYTES = 0x4A    # one with its sign,
    LONG = 0x8A          # one behind the number of its bytes,
    REAL = 0x47          # or a double, the highest byte first,
    STOP = 0x2E          # and the end


@cython.final
cdef class Known:
    """Known()
    --

    Answers for requests by the types of their arguments; at most one for each list of types that is permitted.
    """

    cdef dict kinds

    def __cinit__(self):
        self.kinds = {}

    def look(self, kind, method, tuple args not None):
        """Return the answer that `learn` stored for that method and arguments of exactly these types; None if there is
        none."""
        cdef dict methods
        cdef list rows
        cdef tuple row
        found = self.kinds.get(kind)
        if found is None:
            return None
        methods = <dict>found
        found = methods.get(method)
        if found is None:
            return None
        rows = <list>found
        for each in rows:
            row = <tuple>each
            if are_of(<tuple>row[0], args):
                return row[1]
        return None

    def learn(self, kind, method, tuple args not None, answer):
        """Store an answer that is not None."""
        rows = self.kinds.setdefault(kind, {}).setdefault(method, [])
        rows.append((tuple([type(each) for each in args]), answer))


cdef bint are_of(tuple types, tuple args):
    """Return whether each argument is of exactly its type."""
    cdef Py_ssize_t place
    if len(types) != len(args):
        return False
    for place in range(len(types)):
        if <void *>Py_TYPE(args[place]) != <void *>types[place]:
            return False
    return True


def only(kind, list values not None):
    """Return whether each value is of exactly that type."""
    for each in values:
        if <void *>Py_TYPE(each) != <void *>kind:
            return False
    return True


def is_envelope(content):
    """Return whether this is (ident, method, args, thread, released), where `released` has only numbers and texts."""
    if type(content) is not tuple or len(<tuple>content) != 5:
        return False
    ident, method, args, thread, released = <tuple>content
    if type(ident) is not int or type(method) is not str or type(args) is not tuple:
        return False
    if type(thread) is not int or type(released) is not tuple:
        return False
    for each in <tuple>released:
        if type(each) is not int and type(each) is not str:
            return False
    return True


def number_in(packed):
    """Return the packed number, if it is an int or a float of no more than 100 bytes; else None.

    This is the only packed data of clients that the server reads, and it unpickles nothing: a pickle in another form
    than `pickle.dumps` gives a number does not count as a number, and its client unpickles it.
    """
    cdef const unsigned char *at
    cdef Py_ssize_t size
    if type(packed) is not bytes:
        return None
    size = PyBytes_GET_SIZE(packed)
    at = <const unsigned char *>PyBytes_AS_STRING(packed)
    if size > NUMBER_BYTES or size < 5 or at[0] != PROTO or at[size - 1] != STOP:
        return None
    at += 2
    size -= 3
    if at[0] == FRAME and size > 9:
        at += 9
        size -= 9
    if at[0] == ONE_BYTE and size == 2:
        return at[1]
    if at[0] == TWO_BYTES and size == 3:
        return at[1] | at[2] << 8
    if at[0] == FOUR_BYTES and size == 5:
        return <int32_t>(<uint32_t>at[1] | <uint32_t>at[2] << 8 | <uint32_t>at[3] << 16 | <uint32_t>at[4] << 24)
    if at[0] == LONG and size >= 2 and size == 2 + at[1]:
        return int.from_bytes(at[2:size], "little", signed=True)
    if at[0] == REAL and size == 9:
        return of_bytes(at[1:9])[0]
    return None
