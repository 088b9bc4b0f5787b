/* Waiting until a descriptor has something to read: poll a few times, then let the caller sleep in the system.
 *
 * Waking a waiter on another core takes 20 to 40 us, in each direction of a request; the request itself takes a few.
 * So client and server poll for a while first. Between polls they offer their core (sk_yield), because the other end
 * may need it. The number of polls adapts as in sk_wait.h: to the length of the sleep that follows. Private to one
 * thread. */
#ifndef SK_POLL_H
#define SK_POLL_H

#include "platform/sk_platform.h"

typedef struct sk_poller {
    uint32_t looks; /* how often to poll before sleeping; adapts, down to 0 */
    uint32_t rest;  /* this many further waits sleep without polling, because other programs want the core */
    uint32_t rests; /* the value of `rest` after the next offer that takes too long */
    uint64_t since; /* when the caller went to sleep after polling in vain; 0: it did not */
} sk_poller;

#define SK_LOOKS_MAX 32u
/* After a sleep shorter than this, more polls would have been better: polls take up to 45 us, a wake-up up to 80. */
#define SK_SHORT_SLEEP_NS 150000u
/* If a thread gets its core back later than this after an offer, other programs want the core, and each offer costs one
 * of their time slices (1 ms and more), while a parked waiter would be woken in time. So the next waits do not poll: 16
 * at first, and twice as many each further time. */
#define SK_LONG_OFFER_NS 300000u
#define SK_RESTS_MIN 16u
#define SK_RESTS_MAX 1024u

static inline void sk_poller_init(sk_poller *l) { *l = (sk_poller){1, 0, SK_RESTS_MIN, 0}; }

/* An offer of the core took too long. */
static inline void sk_poller_rests(sk_poller *l) {
    l->rest = l->rests;
    l->rests = l->rests * 2 > SK_RESTS_MAX ? SK_RESTS_MAX : l->rests * 2;
}

/* Whether `fd` has something to read. If not, the caller is expected to sleep and to call sk_poller_woke afterwards. */
static inline bool sk_poll(sk_poller *l, int fd) {
    if (l->rest > 0) {
        l->rest--;
        return false;
    }
    uint64_t now = sk_now_ns();
    for (uint32_t i = 0; i < l->looks; i++) {
        if (sk_readable(fd)) {
            if (l->rests > SK_RESTS_MIN) l->rests--;
            return true;
        }
        uint64_t before = now;
        sk_yield();
        now = sk_now_ns();
        if (now - before > SK_LONG_OFFER_NS) {
            sk_poller_rests(l);
            return false;
        }
    }
    l->since = now;
    return false;
}

/* Adapt after a sleep of `slept` ns: more polls next time if the sleep was short, fewer if it was long. */
static inline void sk_poller_learn(sk_poller *l, uint64_t slept) {
    if (slept >= SK_SHORT_SLEEP_NS) l->looks -= (l->looks + 3) / 4;
    else l->looks = l->looks == 0 ? 1 : l->looks * 2;
    if (l->looks > SK_LOOKS_MAX) l->looks = SK_LOOKS_MAX;
}

static inline void sk_poller_woke(sk_poller *l) {
    if (l->since == 0) return;
    uint64_t slept = sk_now_ns() - l->since;
    l->since = 0;
    sk_poller_learn(l, slept);
}

#endif
