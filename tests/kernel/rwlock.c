/* Readers and writers: no reader sees half of a write; no writer starves among readers and no reader among writers; a
 * dead holder blocks no other thread; after a writer's death all get SK_OWNER_DIED until a writer has released the
 * lock. */
#include "harness.h"
#include "structures/sk_rwlock.h"

#define CREW 3

static uint64_t a, b; /* not atomic: a sanitizer shows that the lock does not exclude */
static uint64_t reads, writes, deaths, told;
static bool over;

static int begin_read(sk_segment *s, uint64_t until) {
    sk_rw_wait w = {0};
    sk_wait_state wait = {.thread = (uint32_t)(uintptr_t)s | 1};
    int rc;
    while ((rc = sk_rw_read(s, &w, until, &wait)) == SK_INTERRUPTED) {}
    if (rc == SK_OWNER_DIED) after_death(&a);
    return rc;
}

static int begin_write(sk_segment *s, uint64_t until) {
    sk_rw_wait w = {0};
    sk_wait_state wait = {.thread = (uint32_t)(uintptr_t)s | 1};
    bool looks = looks_first();
    int rc = looks ? sk_rw_try_write(s, &w) : SK_BUSY;
    if (rc == SK_BUSY) do {
            wait.look = looks && rc != SK_FREE;
            rc = sk_rw_write(s, &w, until, &wait);
        } while (sk_wait_state_goes_on(rc));
    if (rc == SK_OWNER_DIED) {
        after_death(&a);
        sk_add64_relaxed(&told, 1);
        b = a;
    }
    return rc;
}

static void *read_on(void *nothing) {
    (void)nothing;
    sk_segment s;
    attach(&s);
    uint64_t random_state = opt.seed ^ (uint64_t)(uintptr_t)&s;
    while (!sk_load8_relaxed((uint8_t *)&over)) {
        uint64_t how = random_u64(&random_state) % 8;
        int rc = begin_read(&s, how == 0 ? 0 : how == 1 ? sk_now_ns() + 30000 : FOR_EVER);
        if (rc == SK_BUSY || rc == SK_TIMEOUT) continue;
        CHECK(rc == SK_OK || rc == SK_OWNER_DIED);
        if (rc == SK_OK) CHECK(a == b);
        sk_add64_relaxed(&reads, 1);
        CHECK(sk_rw_end_read(&s) == SK_OK);
    }
    CHECK(sk_rw_end_read(&s) == SK_EXCESS);
    leave(&s);
    return NULL;
}

static void *write_on(void *nothing) {
    (void)nothing;
    sk_segment s;
    attach(&s);
    uint64_t until = deadline_in(opt.millis), random_state = opt.seed ^ (uint64_t)(uintptr_t)&s, mine = 0;
    while (sk_now_ns() < until || mine == 0) {
        uint64_t how = random_u64(&random_state) % 8;
        int rc = begin_write(&s, how == 0 ? 0 : how == 1 ? sk_now_ns() + 30000 : FOR_EVER);
        if (rc == SK_BUSY || rc == SK_TIMEOUT) continue;
        CHECK(rc == SK_OK || rc == SK_OWNER_DIED);
        CHECK(a == b);
        a++;
        b++;
        mine++;
        sk_add64_relaxed(&writes, 1);
        CHECK(sk_rw_end_write(&s) == SK_OK);
    }
    leave(&s);
    return NULL;
}

/* Die while reading. */
static void *perish_reading(void *nothing) {
    (void)nothing;
    uint64_t until = deadline_in(opt.millis);
    while (sk_now_ns() < until) {
        sk_segment s;
        attach(&s);
        int rc = begin_read(&s, FOR_EVER);
        CHECK(rc == SK_OK || rc == SK_OWNER_DIED);
        before_death(&a);
        die(&s);
    }
    return NULL;
}

/* Die with half a write done, or while waiting to write. */
static void *perish_writing(void *nothing) {
    (void)nothing;
    uint64_t until = deadline_in(opt.millis);
    for (bool wanting = false; sk_now_ns() < until; wanting = !wanting) {
        sk_segment s;
        attach(&s);
        if (wanting) {
            sk_rw_wait w = {0};
            sk_rw_announce(&s, &w);
        } else {
            int rc = begin_write(&s, FOR_EVER);
            CHECK(rc == SK_OK || rc == SK_OWNER_DIED);
            a++;
            sk_add64_relaxed(&writes, 1);
            sk_add64_relaxed(&deaths, 1);
        }
        before_death(&a);
        die(&s);
    }
    return NULL;
}

static void *end_it(void *nothing) {
    (void)nothing;
    for (uint64_t until = deadline_in(opt.millis); sk_now_ns() < until;) sk_nap(1000000);
    sk_store8_relaxed((uint8_t *)&over, 1);
    return NULL;
}

static void *want(void *nothing) {
    (void)nothing;
    sk_segment s;
    attach(&s);
    CHECK(begin_write(&s, FOR_EVER) == SK_OK && sk_rw_end_write(&s) == SK_OK);
    leave(&s);
    return NULL;
}

static uint32_t done; /* reads, or writes, of the thread that must not starve */

static void *read_some(void *nothing) {
    (void)nothing;
    sk_segment s;
    attach(&s);
    for (done = 0; done < 10; sk_add32_relaxed(&done, 1))
        CHECK(begin_read(&s, FOR_EVER) == SK_OK && a == b && sk_rw_end_read(&s) == SK_OK);
    sk_store8_relaxed((uint8_t *)&over, 1);
    leave(&s);
    return NULL;
}

static void *write_some(void *nothing) {
    (void)nothing;
    sk_segment s;
    attach(&s);
    for (done = 0; done < 10; sk_add32_relaxed(&done, 1))
        CHECK(begin_write(&s, FOR_EVER) == SK_OK && sk_rw_end_write(&s) == SK_OK);
    sk_store8_relaxed((uint8_t *)&over, 1);
    leave(&s);
    return NULL;
}

