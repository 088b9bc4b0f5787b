/* The barrier: no party goes before all have come, each party's earlier writes are visible to all others afterwards,
 * and a death inside ends the wait of the others. */
#include "harness.h"
#include "structures/sk_barrier.h"

#define PARTIES 4

static uint64_t cells[PARTIES], by_index[PARTIES], rounds, broken;
static bool last_round;

static int enter(sk_segment *s, sk_barrier *b, bool acts, uint64_t until, sk_party *p) {
    int rc;
    while ((rc = sk_barrier_enter(s, b, acts, until, p)) == SK_INTERRUPTED) {}
    return rc;
}

static int await(sk_segment *s, sk_barrier *b, uint32_t slot, uint64_t until) {
    int rc;
    while ((rc = sk_barrier_wait(s, b, slot, until)) == SK_INTERRUPTED) {}
    return rc;
}

/* Enter, wait and leave. Returns the index, or -1 if the barrier was broken. */
static int pass(sk_segment *s, sk_barrier *b, bool acts, uint64_t until) {
    sk_party p;
    int rc = enter(s, b, acts, until, &p);
    CHECK(rc == SK_OK || rc == SK_BROKEN || rc == SK_TIMEOUT);
    if (rc != SK_OK) return -1;
    if (!p.last) rc = await(s, b, p.slot, until);
    else if (acts) {
        rounds++; /* not atomic: all others wait */
        rc = sk_barrier_acted(b, true);
    }
    sk_barrier_detach(s, b, p.slot);
    CHECK(rc == SK_OK || rc == SK_BROKEN);
    return rc == SK_OK ? (int)p.slot : -1;
}

/* In each round: write our own cell, pass the barrier, check that all have written, pass again. */
static void *meet(void *my_cell) {
    uint64_t *cell = my_cell;
    sk_segment s;
    attach(&s);
    sk_barrier *b = sk_barrier_of(&s);
    uint64_t until = deadline_in(opt.millis);
    for (uint64_t round = 1; !last_round; round++) {
        *cell = round;
        int index = pass(&s, b, true, round % 2 ? FOR_EVER : deadline_in(20000));
        CHECK(index >= 0);
        for (int i = 0; i < PARTIES; i++) CHECK(cells[i] == round);
        CHECK(rounds == 2 * round - 1);
        sk_add64_relaxed(&by_index[index], 1);
        if (pass(&s, b, true, FOR_EVER) == 0 && sk_now_ns() > until) last_round = true;
        CHECK(pass(&s, b, false, FOR_EVER) >= 0);
    }
    leave(&s);
    return NULL;
}

/* Enter a barrier that breaks while we wait. */
static void *meet_in_vain(void *nothing) {
    (void)nothing;
    sk_segment s;
    attach(&s);
    CHECK(pass(&s, sk_barrier_of(&s), false, FOR_EVER) == -1);
    sk_add64_seq_cst(&broken, 1);
    leave(&s);
    return NULL;
}

/* Enter and die inside. The last party to enter dies after it has changed the phase. */
static void *perish(void *acts) {
    sk_segment s;
    attach(&s);
    sk_party p;
    CHECK(enter(&s, sk_barrier_of(&s), acts != NULL, FOR_EVER, &p) == SK_OK);
    die(&s);
    return NULL;
}

static void *go_through(void *nothing) {
    (void)nothing;
    sk_segment s;
    attach(&s);
    CHECK(pass(&s, sk_barrier_of(&s), false, FOR_EVER) >= 0);
    leave(&s);
    return NULL;
}

static void wait_for_inside(sk_segment *s, uint32_t n) {
    while (sk_barrier_inside(s, sk_barrier_of(s)) != n) sk_yield();
}

static void reset(sk_segment *s) {
    int rc;
    while ((rc = sk_barrier_reset(s, sk_barrier_of(s), FOR_EVER)) == SK_INTERRUPTED) {}
    CHECK(rc == SK_OK);
    CHECK(sk_barrier_phase(sk_barrier_look(sk_barrier_of(s))) == SK_FILLING && sk_barrier_inside(s, sk_barrier_of(s)) == 0);
}

