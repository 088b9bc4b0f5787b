/* The lock word: it excludes, whichever way threads wait; each death is reported to one next owner; a living owner
 * never loses the lock. */
#include "harness.h"
#include "core/sk_lock.h"

#define CREW 4

typedef struct guarded { /* not atomic: a sanitizer or a wrong sum shows that the lock does not exclude */
    uint32_t word;
    unsigned char line[SK_LINE];
    uint64_t a, b, repaired;
} guarded;

static uint64_t taken, deaths, inherited, refused;

/* Take the lock over all slices, and repair after a death. */
static int take(sk_segment *s, guarded *g) {
    int rc;
    while ((rc = sk_lock_take(s, &g->word, FOR_EVER)) == SK_INTERRUPTED) {}
    CHECK(rc == SK_OK || rc == SK_OWNER_DIED);
    if (rc == SK_OWNER_DIED) {
        after_death(g);
        sk_add64_relaxed(&inherited, 1);
        g->b = g->a; /* repair: `a` is right */
        g->repaired++;
    }
    CHECK(g->a == g->b);
    CHECK(sk_lock_owner(&g->word) == sk_me(s));
    return rc;
}

static void *work(void *nothing) {
    (void)nothing;
    sk_segment s;
    attach(&s);
    guarded *g = sk_body_of(&s);
    uint64_t until = deadline_in(opt.millis), mine = 0, random_state = opt.seed ^ (uint64_t)(uintptr_t)&s;
    while (sk_now_ns() < until) {
        if (random_u64(&random_state) % 8 == 0) { /* without sleeping */
            int rc = sk_lock_take(&s, &g->word, 0);
            CHECK(rc == SK_OK || rc == SK_BUSY);
            if (rc == SK_BUSY) continue;
            CHECK(g->a == g->b);
        } else if (random_u64(&random_state) % 8 == 0) { /* with a short timeout */
            int rc = sk_lock_take(&s, &g->word, sk_now_ns() + 50000);
            CHECK(rc == SK_OK || rc == SK_OWNER_DIED || rc == SK_TIMEOUT || rc == SK_INTERRUPTED);
            if (rc == SK_OWNER_DIED) {
                after_death(g);
                sk_add64_relaxed(&inherited, 1);
                g->b = g->a;
                g->repaired++;
            } else if (rc != SK_OK) continue;
        } else take(&s, g);
        g->a++;
        g->b++;
        mine++;
        sk_lock_give(&g->word);
    }
    sk_add64_relaxed(&taken, mine);
    leave(&s);
    return NULL;
}

/* Take the lock and die with half the work done, again and again. */
static void *perish(void *nothing) {
    (void)nothing;
    uint64_t until = deadline_in(opt.millis);
    while (sk_now_ns() < until) {
        sk_segment s;
        attach(&s);
        guarded *g = sk_body_of(&s);
        take(&s, g);
        g->a++;
        sk_add64_relaxed(&taken, 1);
        sk_add64_relaxed(&deaths, 1);
        before_death(g);
        die(&s);
    }
    return NULL;
}

/* A living owner does not lose the lock, however long it holds it. */
static void *wait_in_vain(void *nothing) {
    (void)nothing;
    sk_segment s;
    attach(&s);
    guarded *g = sk_body_of(&s);
    for (int i = 0; i < 5; i++) {
        int rc = sk_lock_take(&s, &g->word, deadline_in(15));
        CHECK(rc == SK_TIMEOUT || rc == SK_INTERRUPTED);
    }
    sk_add64_relaxed(&refused, 1);
    leave(&s);
    return NULL;
}

int main(int argc, char **argv) {
    begin(argc, argv, "lock");
    sk_plan plan = {.kind = 9, .seats = 16, .body_len = sizeof(guarded)};
    sk_segment s;
    crew c = {.n = 0};
    create(&s, &plan);
    guarded *g = sk_body_of(&s);

    for (int i = 0; i < CREW; i++) hire(&c, work, NULL);
    gather(&c);
    CHECK(g->a == taken && g->b == taken && inherited == 0 && taken > 0);

    for (int i = 0; i < CREW - 1; i++) hire(&c, work, NULL);
    hire(&c, perish, NULL);
    gather(&c);
    take(&s, g); /* perhaps no other thread has noticed the last death */
    CHECK(g->a == taken && g->b == taken);
    CHECK(inherited == deaths && g->repaired == deaths && deaths > 0);

    hire(&c, wait_in_vain, NULL);
    hire(&c, wait_in_vain, NULL);
    gather(&c);
    CHECK(refused == 2 && sk_lock_owner(&g->word) == sk_me(&s));
    sk_lock_give(&g->word);

    /* Words that no living process wrote: an impossible seat, an old epoch, a free seat, no owner but waiters. */
    uint32_t stray[] = {SK_OWNER_MASK, sk_me(&s) - (1u << SK_SEAT_BITS), 1u << SK_SEAT_BITS | 15u, SK_LOCK_WAITED};
    for (unsigned i = 0; i < 4; i++) {
        g->word = stray[i];
        take(&s, g);
        sk_lock_give(&g->word);
        CHECK(g->word == 0);
    }
    sk_segment look; /* a process that only reads the segment has no owner word */
    CHECK(sk_segment_attach(&look, path, SK_TRUST_OWN, false) == SK_OK);
    CHECK(sk_lock_take(&look, &stray[0], FOR_EVER) == SK_NO_SEAT);
    leave(&look);
    leave(&s);
    return 0;
}
