/* Semaphores: there are never more holders than permits, and every permit given can be taken. Bounded semaphores: a
 * dead process's permits come back exactly once, and a permit that no process holds cannot be given back. */
#include "harness.h"
#include "structures/sk_bounded.h"
#include "structures/sk_semaphore.h"

#define CREW 4
#define BOUND 3

static uint32_t inside;
static uint64_t given, used, deaths;
static bool bounded;

static int take(sk_segment *s, bool willing, uint64_t until) {
    sk_wait_state wait = {.thread = 1, .look = willing && looks_first()};
    bool looks = wait.look;
    sk_semaphore *p = sk_semaphore_of(s);
    int rc;
    do {
        if (bounded) rc = sk_bounded_take(s, willing, until, &wait);
        else if (willing) rc = sk_semaphore_take(s, p, until, &wait);
        else rc = sk_semaphore_grab(p);
        wait.look = looks && rc != SK_FREE;
    } while (sk_wait_state_goes_on(rc));
    CHECK(!wait.enrolled);
    return rc;
}

/* Wait for 50 us, and cancel the wait when it is interrupted, as after a signal handler that raises. */
static int take_or_quit(sk_segment *s) {
    sk_wait_state wait = {.thread = 1};
    uint64_t until = sk_now_ns() + 50000;
    sk_semaphore *p = sk_semaphore_of(s);
    int rc = bounded ? sk_bounded_take(s, true, until, &wait) : sk_semaphore_take(s, p, until, &wait);
    if (rc != SK_INTERRUPTED) return rc;
    if (bounded) sk_bounded_cancel(s, &wait);
    else sk_semaphore_cancel(s, p, &wait);
    return rc;
}

static int give(sk_segment *s, uint32_t n) {
    int rc;
    if (!bounded) return sk_semaphore_give(sk_semaphore_of(s), n);
    while ((rc = sk_bounded_give(s, n, FOR_EVER)) == SK_INTERRUPTED) {}
    return rc;
}

static int first_look(sk_segment *s) {
    return bounded ? sk_bounded_try(s, sk_bounded_of(s)) : sk_semaphore_try(sk_semaphore_of(s));
}

static void *work(void *nothing) {
    (void)nothing;
    sk_segment s;
    attach(&s);
    uint64_t until = deadline_in(opt.millis), random_state = opt.seed ^ (uint64_t)(uintptr_t)&s;
    while (sk_now_ns() < until) {
        uint64_t kind_of_take = random_u64(&random_state) % 8;
        int rc = kind_of_take == 0   ? first_look(&s)
                 : kind_of_take == 1 ? take(&s, false, FOR_EVER)
                 : kind_of_take == 2 ? take_or_quit(&s)
                                     : take(&s, true, FOR_EVER);
        if (rc != SK_OK) {
            CHECK(kind_of_take < 3 && (rc == SK_BUSY || rc == SK_TIMEOUT || rc == SK_INTERRUPTED));
            continue;
        }
        CHECK(sk_add32_seq_cst(&inside, 1) < BOUND);
        sk_add64_relaxed(&used, 1);
        if (kind_of_take == 3) sk_yield();
        sk_add32_seq_cst(&inside, (uint32_t)-1);
        CHECK(give(&s, 1) == SK_OK);
    }
    leave(&s);
    return NULL;
}

/* Take one or two permits and die, again and again. */
static void *perish(void *nothing) {
    (void)nothing;
    uint64_t until = deadline_in(opt.millis), random_state = opt.seed;
    while (sk_now_ns() < until) {
        sk_segment s;
        attach(&s);
        uint32_t some = 1;
        CHECK(take(&s, true, FOR_EVER) == SK_OK);
        if (random_u64(&random_state) % 2 == 0 && take(&s, false, FOR_EVER) == SK_OK) some++;
        CHECK(sk_add32_seq_cst(&inside, some) + some <= BOUND);
        sk_add32_seq_cst(&inside, -some);
        sk_add64_relaxed(&deaths, 1);
        die(&s);
    }
    return NULL;
}

/* A semaphore used for notifications: exactly as many permits are taken as are given. */
static void *consume(void *nothing) {
    (void)nothing;
    sk_segment s;
    attach(&s);
    for (;;) {
        CHECK(take(&s, true, FOR_EVER) == SK_OK);
        if (sk_load64_acquire(&given) == 0) break;
        sk_add64_relaxed(&used, 1);
    }
    leave(&s);
    return NULL;
}

