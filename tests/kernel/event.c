/* The event flag: a set releases every waiter, whichever way it waits; writes before a set are visible after it; dead
 * waiters hold nothing up and are not counted. */
#include "harness.h"
#include "structures/sk_event.h"

#define CREW 4

static uint64_t told, seen_by, rounds, released;
static uint32_t ready;

/* Wait for the flag over all slices. */
static int await(sk_segment *s, sk_event *f, uint32_t came, uint64_t until) {
    int rc;
    while ((rc = sk_event_wait(s, f, came, until)) == SK_INTERRUPTED) {}
    return rc;
}

/* In every round: wait until the flag is up, check what was written before, count ourselves, wait until it is down. */
static void *follow(void *nothing) {
    (void)nothing;
    sk_segment s;
    attach(&s);
    sk_event *f = sk_event_of(&s);
    for (uint64_t round = 1;; round++) {
        if (round % 3 == 0) { /* with a short timeout */
            while (await(&s, f, sk_event_poll(f), sk_now_ns() + 30000) == SK_TIMEOUT) continue;
        } else CHECK(await(&s, f, sk_event_poll(f), FOR_EVER) == SK_OK);
        uint32_t up = sk_event_poll(f); /* stays up until all have counted themselves */
        uint64_t what = told;          /* not atomic: a sanitizer finds a missing order */
        if (what == 0) break;
        CHECK(what == round);
        sk_add64_seq_cst(&seen_by, 1);
        while (sk_event_poll(f) == up) sk_yield();
    }
    sk_add64_seq_cst(&seen_by, 1);
    leave(&s);
    return NULL;
}

static void *lead(void *nothing) {
    (void)nothing;
    sk_segment s;
    attach(&s);
    sk_event *f = sk_event_of(&s);
    uint64_t until = deadline_in(opt.millis);
    for (bool last = false; !last;) {
        last = sk_now_ns() >= until;
        told = last ? 0 : ++rounds;
        sk_event_set(f);
        while (sk_load64_acquire(&seen_by) != CREW) sk_yield();
        sk_store64_relaxed(&seen_by, 0);
        sk_event_clear(f);
    }
    leave(&s);
    return NULL;
}

/* Wait for a set; the flag may be down again when this thread runs. */
static void *sleep_once(void *came) {
    sk_segment s;
    attach(&s);
    sk_event *f = sk_event_of(&s);
    uint32_t word = *(uint32_t *)came;
    sk_add32_seq_cst(&ready, 1);
    CHECK(await(&s, f, word, FOR_EVER) == SK_OK);
    sk_add64_seq_cst(&released, 1);
    leave(&s);
    return NULL;
}

/* Begin to wait and die. */
static void *perish(void *nothing) {
    (void)nothing;
    sk_segment s;
    attach(&s);
    sk_event *f = sk_event_of(&s);
    uint32_t seen = sk_event_poll(f);
    if (!(seen & SK_EVENT_UP)) sk_cas32_seq_cst(&f->word, &seen, seen | SK_EVENT_PARKED);
    sk_seat_counts_add(&s, f->waiters, 1);
    sk_add32_seq_cst(&ready, 1);
    die(&s);
    return NULL;
}

int main(int argc, char **argv) {
    begin(argc, argv, "flag");
    sk_plan plan = {.kind = 11, .seats = 16, .body_len = sk_event_body_len(16)};
    sk_segment s;
    crew c = {.n = 0};
    create(&s, &plan);
    sk_event *f = sk_event_of(&s);
    CHECK(sk_event_refuse(&s) == SK_OK);

    CHECK(sk_event_wait(&s, f, sk_event_poll(f), sk_now_ns()) == SK_TIMEOUT);
    f->word = UINT32_MAX & ~SK_EVENT_UP & ~SK_EVENT_PARKED; /* the count of sets wraps */
    hire(&c, lead, NULL);
    for (int i = 0; i < CREW; i++) hire(&c, follow, NULL);
    gather(&c);
    CHECK(rounds > 0 && !(sk_event_poll(f) & SK_EVENT_UP));

    /* The flag is cleared before any waiter can read it: all living waiters are released exactly once. */
    for (int i = 0; i < 20; i++) {
        uint32_t came = sk_event_poll(f);
        sk_store32_seq_cst(&ready, 0);
        released = 0;
        hire(&c, perish, NULL);
        for (int k = 0; k < CREW; k++) hire(&c, sleep_once, &came);
        while (sk_load32_acquire(&ready) != CREW + 1) sk_yield();
        while (sk_seat_counts_sum(&s, f->waiters) > CREW) sk_yield(); /* `perish` reports before it dies */
        sk_event_set(f);
        sk_event_clear(f);
        gather(&c);
        CHECK(released == CREW && sk_seat_counts_sum(&s, f->waiters) == 0);
    }
    sk_event_clear(f);
    CHECK(await(&s, f, sk_event_poll(f), deadline_in(1)) == SK_TIMEOUT);
    leave(&s);
    return 0;
}
