"""A task's waits for a queue: coroutines."""

from libcpp cimport bool as cbool

from sharedkit._segment cimport Segment


cdef object get_one(Segment segment, cbool willing, object timeout)
cdef object get_some(Segment segment, object max_items, cbool willing, object timeout)
cdef object put_one(Segment segment, object item, cbool willing, object timeout)
cdef object put_all(Segment segment, object items, cbool willing, object timeout)
cdef object join_all(Segment segment)