static void *write_without_a_pause(void *nothing) {
    (void)nothing;
    sk_segment s;
    attach(&s);
    while (!sk_load8_relaxed((uint8_t *)&over)) {
        CHECK(begin_write(&s, FOR_EVER) == SK_OK);
        a++;
        sk_yield();
        b++;
        CHECK(sk_rw_end_write(&s) == SK_OK);
    }
    leave(&s);
    return NULL;
}

static void *read_without_a_pause(void *nothing) {
    (void)nothing;
    sk_segment s;
    attach(&s);
    while (!sk_load8_relaxed((uint8_t *)&over)) {
        CHECK(begin_read(&s, FOR_EVER) == SK_OK);
        sk_yield();
        CHECK(sk_rw_end_read(&s) == SK_OK);
    }
    leave(&s);
    return NULL;
}

/* A reader among writers, one of which always wants to write, and a writer among overlapping readers: each succeeds ten
 * times; otherwise this never ends. A process that is stopped while it wants to write, or while it has the token,
 * blocks no other. */
static void nobody_starves(sk_segment *s) {
    sk_rwlock *l = sk_rw_of(s);
    sk_segment still;
    sk_rw_wait w = {0};
    crew c = {.n = 0};
    attach(&still);
    sk_rw_announce(&still, &w);
    over = false;
    for (int i = 0; i < CREW; i++) hire(&c, write_without_a_pause, NULL);
    hire(&c, read_some, NULL);
    gather(&c);
    CHECK(done == 10 && begin_read(s, 0) == SK_BUSY);
    CHECK(begin_read(s, FOR_EVER) == SK_OK && l->token == 0 && sk_rw_end_read(s) == SK_OK); /* the stopped one waits */
    sk_rw_renounce(&still, &w);
    over = false;
    for (int i = 0; i < CREW; i++) hire(&c, read_without_a_pause, NULL);
    hire(&c, write_some, NULL);
    gather(&c);
    CHECK(done == 10);
    uint64_t its_turn = (uint64_t)sk_me(&still) << 32 | 5;
    CHECK(sk_me(&still) != 0);
    for (int dead = 0; dead < 2; dead++) {
        l->token = its_turn;
        CHECK(begin_write(s, FOR_EVER) == SK_OK && l->token == 0 && sk_rw_end_write(s) == SK_OK);
        if (dead == 0) die(&still);
    }
    CHECK(begin_read(s, 0) == SK_OK && sk_rw_end_read(s) == SK_OK);
}

int main(int argc, char **argv) {
    begin(argc, argv, "rwlock");
    sk_plan plan = {.kind = 14, .seats = 16, .body_len = sk_rw_body_len(16)};
    sk_segment s;
    crew c = {.n = 0};
    create(&s, &plan);
    sk_rwlock *l = sk_rw_of(&s);
    CHECK(sk_rw_refuse(&s) == SK_OK);

    for (int i = 0; i < CREW; i++) hire(&c, read_on, NULL);
    for (int i = 0; i < CREW; i++) hire(&c, write_on, NULL);
    hire(&c, end_it, NULL);
    gather(&c);
    CHECK(a == b && a == writes && told == 0 && writes >= CREW && (uint32_t)l->wanted == 0);

    over = false;
    for (int i = 0; i < CREW; i++) hire(&c, read_on, NULL);
    hire(&c, write_on, NULL);
    hire(&c, perish_reading, NULL);
    hire(&c, perish_writing, NULL);
    hire(&c, end_it, NULL);
    gather(&c);
    int rc = begin_write(&s, FOR_EVER); /* perhaps no other thread has noticed the last death */
    CHECK(rc == SK_OK || rc == SK_OWNER_DIED);
    CHECK(a == b && a == writes && deaths > 0 && told > 0 && (sk_rw_writer(&s)->poisoned != 0) == (rc == SK_OWNER_DIED));
    CHECK(sk_rw_end_write(&s) == SK_OK && sk_rw_end_write(&s) == SK_EXCESS && sk_rw_writer(&s)->poisoned == 0);
    CHECK(begin_read(&s, FOR_EVER) == SK_OK && begin_read(&s, FOR_EVER) == SK_OK);
    CHECK((uint32_t)l->wanted == 0);

    /* A waiting writer keeps new readers out; when it times out, it lets them in again. */
    CHECK(begin_write(&s, 0) == SK_BUSY && begin_write(&s, deadline_in(3)) == SK_TIMEOUT);
    CHECK(begin_read(&s, 0) == SK_OK && sk_rw_end_read(&s) == SK_OK);
    hire(&c, want, NULL);
    while (sk_lock_owner(&sk_rw_writer(&s)->word) == 0) sk_yield();
    CHECK(begin_read(&s, 0) == SK_BUSY && begin_read(&s, deadline_in(3)) == SK_TIMEOUT && l->token == 0);
    CHECK(sk_rw_end_read(&s) == SK_OK && sk_rw_end_read(&s) == SK_OK && sk_rw_end_read(&s) == SK_EXCESS);
    gather(&c);
    CHECK(begin_read(&s, 0) == SK_OK && sk_rw_end_read(&s) == SK_OK);
    nobody_starves(&s);
    sk_segment look; /* a process that only reads the segment has no owner word */
    CHECK(sk_segment_attach(&look, path, SK_TRUST_OWN, false) == SK_OK);
    CHECK(begin_read(&look, FOR_EVER) == SK_NO_SEAT && begin_write(&look, FOR_EVER) == SK_NO_SEAT);
    leave(&look);
    leave(&s);
    return 0;
}