static void semaphores(void) {
    sk_plan plan = {.kind = 9, .seats = 16, .body_len = sk_semaphore_body_len(16), .fill = sk_semaphore_fill};
    sk_segment s;
    crew c = {.n = 0};
    plan.param[SK_SEMAPHORE_FIRST] = BOUND;
    create(&s, &plan);
    sk_semaphore *p = sk_semaphore_of(&s);
    for (int i = 0; i < CREW; i++) hire(&c, work, NULL);
    gather(&c);
    CHECK(inside == 0 && p->value == BOUND && p->token == 0 && sk_seat_counts_sum(&s, p->waiters) == 0 && used > 0);

    for (int i = 0; i < BOUND; i++) CHECK(take(&s, true, FOR_EVER) == SK_OK);
    CHECK(take(&s, true, sk_now_ns() + 100000) == SK_TIMEOUT && take(&s, false, 0) == SK_BUSY);
    given = 1;
    used = 0;
    for (int i = 0; i < CREW; i++) hire(&c, consume, NULL);
    uint64_t until = deadline_in(opt.millis), sum = 0, random_state = opt.seed;
    while (sk_now_ns() < until) {
        uint32_t n = 1 + random_u64(&random_state) % 3;
        CHECK(give(&s, n) == SK_OK);
        sum += n;
        while (sk_semaphore_value(p) > 1000) sk_yield();
    }
    while (sk_load64_relaxed(&used) != sum) sk_yield(); /* all permits are taken in the end */
    sk_store64_release(&given, 0);
    CHECK(give(&s, CREW) == SK_OK);
    gather(&c);
    CHECK(p->value == 0);

    CHECK(give(&s, SK_SEMAPHORE_MOST) == SK_OK && give(&s, 1) == SK_OVERFLOW && p->value == SK_SEMAPHORE_MOST);
    leave(&s);
}

static void what_the_dead_held(sk_segment *s) {
    sk_bounded *p = sk_bounded_of(s);
    sk_segment other;
    attach(&other);
    for (int i = 0; i < BOUND; i++) CHECK(take(&other, false, FOR_EVER) == SK_OK);
    CHECK(take(s, false, FOR_EVER) == SK_BUSY && take(s, true, sk_now_ns() + 3000000) == SK_TIMEOUT);
    CHECK(give(s, BOUND + 1) == SK_EXCESS && give(s, 1) == SK_OK); /* a permit that `other` has acquired */
    CHECK(sk_seat_counts_mine(&other, p->counts) == BOUND - 1 && take(&other, false, FOR_EVER) == SK_OK);
    die(&other);
    CHECK(sk_bounded_value(s) == BOUND);
    for (int i = 0; i < BOUND; i++) CHECK(take(s, i % 2 == 0, sk_now_ns() + 1000000000) == SK_OK);
    CHECK(take(s, false, FOR_EVER) == SK_BUSY && give(s, BOUND) == SK_OK && give(s, 1) == SK_EXCESS);

    attach(&other); /* the seat of a dead process is taken again before any process asked whether it lives */
    CHECK(take(&other, false, FOR_EVER) == SK_OK);
    die(&other);
    attach(&other);
    CHECK(take(&other, false, FOR_EVER) == SK_OK && p->free == BOUND - 1);
    p->lock = sk_me(&other); /* it dies while it holds the lock: `free` is recounted and not believed */
    p->free = 77;
    die(&other);
    for (int i = 0; i < BOUND; i++) CHECK(take(s, false, FOR_EVER) == SK_OK);
    CHECK(take(s, false, FOR_EVER) == SK_BUSY && give(s, BOUND) == SK_OK && p->free == BOUND);
}

/* If the holder of the lock is stopped, a caller that does not wait gets SK_STALLED, and a caller that waits keeps its
 * deadline. */
static void holder_stands_still(sk_segment *s) {
    sk_segment other;
    sk_wait_state wait = {.thread = 7};
    int rc;
    attach(&other);
    sk_bounded *p = sk_bounded_of(&other);
    CHECK(sk_bounded_lock(&other, p, FOR_EVER) == SK_OK);
    while ((rc = sk_bounded_take(s, false, FOR_EVER, &wait)) == SK_INTERRUPTED) {}
    CHECK(rc == SK_STALLED && take(s, true, sk_now_ns() + 20000000) == SK_TIMEOUT);
    sk_bounded_unlock(p);
    CHECK(take(s, false, FOR_EVER) == SK_OK && give(s, 1) == SK_OK);
    leave(&other);
}

int main(int argc, char **argv) {
    begin(argc, argv, "bounded");
    semaphores();

    sk_plan plan = {.kind = 10, .seats = 16, .body_len = sk_bounded_body_len(16), .fill = sk_bounded_fill};
    sk_segment s;
    crew c = {.n = 0};
    bounded = true;
    shared_at = NULL;
    plan.param[SK_BOUNDED_BOUND] = BOUND;
    unlink(path);
    create(&s, &plan);
    for (int i = 0; i < CREW; i++) hire(&c, work, NULL);
    gather(&c);
    CHECK(inside == 0 && sk_bounded_value(&s) == BOUND && sk_bounded_of(&s)->free == BOUND);
    for (int i = 0; i < CREW - 1; i++) hire(&c, work, NULL);
    hire(&c, perish, NULL);
    gather(&c);
    CHECK(inside == 0 && deaths > 0 && sk_bounded_value(&s) == BOUND);
    CHECK(sk_seat_counts_sum(&s, sk_bounded_waiting(&s)) == 0 && sk_bounded_of(&s)->token == 0);
    what_the_dead_held(&s);
    holder_stands_still(&s);
    leave(&s);
    return 0;
}
