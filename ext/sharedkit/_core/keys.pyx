# cython: language_level=3
"""Keys of a dict as bytes: two keys have the same canonical form exactly when Python treats them as one key.

`1`, `1.0`, `True` and `Decimal(1)` are one key, as in a dict; a namedtuple is the same key as its tuple, a StrEnum the
same as its text. The module `key_forms` defines the forms of types that are not encoded here. Forms are compared and
hashed; the key object can be restored from its form only if the form is `whole`. Otherwise the object that was stored
first is stored beside its form, pickled.
"""

import pickle

from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy

from sharedkit._core.key_forms import dumps_faithfully, is_unfaithful, reduced
from sharedkit._core.segment cimport SK_CORRUPT, Segment, refuse


cdef extern from "Python.h":
    int Py_EnterRecursiveCall(const char *where) except -1
    void Py_LeaveRecursiveCall() noexcept
    long long PyLong_AsLongLongAndOverflow(object o, int *overflow) except? -1

cdef double FAR = 9223372036854775808.0    # 2**63
cdef double NAN = float("nan")
cdef object dumps = pickle.dumps, loads = pickle.loads


cdef class KeyBytes:

    cdef bytes first(self, object key):
        """Return the bytes that must be stored beside the form; None if there are none. Raises what pickling raises."""
        if self.whole:
            return b""
        return dumps_faithfully(key) if self.unfaithful else dumps(key, 5)


cdef KeyBytes made(int kind, bytes body, bint whole):
    cdef KeyBytes key = KeyBytes.__new__(KeyBytes)
    key.kind = kind
    key.body = body
    key.whole = whole
    return key


cdef KeyBytes of_word(int64_t word, bint whole):
    return made(KEY_INT, (<char *>&word)[:8], whole)


cdef KeyBytes of_real(double real):
    if real == real and -FAR <= real < FAR and real == <double><int64_t>real:
        return of_word(<int64_t>real, False)
    if real != real:
        real = NAN    # one for all the different NaNs
    return made(KEY_FLOAT, (<char *>&real)[:8], True)


cdef KeyBytes of_items(int kind, object key):
    cdef KeyBytes item
    cdef KeyBytes all_of_them
    cdef bint whole = True, unfaithful = False
    framed = []
    for each in key:
        item = key_bytes(each)
        whole = whole and item.whole
        unfaithful = unfaithful or item.unfaithful
        framed.append(frame(item))
    if kind == KEY_FROZENSET:
        framed.sort()
    all_of_them = made(kind, b"".join(framed), whole)
    all_of_them.unfaithful = unfaithful
    return all_of_them


cdef bytes frame(KeyBytes key):
    return bytes([key.kind]) + len(key.body).to_bytes(8, "little") + key.body


cdef KeyBytes key_bytes(object key):
    """Encode the key. Raises TypeError for a key that is not hashable or has no canonical form."""
    cdef int overflow = 0
    cdef long long word
    cdef object kind = type(key)
    if kind is str:
        try:
            return made(KEY_STR, key.encode(), True)
        except UnicodeEncodeError:
            return made(KEY_SURROGATES, key.encode("utf-8", "surrogatepass"), True)
    if kind is int:
        word = PyLong_AsLongLongAndOverflow(key, &overflow)
        if overflow == 0:
            return of_word(word, True)
    if kind is bytes:
        return made(KEY_BYTES, key, True)
    if kind is float:
        return of_real(key)
    if kind is bool:
        return of_word(key is True, False)
    if key is None:
        return made(KEY_NONE, b"", True)
    hash(key)
    Py_EnterRecursiveCall(" while a key was encoded")
    try:
        if kind is tuple:
            return of_items(KEY_TUPLE, key)
        if kind is frozenset:
            return of_items(KEY_FROZENSET, key)
        return of_other(key)
    finally:
        Py_LeaveRecursiveCall()


cdef KeyBytes of_other(object key):
    cdef KeyBytes value, other
    tag, stands_for = reduced(key)
    value = key_bytes(stands_for)
    if tag is None:
        other = made(value.kind, value.body, False)
    else:
        other = made(KEY_TAGGED, frame(key_bytes(tag)) + frame(value), False)
    other.unfaithful = value.unfaithful or is_unfaithful(key)
    return other


cdef object key_object(int kind, const char *at, size_t size, Segment segment):
    """Return the key object of a form that is whole. `segment`: the one that has the form; None: it came another way.

    Raises CorruptSegmentError."""
    cdef int64_t word
    cdef double real
    cdef uint64_t length
    if kind == KEY_STR or kind == KEY_SURROGATES:
        try:
            return at[:size].decode("utf-8", "strict" if kind == KEY_STR else "surrogatepass")
        except UnicodeDecodeError:
            refuse(SK_CORRUPT, 0, segment)
    if kind == KEY_INT and size == 8:
        memcpy(&word, at, 8)
        return word
    if kind == KEY_BYTES:
        return at[:size]
    if kind == KEY_FLOAT and size == 8:
        memcpy(&real, at, 8)
        return real
    if kind == KEY_NONE and size == 0:
        return None
    if kind != KEY_TUPLE and kind != KEY_FROZENSET:
        refuse(SK_CORRUPT, 0, segment)
    items = []
    Py_EnterRecursiveCall(" while a key was decoded")
    try:
        while size > 0:
            if size < 9:
                refuse(SK_CORRUPT, 0, segment)
            memcpy(&length, at + 1, 8)
            if length > size - 9:
                refuse(SK_CORRUPT, 0, segment)
            items.append(key_object(<unsigned char>at[0], at + 9, length, segment))
            at += 9 + length
            size -= 9 + length
    finally:
        Py_LeaveRecursiveCall()
    return tuple(items) if kind == KEY_TUPLE else frozenset(items)


# --- for Python: forms for other processes ----------------------------------------------------------


def form_of(key):
    """Return the form of the key for another process: a str, an int of 64 bits, or bytes. Equal keys have equal forms.

    Raises TypeError for a key that is not hashable or has no canonical form.
    """
    cdef KeyBytes encoded
    if type(key) is str:
        return key
    encoded = key_bytes(key)
    if encoded.kind == KEY_STR or encoded.kind == KEY_SURROGATES or encoded.kind == KEY_INT:
        return key_object(encoded.kind, encoded.body, len(encoded.body), None)
    return bytes([encoded.kind]) + encoded.body


def form_and_first(key):
    """Return the form and a pickle, which must be kept beside it so that `key_of` restores exactly this object; None in
    place of the pickle if the form suffices."""
    if type(key) is str:
        return key, None
    cdef KeyBytes encoded = key_bytes(key)
    return form_of(key), None if encoded.whole else encoded.first(key)


def key_of(form, first):
    """Return the key object of a form and its pickle. Raises what unpickling raises."""
    if first is not None:
        return loads(first)
    if type(form) is not bytes:
        return form
    cdef bytes body = form
    if not body:
        refuse(SK_CORRUPT, 0, None)
    return key_object(<unsigned char>body[0], <const char *>body + 1, len(body) - 1, None)
