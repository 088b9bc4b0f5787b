/* The list of segments to which this process is attached, so that it can leave them at its very end, when it must not
 * touch Python objects any more. Private to the process. The fork lock guards the list, so that the child of a fork
 * finds it intact. sk_detach_all takes no lock: at the end of the process no other thread changes the list. */
#ifndef SK_EXIT_H
#define SK_EXIT_H

#include "core/sk_segment.h"

typedef struct sk_hold {
    sk_segment segment; /* first: a pointer to it is also a pointer to the hold */
    struct sk_hold *next, *last;
} sk_hold;

static sk_hold *sk_holds;

/* `hold` is zeroed memory that the caller keeps until it drops the hold. */
static inline void sk_hold_add(sk_hold *hold) {
    sk_private_lock(&sk_this_process.fork_lock);
    hold->next = sk_holds;
    if (sk_holds != NULL) sk_holds->last = hold;
    sk_holds = hold;
    sk_private_unlock(&sk_this_process.fork_lock);
}

static inline void sk_hold_drop(sk_hold *hold) {
    sk_private_lock(&sk_this_process.fork_lock);
    if (hold->last != NULL) hold->last->next = hold->next;
    else sk_holds = hold->next;
    if (hold->next != NULL) hold->next->last = hold->last;
    sk_private_unlock(&sk_this_process.fork_lock);
}

static inline void sk_detach_all(void) {
    for (sk_hold *hold = sk_holds; hold != NULL; hold = hold->next) sk_segment_detach(&hold->segment);
}

#endif
