/* The mutex, also the re-entrant one: it excludes, whichever way threads wait; a thread that waits long gets the mutex;
 * a token of a dead or stopped thread blocks no other; after a death every holder gets SK_OWNER_DIED until one has
 * released the mutex in order. */
#include "harness.h"
#include "structures/sk_rlock.h"

#define CREW 4
#define TURNS 5

typedef struct guarded { /* not atomic: a sanitizer or a wrong sum shows that the mutex does not exclude */
    uint64_t a, b;
} guarded;

static guarded *what;
static uint64_t taken, deaths, inherited, satisfied;

static sk_mutex *mutex_of(sk_segment *s) { return sk_body_of(s); }

/* Take the mutex over all slices; now and then wait first until it is free, as a thread of Python does. */
static int take(sk_segment *s, uint64_t until) {
    sk_wait_state wait = {.thread = 1, .look = looks_first()};
    bool looks = wait.look;
    int rc;
    while (sk_wait_state_goes_on(rc = sk_mutex_take(s, mutex_of(s), until, &wait))) {
        CHECK(rc == SK_INTERRUPTED || wait.look);
        wait.look = looks && rc != SK_FREE;
    }
    CHECK(!wait.enrolled);
    return rc;
}

/* Wait for a short time, and cancel the wait when it is interrupted, as after a signal handler that raises. */
static int take_or_quit(sk_segment *s) {
    sk_wait_state wait = {.thread = 1};
    int rc = sk_mutex_take(s, mutex_of(s), sk_now_ns() + 50000, &wait);
    if (rc == SK_INTERRUPTED) sk_mutex_cancel(s, mutex_of(s), &wait);
    return rc;
}

static void count(sk_segment *s, int rc) {
    if (rc == SK_OWNER_DIED) {
        after_death(what);
        sk_add64_relaxed(&inherited, 1);
        what->b = what->a;
        sk_mutex_mark_consistent(s, mutex_of(s));
    }
    CHECK(what->a == what->b && sk_lock_owner(&mutex_of(s)->word) == sk_me(s));
    what->a++;
    what->b++;
    sk_add64_relaxed(&taken, 1);
    CHECK(sk_mutex_give(s, mutex_of(s)) == SK_OK);
}

static void *work(void *nothing) {
    (void)nothing;
    sk_segment s;
    attach(&s);
    uint64_t until = deadline_in(opt.millis), random_state = opt.seed ^ (uint64_t)(uintptr_t)&s;
    while (sk_now_ns() < until) {
        uint64_t way = random_u64(&random_state) % 8;
        int rc = way == 0   ? sk_mutex_try(&s, mutex_of(&s))
                 : way == 1 ? sk_mutex_take(&s, mutex_of(&s), 0, NULL)
                 : way == 2 ? take_or_quit(&s)
                            : take(&s, FOR_EVER);
        if (rc == SK_OK || rc == SK_OWNER_DIED) count(&s, rc);
        else CHECK(way < 3 && (rc == SK_BUSY || rc == SK_TIMEOUT || rc == SK_INTERRUPTED));
    }
    leave(&s);
    return NULL;
}

/* Take the mutex and die with half the work done, again and again. */
static void *perish(void *nothing) {
    (void)nothing;
    uint64_t until = deadline_in(opt.millis);
    while (sk_now_ns() < until) {
        sk_segment s;
        attach(&s);
        if (take(&s, FOR_EVER) == SK_OWNER_DIED) {
            after_death(what);
            sk_add64_relaxed(&inherited, 1);
            what->b = what->a;
        }
        what->a++;
        sk_add64_relaxed(&taken, 1);
        sk_add64_relaxed(&deaths, 1);
        before_death(what);
        die(&s);
    }
    return NULL;
}

/* Take and give without a pause until every thread has had the mutex a few times. */
static void *hog(void *nothing) {
    (void)nothing;
    sk_segment s;
    attach(&s);
    for (uint64_t mine = 0; sk_load64_relaxed(&satisfied) < CREW; mine++) {
        int rc = sk_mutex_try(&s, mutex_of(&s));
        count(&s, rc == SK_OK ? rc : take(&s, FOR_EVER));
        if (mine + 1 == TURNS) sk_add64_relaxed(&satisfied, 1);
    }
    leave(&s);
    return NULL;
}

static void turns_of_those_who_do_not_come(sk_segment *s) {
    sk_mutex *m = mutex_of(s);
    sk_segment other;
    attach(&other);
    uint64_t its = (uint64_t)sk_me(&other) << 32 | 7;
    m->token = its; /* it lives and does not take the mutex, as if it were stopped */
    CHECK(sk_mutex_try(s, m) == SK_BUSY && m->word == 0);
    CHECK(take(s, FOR_EVER) == SK_OK && m->token == 0);
    CHECK(sk_mutex_give(s, m) == SK_OK);
    m->token = its; /* a caller that does not wait, or has reached its deadline, takes a free mutex */
    CHECK(sk_mutex_take(s, m, 0, NULL) == SK_OK && sk_mutex_give(s, m) == SK_OK);
    CHECK(take(s, sk_now_ns() + 100000) == SK_OK && sk_mutex_give(s, m) == SK_OK);
    m->token = its;
    die(&other);
    CHECK(take(s, FOR_EVER) == SK_OK && m->token == 0 && sk_mutex_give(s, m) == SK_OK);
}

