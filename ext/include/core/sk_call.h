/* What one call may wait for. */
#ifndef SK_CALL_H
#define SK_CALL_H

#include "core/sk_wait_state.h"

typedef struct sk_call {
    uint64_t until; /* the end of every wait of the call (monotonic ns); 0: do not wait, not even for a lock */
    bool willing;   /* wait also for an item or for room */
    sk_wait_state *wait;  /* of the call, over all its slices. With it a willing caller yields to the holder of the
                           * token, and another caller gets SK_STALLED if a lock's holder makes no progress.
                           * NULL: neither */
} sk_call;

#endif
