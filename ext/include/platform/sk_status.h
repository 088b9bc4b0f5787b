/* The results of the C functions. One function of the Cython layer turns them into exceptions.
 * Below zero: the operation was not done. Zero or above: it was done. */
#ifndef SK_STATUS_H
#define SK_STATUS_H

enum sk_status {
    SK_OK = 0,
    SK_OWNER_DIED = 1,  /* acquired from a dead owner: the caller must repair before it goes on */
    SK_EMPTY = -1,      /* no item, and the caller does not wait (any more) */
    SK_FULL = -2,       /* no room, and the caller does not wait (any more) */
    SK_SHUTDOWN = -3,   /* the queue was shut down */
    SK_TIMEOUT = -4,    /* the time given is over; the caller decides whether to call again */
    SK_INTERRUPTED = -5, /* a signal arrived or a slice is over: let handlers run, then call again */
    SK_BUSY = -6,       /* the operation would have to wait, and the caller does not wait */
    SK_LARGER = -7,     /* the item needs a larger buffer than the caller provided */
    SK_TOO_LARGE = -8,  /* no structure of this kind can hold an item or a structure of that size */
    SK_NO_MEMORY = -9,  /* shared memory could not be reserved */
    SK_NO_SEAT = -10,   /* every seat is taken */
    SK_GONE = -11,      /* the segment has no name (any more) */
    SK_EXISTS = -12,    /* the name is taken */
    SK_FOREIGN = -13,   /* not a segment of sharedkit; in a dict: a value of another kind */
    SK_CORRUPT = -14,   /* the contents contradict themselves */
    SK_OVERFLOW = -15,  /* the result does not fit; the value is kept */
    SK_EXCESS = -16,    /* released more often than acquired */
    SK_SYSTEM = -17,    /* the system refused: errno says why */
    SK_BROKEN = -18,    /* the barrier is broken */
    SK_UNTRUSTED = -19, /* the file belongs to another user, or others may write it: see sk_door.h */
    SK_OTHER_LAYOUT = -20,   /* a segment of another layout, which the header in the caller's sk_segment names */
    SK_FOLDER = -21,    /* the folder cannot hold segments: errno says why */
    SK_FILE_LIMIT = -22, /* the process may not make files so large (RLIMIT_FSIZE) */
    SK_NO_MAPPING = -23, /* the process has no room for the mapping */
    SK_STALLED = -24,   /* the holder of an inner lock makes no progress, and the caller does not wait for it */
    SK_TOO_MANY = -26,  /* as many as there is room for are in use already */
    SK_FREE = -25,      /* what the caller waits for is free, and the caller takes it by another call */
};

#endif