static void word_of_a_death(sk_segment *s) {
    sk_mutex *m = mutex_of(s);
    sk_segment other;
    attach(&other);
    CHECK(sk_mutex_try(&other, m) == SK_OK);
    CHECK(sk_mutex_take(s, m, 0, NULL) == SK_BUSY && take(s, sk_now_ns() + 3000000) == SK_TIMEOUT);
    CHECK(sk_seat_counts_sum(s, m->waiters) == 0 && m->token == 0);
    die(&other);
    CHECK(!sk_mutex_taken(s, m));
    CHECK(take(s, sk_now_ns() + 100000) == SK_OWNER_DIED); /* even with a short timeout */
    sk_mutex_pass_on(m);
    CHECK(sk_mutex_try(s, m) == SK_OWNER_DIED);
    sk_mutex_pass_on(m);
    CHECK(sk_mutex_mark_consistent(s, m) == SK_OK && sk_mutex_try(s, m) == SK_OK && sk_mutex_give(s, m) == SK_OK);
    CHECK(sk_mutex_give(s, m) == SK_EXCESS);

    attach(&other);
    CHECK(sk_mutex_try(&other, m) == SK_OK);
    die(&other);
    CHECK(sk_mutex_give(s, m) == SK_OK); /* the death must still be reported */
    CHECK(sk_mutex_try(s, m) == SK_OWNER_DIED && sk_mutex_give(s, m) == SK_OK && m->poisoned == 0);
}

static void one_thread_of_one_process(sk_segment *s) {
    sk_mutex *m = mutex_of(s);
    sk_segment other;
    for (uint64_t i = 1; i <= 3; i++) CHECK(sk_rlock_try(s, m, 1) == SK_OK && m->count == i);
    CHECK(sk_rlock_mine(s, m, 1) && !sk_rlock_mine(s, m, 2));
    CHECK(sk_rlock_try(s, m, 2) == SK_BUSY && sk_rlock_give(s, m, 2) == SK_EXCESS);
    attach(&other);
    CHECK(sk_rlock_try(&other, m, 1) == SK_BUSY && sk_rlock_give(&other, m, 1) == SK_EXCESS);
    for (int i = 0; i < 3; i++) CHECK(sk_rlock_mine(s, m, 1) && sk_rlock_give(s, m, 1) == SK_OK);
    CHECK(!sk_rlock_mine(s, m, 1) && m->word == 0 && sk_rlock_give(s, m, 1) == SK_EXCESS);

    sk_wait_state wait = {.thread = 9};
    CHECK(sk_rlock_take(&other, m, 5, 0, &wait) == SK_OK && m->count == 5 && sk_rlock_mine(&other, m, 9));
    die(&other);
    wait.thread = 9;
    CHECK(sk_rlock_take(s, m, 1, FOR_EVER, &wait) == SK_OWNER_DIED && m->count == 1 && sk_rlock_mine(s, m, 9));
    CHECK(sk_rlock_free(s, m) == SK_OK && !sk_rlock_mine(s, m, 9));
}

int main(int argc, char **argv) {
    begin(argc, argv, "mutex");
    sk_plan plan = {.kind = 6, .seats = 16, .body_len = sk_mutex_len(16) + sizeof(guarded)};
    sk_segment s;
    crew c = {.n = 0};
    static guarded there;
    what = &there;
    create(&s, &plan);
    sk_mutex *m = mutex_of(&s);

    for (int i = 0; i < CREW; i++) hire(&c, work, NULL);
    gather(&c);
    CHECK(what->a == taken && what->b == taken && inherited == 0 && taken > 0);
    CHECK(m->word == 0 && m->token == 0 && sk_seat_counts_sum(&s, m->waiters) == 0);

    for (int i = 0; i < CREW; i++) hire(&c, hog, NULL);
    gather(&c);
    CHECK(what->a == taken && m->token == 0);

    for (int i = 0; i < CREW - 1; i++) hire(&c, work, NULL);
    hire(&c, perish, NULL);
    gather(&c);
    int rc = take(&s, FOR_EVER); /* perhaps no other thread has noticed the last death */
    count(&s, rc);
    CHECK(what->a == taken && what->b == taken && deaths > 0 && inherited == deaths);
    CHECK(sk_seat_counts_sum(&s, m->waiters) == 0);

    turns_of_those_who_do_not_come(&s);
    word_of_a_death(&s);
    one_thread_of_one_process(&s);
    leave(&s);
    return 0;
}
