"""Batches of messages gathered from Python objects, hashed with the GIL released; and hashers.

A Batch collects sources (sk_source.h); its base, Held, keeps the objects and memory that they need. For most inputs,
sharedkit/hashing/inputs.py decides which sources they become; lists and tuples, the common case, come directly here.
"""

cimport cython
from cpython.buffer cimport (
    PyBUF_FULL_RO,
    PyBUF_SIMPLE,
    PyBUF_WRITABLE,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.pycapsule cimport PyCapsule_GetPointer
from cpython.ref cimport Py_INCREF, PyObject
from libc.stdint cimport int64_t, uint8_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy

from sharedkit.hashing._batch cimport Held
from sharedkit.hashing._kernels cimport (
    SK_ARROW_CORRUPT, SK_ARROW_NULL, SK_ARROW_RELEASED, SK_ARROW_ROOM_UNKNOWN, SK_ARROW_UNSUPPORTED, SK_CODES,
    SK_LIST_CAN_CHANGE, SK_OFFSETS_64, SK_PAIRS_64, SK_SPANS, SK_STRIDED, SK_TRIMMED, ArrowArray, ArrowArrayStream,
    ArrowSchema, PySequence_Fast_GET_SIZE, PySequence_Fast_ITEMS, sk_arrow_source, sk_arrow_status, sk_bad,
    sk_digest_list, sk_hash_active, sk_hash_algorithm, sk_hash_at, sk_hash_feed, sk_hash_find, sk_hash_finish,
    sk_hash_force, sk_hash_key, sk_hash_prepare, sk_hash_runs_here, sk_hash_start, sk_hash_stream, sk_npy_acquire,
    sk_npy_column, sk_npy_load, sk_npy_release, sk_parallel_hash, sk_plain_spans, sk_source,
    sk_source_bytes, sk_source_check, sk_source_look_up, sk_span, sk_ucs4_column, sk_ucs4_write,
)

cdef extern from "stdlib.h" nogil:
    void *aligned_alloc(size_t alignment, size_t size) noexcept

# The UTF-8 of a `U` column is written in pieces of this many bytes; an item that needs more is a piece of its own.
cdef size_t TEXT_PIECE = 1 << 20
# For fewer messages and bytes than this, the GIL is kept: releasing it would cost more than the hashing.
cdef size_t FEW_MESSAGES = 16
cdef size_t FEW_BYTES = 2048


cdef const sk_hash_algorithm *_find(object name) except NULL:
    if not isinstance(name, str):
        raise TypeError(f"algorithm must be a str: {type(name).__name__}")
    cdef bytes encoded = (<str>name).encode()
    cdef const sk_hash_algorithm *algorithm = sk_hash_find(encoded)
    if algorithm is NULL:
        raise ValueError(f"unknown algorithm {name!r}; known: {', '.join(algorithms())}")
    return algorithm


cdef int _prepare(const sk_hash_algorithm *algorithm, sk_hash_key *key, object seed, object secret) except -1:
    cdef str name = algorithm.name.decode()
    cdef uint64_t number = 0
    cdef bytes held = None
    if not hasattr(seed, "__index__"):
        raise TypeError(f"seed must be an int: {type(seed).__name__}")
    if seed != 0:
        if algorithm.seed_bits == 0:
            raise ValueError(f"{name} takes no seed: {seed!r}")
        bits = <object>algorithm.seed_bits
        if seed < 0 or seed >> bits:
            raise ValueError(f"seed of {name} must be in 0 … 2**{bits} - 1: {seed!r}")
        number = seed
    if secret is not None:
        if algorithm.key_size == 0:
            raise ValueError(f"{name} takes no key")
        held = bytes(memoryview(secret))
        if len(held) != algorithm.key_size:
            raise ValueError(f"key of {name} must have {algorithm.key_size} bytes: {len(held)}")
    cdef const uint8_t *secret_bytes = NULL
    if held is not None:
        secret_bytes = <const uint8_t *>PyBytes_AS_STRING(held)
    sk_hash_prepare(key, algorithm, number, secret_bytes)
    return 0


def algorithms():
    """Return the names of all algorithms, a tuple of str."""
    cdef size_t i = 0
    names = []
    while sk_hash_at(i) is not NULL:
        names.append(sk_hash_at(i).name.decode())
        i += 1
    return tuple(names)


def describe(algorithm):
    """Return (digest size in bytes, size of the native word or 0, bits of seed or 0, key size or 0)."""
    cdef const sk_hash_algorithm *found = _find(algorithm)
    return found.digest_size, found.word_size, found.seed_bits, found.key_size


def paths(algorithm):
    """Return the names of the instruction-set paths that this machine can run, best first."""
    cdef const sk_hash_algorithm *found = _find(algorithm)
    cdef size_t i = 0
    names = []
    while found.paths[i] is not NULL:
        if sk_hash_runs_here(found.paths[i]):
            names.append(found.paths[i].name.decode())
        i += 1
    return tuple(names)


def active_path(algorithm):
    """Return the name of the path that is used now."""
    return sk_hash_active(_find(algorithm)).name.decode()


def force_path(algorithm, path=None):
    """Use the named path from now on in this process; None: the best one."""
    cdef bytes held = None if path is None else path.encode()
    cdef const char *name = NULL
    if held is not None:
        name = held
    if not sk_hash_force(_find(algorithm), name):
        raise ValueError(f"no path {path!r} for {algorithm} on this machine; there are: {', '.join(paths(algorithm))}")


@cython.final
cdef class Batch(Held):
    """Messages from one or more inputs, in order; `digest` hashes them all."""

    cdef sk_npy_column strings      # a StringDType array; there is none while its dtype is NULL
    cdef sk_span *string_spans      # filled under the lock of its strings
    cdef list coded                 # (index of a part of codes, Batch of the values), or None
    cdef dict dictionaries          # the values of each Arrow dictionary, by where they lie, or None
    cdef uint8_t *rows              # if the batch is a dictionary's values: their digests, once made

    def add_objects(self, items not None):
        """Add each bytes-like object or str of a list or tuple."""
        if SK_LIST_CAN_CHANGE and isinstance(items, list):
            items = tuple(items)
        cdef Py_ssize_t count = PySequence_Fast_GET_SIZE(items), i = 0, k
        cdef PyObject **objects = PySequence_Fast_ITEMS(items)
        cdef sk_span *spans = <sk_span *>self.allocate(<size_t>count * sizeof(sk_span))
        if isinstance(items, tuple) or self.held is not NULL:
            if not isinstance(items, tuple):
                items = tuple(items)
                objects = PySequence_Fast_ITEMS(items)
            self.kept.append(items)
        else:
            self.held = <PyObject **>malloc(<size_t>count * sizeof(PyObject *) + 1)
            if self.held is NULL:
                raise MemoryError(f"{<size_t>count * sizeof(PyObject *)} bytes for a batch of messages")
            i = sk_plain_spans(objects, 0, count, spans, self.held)
            for k in range(i, count):
                Py_INCREF(<object>objects[k])
                self.held[k] = objects[k]
            self.held_count = count
            objects = self.held
        while True:
            i = sk_plain_spans(objects, i, count, spans, NULL)
            if i == count:
                break
            self.take(<object>objects[i], i, &spans[i])
            i += 1
        cdef sk_source *part = self.part()
        part.kind = SK_SPANS
        part.count = <size_t>count
        part.spans = spans
        self.add()

    def add_array(self, array, *, bint trim=False):
        """Add each item of a 1-D array, or each row of a 2-D one with contiguous rows. `trim` drops NULs at the end."""
        cdef Py_buffer *view = self.view(array, PyBUF_FULL_RO)
        if view.ndim not in (1, 2) or (view.ndim == 2 and view.shape[1] > 1 and view.strides[1] != view.itemsize):
            raise ValueError(f"an array of {view.ndim} dimensions is not a column of messages")
        cdef sk_source *part = self.part()
        part.kind = SK_TRIMMED if trim else SK_STRIDED
        part.count = <size_t>view.shape[0]
        part.data = <const uint8_t *>view.buf
        part.stride = view.strides[0]
        part.size = <size_t>(view.itemsize * (view.shape[1] if view.ndim == 2 else 1))
        self.add()

    def add_ucs4(self, array):
        """Add each item of a 1-D array of NumPy's `U` kind in native byte order, as UTF-8."""
        cdef Py_buffer *view = self.view(array, PyBUF_FULL_RO)
        cdef sk_ucs4_column column
        cdef size_t whole
        cdef bint fine
        column.first, column.stride = <const uint8_t *>view.buf, view.strides[0]
        column.width, column.count, column.next = <size_t>view.itemsize // 4, <size_t>view.shape[0], 0
        cdef sk_span *spans = <sk_span *>self.allocate(column.count * sizeof(sk_span))
        while column.next < column.count:
            whole = (column.count - column.next) * column.width     # enough if all of it is ASCII …
            if column.next:
                whole *= 4                                          # … which it was not
            column.room = max(4 * column.width, min(whole, TEXT_PIECE))
            column.at = <uint8_t *>self.allocate(column.room)
            with nogil:
                fine = sk_ucs4_write(&column, spans)
            if not fine:
                self.refuse_text(array[column.next], column.next)
        cdef sk_source *part = self.part()
        part.kind, part.count, part.spans = SK_SPANS, column.count, spans
        self.add()

    def add_spans(self, buffer, offsets, *, bint pairs=False):
        """Add buffer[offsets[i]:offsets[i + 1]], or with `pairs` buffer[offsets[i, 0]:offsets[i, 1]]; int64 offsets."""
        cdef Py_buffer *data = self.view(buffer, PyBUF_SIMPLE)
        cdef Py_buffer *places = self.view(offsets, PyBUF_SIMPLE)
        cdef size_t words = <size_t>places.len // sizeof(int64_t)
        cdef sk_bad bad
        cdef bint fine
        cdef sk_source *part = self.part()
        part.kind = SK_PAIRS_64 if pairs else SK_OFFSETS_64
        part.count = words // 2 if pairs else (words - 1 if words else 0)
        part.data, part.size = <const uint8_t *>data.buf, <size_t>data.len
        part.offsets = places.buf
        with nogil:
            fine = sk_source_check(part, &bad)
        if not fine:
            raise ValueError(
                f"span {bad.index} runs from {bad.start} to {bad.stop} in a buffer of {data.len} bytes"
            )
        self.add()

    def add_codes(self, codes, Batch values not None):
        """Add values[code] for each code of a 1-D array of integers in native byte order; -1: the item is missing."""
        cdef Py_buffer *view = self.view(codes, PyBUF_FULL_RO)
        cdef sk_source *part = self.part()
        cdef sk_bad bad
        cdef bint fine
        part.kind, part.count, part.size = SK_CODES, <size_t>view.shape[0], values.count
        part.data, part.stride = <const uint8_t *>view.buf, view.strides[0]
        part.code_width = <int>(-view.itemsize if codes.dtype.kind == "i" else view.itemsize)
        with nogil:
            fine = sk_source_check(part, &bad)
        if not fine:
            bad.index += self.count
            if bad.start == -1:
                raise TypeError(f"item {bad.index} is null; nulls have no bytes to hash")
            raise ValueError(f"item {bad.index} has the code {bad.start} in a dictionary of {values.count} values")
        self.add_coded(values)

    def add_numpy_strings(self, api, array):
        """Add the strings of a 1-D StringDType array; `api` is NumPy's API capsule. Only one such array per batch."""
        dtype = array.dtype
        cdef uintptr_t first = array.__array_interface__["data"][0]
        self.kept.append((array, dtype))
        self.strings.api = <void **>PyCapsule_GetPointer(api, NULL)
        self.strings.first, self.strings.stride = <const uint8_t *>first, array.strides[0]
        self.strings.count = array.shape[0]
        self.string_spans = <sk_span *>self.allocate(self.strings.count * sizeof(sk_span))
        self.strings.dtype = <const void *>dtype
        cdef sk_source *part = self.part()
        part.kind, part.count, part.spans = SK_SPANS, self.strings.count, self.string_spans
        self.add()

    def add_arrow_array(self, schema, array, room=None, values_room=None):
        """Add the items behind two capsules of the Arrow C data interface.

        `room` is the number of bytes that its offsets may refer to, `values_room` the same for its dictionary's, if
        known.
        """
        self.kept.append((schema, array))
        self._add_arrow(<const ArrowSchema *>PyCapsule_GetPointer(schema, "arrow_schema"),
                        <const ArrowArray *>PyCapsule_GetPointer(array, "arrow_array"),
                        SK_ARROW_ROOM_UNKNOWN if room is None else room,
                        SK_ARROW_ROOM_UNKNOWN if values_room is None else values_room, False)

    def add_arrow_stream(self, stream):
        """Add the items of all chunks behind a capsule of the Arrow C stream interface."""
        cdef ArrowArrayStream *source = <ArrowArrayStream *>PyCapsule_GetPointer(stream, "arrow_array_stream")
        cdef ArrowSchema schema
        cdef ArrowArray *chunk
        cdef ArrowArray **grown
        self.kept.append(stream)
        if source.release is NULL:
            raise ValueError("the Arrow stream was consumed before")
        if source.get_schema(source, &schema) != 0:
            raise ValueError(f"the Arrow stream has no schema: {_said(source.get_last_error(source))}")
        try:
            while True:
                grown = <ArrowArray **>realloc(self.arrays, (self.array_count + 1) * sizeof(ArrowArray *))
                if grown is NULL:
                    raise MemoryError("an Arrow stream's chunks")
                self.arrays = grown
                chunk = <ArrowArray *>calloc(1, sizeof(ArrowArray))
                if chunk is NULL:
                    raise MemoryError("an Arrow stream's chunks")
                self.arrays[self.array_count] = chunk
                self.array_count += 1
                if source.get_next(source, chunk) != 0:
                    raise ValueError(f"the Arrow stream broke off: {_said(source.get_last_error(source))}")
                if chunk.release is NULL:
                    return
                self._add_arrow(&schema, chunk, SK_ARROW_ROOM_UNKNOWN, SK_ARROW_ROOM_UNKNOWN, False)
        finally:
            if schema.release is not NULL:
                schema.release(&schema)

    cdef int _add_arrow(self, const ArrowSchema *schema, const ArrowArray *array, size_t room, size_t values_room,
                        bint values) except -1:
        cdef sk_bad bad
        cdef sk_source *part = self.part()
        cdef sk_arrow_status status = sk_arrow_source(schema, array, room, values, part, &bad)
        cdef str noun = "value" if values else "item"
        if status == SK_ARROW_UNSUPPORTED:
            raise TypeError(f"Arrow type {schema.format.decode()!r} has no bytes to hash; cast it to text or a number")
        if status == SK_ARROW_RELEASED:
            raise ValueError("the Arrow array was consumed before")
        if status == SK_ARROW_NULL:
            raise TypeError(f"{noun} {self.count + bad.index} is null; nulls have no bytes to hash")
        if status == SK_ARROW_CORRUPT and part.kind == SK_CODES:
            raise ValueError(
                f"item {self.count + bad.index} has the code {bad.start} in a dictionary of {part.size} values"
            )
        if status == SK_ARROW_CORRUPT:
            raise ValueError(
                f"{noun} {self.count + bad.index} of the Arrow {'dictionary' if values else 'array'} "
                "reaches outside its data"
            )
        if part.kind == SK_CODES:
            self.add_coded(self._values(schema.dictionary, array.dictionary, values_room))
        else:
            self.add()
        return 0

    cdef int add_coded(self, Batch values) except -1:
        """Count the last part, which has codes of these values."""
        if self.coded is None:
            self.coded = []
        self.coded.append((self.part_count, values))
        self.add()
        return 0

    cdef Batch _values(self, const ArrowSchema *schema, const ArrowArray *array, size_t room):
        """Return the values of a dictionary; chunks that share a dictionary get the same batch."""
        cdef int64_t count = array.n_buffers, i
        cdef list places = [array.length, array.offset]
        if schema.format[0] == c"v":
            count -= 1      # not the last buffer, which has the sizes of the others and is new in each export
        for i in range(count):
            places.append(<uintptr_t>array.buffers[i])
        cdef tuple where = tuple(places)
        if self.dictionaries is None:
            self.dictionaries = {}
        cdef Batch values = self.dictionaries.get(where)
        if values is None:
            values = Batch()
            values._add_arrow(schema, array, room, SK_ARROW_ROOM_UNKNOWN, True)
            self.dictionaries[where] = values
        return values

    def digest(self, algorithm, out, *, seed=0, key=None, size_t threads=1):
        """Hash all messages into `out`, a writable contiguous buffer of count * digest_size bytes; once only."""
        cdef const sk_hash_algorithm *found = _find(algorithm)
        cdef sk_hash_key prepared
        cdef Py_buffer rows
        _prepare(found, &prepared, seed, key)
        PyObject_GetBuffer(out, &rows, PyBUF_SIMPLE | PyBUF_WRITABLE)
        try:
            if <size_t>rows.len != self.count * found.digest_size:
                raise ValueError(f"out has {rows.len} bytes, not {self.count * found.digest_size}")
            self._hash(found, &prepared, threads, <uint8_t *>rows.buf)
        finally:
            PyBuffer_Release(&rows)

    cdef int _hash(self, const sk_hash_algorithm *found, const sk_hash_key *key, size_t threads,
                   uint8_t *out) except -1:
        cdef size_t i, few = 0
        cdef sk_bad bad
        cdef bint fine
        if self.strings.dtype is not NULL:
            return self._hash_strings(found, key, threads, out)
        if self.coded is not None:
            self._hash_dictionaries(found, key, threads)
        if self.count < FEW_MESSAGES:
            for i in range(self.part_count):
                few += sk_source_bytes(&self.parts[i], 0, self.parts[i].count)
        if self.count < FEW_MESSAGES and few < FEW_BYTES:
            fine = sk_parallel_hash(self.parts, self.part_count, found, key, 1, out, &bad)
        else:
            with nogil:
                fine = sk_parallel_hash(self.parts, self.part_count, found, key, threads, out, &bad)
        if not fine:
            _refuse_changed(bad.index)
        return 0

    cdef int _hash_dictionaries(self, const sk_hash_algorithm *found, const sk_hash_key *key, size_t threads) except -1:
        """Make the digests for codes; if a dictionary has more values than there are codes, make spans instead."""
        cdef Batch values
        cdef size_t index, before
        cdef sk_source *part
        cdef sk_span *spans
        cdef sk_bad bad
        cdef bint fine
        cdef dict codes = {}
        for index, values in self.coded:
            codes[values] = codes.get(values, 0) + self.parts[index].count
        for index, values in self.coded:
            part = &self.parts[index]
            if codes[values] >= values.count or values.strings.dtype is not NULL:
                part.rows = values._digests(found, key, threads)
                continue
            spans = <sk_span *>self.allocate(part.count * sizeof(sk_span))
            with nogil:
                fine = sk_source_look_up(part, values.parts, spans, &bad)
            if not fine:
                for before in range(index):
                    bad.index += self.parts[before].count
                _refuse_changed(bad.index)
            part.kind, part.spans = SK_SPANS, spans
        return 0

    cdef const uint8_t *_digests(self, const sk_hash_algorithm *found, const sk_hash_key *key,
                                 size_t threads) except NULL:
        """Return the digests of a dictionary's values, one row each; they are made at the first call."""
        cdef uint8_t *rows
        if self.rows is NULL:
            rows = <uint8_t *>self.allocate(self.count * found.digest_size)
            self._hash(found, key, threads, rows)
            self.rows = rows
        return self.rows

    cdef int _hash_strings(self, const sk_hash_algorithm *found, const sk_hash_key *key, size_t threads,
                           uint8_t *out) except -1:
        """Hash a StringDType array under the lock of its strings, and so without the GIL (sk_numpy_strings.h)."""
        cdef void *allocator
        cdef size_t loaded
        cdef sk_bad bad
        with nogil:
            allocator = sk_npy_acquire(&self.strings)
            loaded = sk_npy_load(&self.strings, allocator, self.string_spans)
            if loaded == self.strings.count:
                sk_parallel_hash(self.parts, self.part_count, found, key, threads, out, &bad)
            sk_npy_release(&self.strings, allocator)
        if loaded < self.strings.count:
            raise TypeError(f"item {loaded} is missing (NA); missing values have no bytes to hash")
        return 0


cdef int _refuse_changed(size_t index) except -1:
    raise ValueError(f"item {index} was changed while the batch was hashed: it reaches outside of its data now")


cdef str _said(const char *words):
    return "no reason given" if words is NULL else words.decode(errors="replace")


def digest_list(rows, Py_ssize_t size, *, bint hex=False):
    """Cut a contiguous buffer into a list of bytes, or hex str, of `size` bytes each."""
    cdef Py_buffer view
    PyObject_GetBuffer(rows, &view, PyBUF_SIMPLE)
    try:
        return sk_digest_list(<const uint8_t *>view.buf, view.len // size, size, hex)
    finally:
        PyBuffer_Release(&view)


@cython.final
cdef class Hasher:
    """A digest of data that is fed piece by piece; only one thread may use it at a time."""

    cdef sk_hash_stream *hasher

    def __cinit__(self, algorithm, *, seed=0, key=None):
        cdef const sk_hash_algorithm *found = _find(algorithm)
        cdef sk_hash_key prepared
        _prepare(found, &prepared, seed, key)
        self.hasher = <sk_hash_stream *>aligned_alloc(64, (sizeof(sk_hash_stream) + 63) // 64 * 64)
        if self.hasher is NULL:
            raise MemoryError(f"{sizeof(sk_hash_stream)} bytes for a hasher")
        sk_hash_start(self.hasher, found, &prepared)

    def __dealloc__(self):
        free(self.hasher)

    def feed(self, data):
        """Add the bytes of `data`."""
        cdef Py_buffer view
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            if <size_t>view.len < FEW_BYTES:
                sk_hash_feed(self.hasher, <const uint8_t *>view.buf, <size_t>view.len)
            else:
                with nogil:
                    sk_hash_feed(self.hasher, <const uint8_t *>view.buf, <size_t>view.len)
        finally:
            PyBuffer_Release(&view)

    def digest(self):
        """Return the digest of the data fed so far; more may follow."""
        cdef uint8_t digest[64]
        cdef sk_hash_stream *copy = <sk_hash_stream *>aligned_alloc(64, (sizeof(sk_hash_stream) + 63) // 64 * 64)
        if copy is NULL:
            raise MemoryError(f"{sizeof(sk_hash_stream)} bytes for a hasher")
        memcpy(copy, self.hasher, sizeof(sk_hash_stream))
        sk_hash_finish(copy, digest)
        free(copy)
        return PyBytes_FromStringAndSize(<const char *>digest, self.hasher.algorithm.digest_size)