int main(int argc, char **argv) {
    begin(argc, argv, "barrier");
    sk_plan plan = {.kind = 13, .seats = 16, .body_len = sk_barrier_body_len(PARTIES), .param = {PARTIES}};
    sk_segment s;
    crew c = {.n = 0};
    create(&s, &plan);
    sk_barrier *b = sk_barrier_of(&s);
    CHECK(sk_barrier_refuse(&s) == SK_OK);

    b->state = UINT32_MAX & ~(SK_BARRIER_ROUND - 1); /* the rounds wrap */
    for (int i = 0; i < PARTIES; i++) hire(&c, meet, &cells[i]);
    gather(&c);
    for (int i = 0; i < PARTIES; i++) CHECK(by_index[i] == by_index[0]);
    CHECK(sk_barrier_inside(&s, b) == 0 && rounds > 0);

    /* Deaths in FILLING: waiting parties notice them; if no other party lives, the last one to enter does. */
    for (int alive = 0; alive < PARTIES; alive++) {
        broken = 0;
        for (int i = 0; i < PARTIES - 1 - alive; i++) hire(&c, perish, NULL);
        gather(&c);
        for (int i = 0; i < alive; i++) hire(&c, meet_in_vain, NULL);
        if (alive == PARTIES - 1) {
            wait_for_inside(&s, (uint32_t)alive);
            sk_barrier_break(b, SK_RESETTING);
        } else if (alive == 0) CHECK(pass(&s, b, false, FOR_EVER) == -1);
        gather(&c);
        CHECK(broken == (uint64_t)alive && sk_barrier_phase(sk_barrier_look(b)) == SK_IS_BROKEN);
        CHECK(pass(&s, b, false, FOR_EVER) == -1);
        reset(&s);
    }

    /* A death in ACTING. */
    for (int i = 0; i < PARTIES - 1; i++) hire(&c, meet_in_vain, NULL);
    wait_for_inside(&s, PARTIES - 1);
    hire(&c, perish, &c);
    gather(&c);
    CHECK(sk_barrier_phase(sk_barrier_look(b)) == SK_IS_BROKEN);
    reset(&s);

    /* A death in DRAINING: all others go, and the next round begins without the dead party. */
    for (int i = 0; i < PARTIES - 1; i++) hire(&c, go_through, NULL);
    wait_for_inside(&s, PARTIES - 1);
    hire(&c, perish, NULL);
    gather(&c);
    CHECK(sk_barrier_phase(sk_barrier_look(b)) == SK_DRAINING && sk_barrier_inside(&s, b) == 1);
    for (int i = 0; i < PARTIES; i++) hire(&c, go_through, NULL);
    gather(&c);
    CHECK(sk_barrier_phase(sk_barrier_look(b)) == SK_FILLING && sk_barrier_inside(&s, b) == 0);

    /* A timeout; a reset. */
    broken = 0;
    hire(&c, meet_in_vain, NULL);
    wait_for_inside(&s, 1);
    CHECK(pass(&s, b, false, deadline_in(5)) == -1);
    gather(&c);
    reset(&s);
    hire(&c, meet_in_vain, NULL);
    wait_for_inside(&s, 1);
    while (sk_barrier_reset(&s, b, FOR_EVER) != SK_OK) continue;
    gather(&c);
    CHECK(broken == 2 && sk_barrier_phase(sk_barrier_look(b)) == SK_FILLING);

    /* A death that only sk_barrier_notice finds. */
    hire(&c, perish, NULL);
    gather(&c);
    sk_barrier_notice(&s, b);
    CHECK(sk_barrier_phase(sk_barrier_look(b)) == SK_IS_BROKEN && sk_barrier_inside(&s, b) == 0);

    /* Impossible values of the words do no harm. */
    b->state = SK_FILLING;
    for (int i = 0; i < PARTIES; i++) b->slot[i] = sk_me(&s);
    sk_party p;
    CHECK(enter(&s, b, false, 0, &p) == SK_CORRUPT);
    b->state = 7;
    CHECK(enter(&s, b, false, FOR_EVER, &p) == SK_BROKEN && await(&s, b, 0, FOR_EVER) == SK_BROKEN);
    leave(&s);
    return 0;
}
