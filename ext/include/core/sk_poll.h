/* Waiting for a descriptor to have something to read: look a few times, then let its reader sleep in the kernel.
 *
 * To wake a sleeper on another core takes 20 to 40 us, on both ways of a request; the request itself a few. So who asks and
 * who answers look for a while first, and offer their core between looks to the other end, which may want it. How often is
 * learnt as in sk_wait.h: from how long the sleep took that followed. Private to one thread. */
#ifndef SK_POLL_H
#define SK_POLL_H

#include "platform/sk_platform.h"

typedef struct sk_poller {
    uint32_t looks; /* to take before sleeping; adapts, down to none */
    uint32_t rest;  /* so many waits sleep at once: strangers want the core, */
    uint32_t rests; /* and so many the next time that they do */
    uint64_t since; /* when it went to sleep after looks in vain; 0: it did not */
} sk_poller;

#define SK_LOOKS_MAX 32u
/* A sleep that was over so soon would have been spared by more looks: they take up to 45 us, to be woken takes up to 80. */
#define SK_SHORT_SLEEP_NS 150000u
/* Who comes back so late from an offer of the core shares it with strangers, and each offer costs a slice of theirs (1 ms
 * and more): asleep it would be woken in time. So it sleeps at once for a while, twice as long each time. */
#define SK_LONG_OFFER_NS 300000u
#define SK_RESTS_MIN 16u
#define SK_RESTS_MAX 1024u

static inline void sk_poller_init(sk_poller *l) { *l = (sk_poller){1, 0, SK_RESTS_MIN, 0}; }

/* To let others run was dear. */
static inline void sk_poller_rests(sk_poller *l) {
    l->rest = l->rests;
    l->rests = l->rests * 2 > SK_RESTS_MAX ? SK_RESTS_MAX : l->rests * 2;
}

/* Whether something can be read at `fd`. If not, its reader is expected to sleep, and to say sk_poller_woke then. */
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

/* After a sleep of so many ns: more looks next time if it was short, fewer if it was long. */
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
