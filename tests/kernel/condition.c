/* The condition: no notification is lost, even if the notified process dies; the longest waiter is notified first;
 * impossible values of the words do no harm. */
#include "harness.h"
#include "structures/sk_condition.h"

#define CREW 4

static uint64_t items, taken, told_in_vain; /* plain, under the lock */
static uint32_t dead;

static void lock(sk_segment *s) {
    sk_mutex *m = sk_body_of(s);
    int rc;
    sk_wait_state wait = {.thread = (uint32_t)(uintptr_t)s | 1};
    while ((rc = sk_mutex_take(s, m, FOR_EVER, &wait)) == SK_INTERRUPTED) {}
    CHECK(rc == SK_OK);
}

static void unlock(sk_segment *s) { CHECK(sk_mutex_give(s, sk_body_of(s)) == SK_OK); }

/* Wait on the condition; the caller holds the lock. Returns whether it was notified. */
static bool wait(sk_segment *s, uint64_t until) {
    sk_condition *c = sk_condition_of(s);
    sk_condition_waiter *z;
    uint32_t me = sk_me(s);
    int rc;
    CHECK(sk_condition_enter(s, c, &z) == SK_OK);
    unlock(s);
    while ((rc = sk_condition_wait(s, c, z, me, until)) == SK_INTERRUPTED) {}
    CHECK(rc == SK_OK || rc == SK_TIMEOUT);
    bool told = rc == SK_OK || !sk_condition_cancel(z, me);
    lock(s);
    if (told) sk_condition_detach(z);
    return told;
}

static void *consume(void *share) {
    sk_segment s;
    attach(&s);
    uint64_t mine = *(uint64_t *)share, random_state = opt.seed ^ (uint64_t)(uintptr_t)&s;
    lock(&s);
    while (mine > 0) {
        while (items == 0) {
            bool told = wait(&s, random_u64(&random_state) % 4 ? FOR_EVER : sk_now_ns() + 20000);
            told_in_vain += told && items == 0;
        }
        items--;
        taken++;
        mine--;
    }
    unlock(&s);
    leave(&s);
    return NULL;
}

static void *produce(void *share) {
    sk_segment s;
    attach(&s);
    for (uint64_t i = *(uint64_t *)share; i > 0; i--) {
        lock(&s);
        items++;
        sk_condition_notify(&s, sk_condition_of(&s), 1);
        unlock(&s);
        if (i % 64 == 0) sk_yield();
    }
    leave(&s);
    return NULL;
}

/* Wait, be notified, and die before doing anything else. */
static void *perish(void *nothing) {
    (void)nothing;
    sk_segment s;
    attach(&s);
    sk_condition *c = sk_condition_of(&s);
    sk_condition_waiter *z;
    lock(&s);
    CHECK(sk_condition_enter(&s, c, &z) == SK_OK);
    unlock(&s);
    int rc;
    while ((rc = sk_condition_wait(&s, c, z, sk_me(&s), FOR_EVER)) == SK_INTERRUPTED) {}
    CHECK(rc == SK_OK);
    sk_add32_seq_cst(&dead, 1);
    die(&s);
    return NULL;
}

static uint32_t order[CREW], came, gone;

static void *queue_up(void *place) {
    sk_segment s;
    attach(&s);
    lock(&s);
    came++;
    CHECK(wait(&s, FOR_EVER));
    order[gone++] = (uint32_t)(uintptr_t)place;
    unlock(&s);
    leave(&s);
    return NULL;
}

static void until_waiting(sk_segment *s, uint32_t n) {
    uint32_t waiting, told;
    do sk_condition_count(s, sk_condition_of(s), &waiting, &told);
    while (waiting != n);
}

/* A keeper and a notifier notify one waiter at once. The keeper's compare-and-swap fails, and its smaller `before`
 * must not shut out a waiter that came between the two notifications. The keeper passes on `from`'s notification. */
static void both_tell(sk_segment *s, sk_segment *from) {
    sk_condition *k = sk_condition_of(s);
    sk_segment z, y;
    sk_condition_waiter *sx, *sz, *sy, *found;
    uint32_t owner = 0;
    attach(from), attach(&z), attach(&y);
    CHECK(sk_condition_enter(from, sk_condition_of(from), &sx) == SK_OK);
    CHECK(sk_condition_enter(&z, sk_condition_of(&z), &sz) == SK_OK);
    sk_condition_notify(s, k, 1); /* X is notified, and dies */
    uint64_t before = sx->before;
    die(from);
    CHECK(sk_condition_enter(&y, sk_condition_of(&y), &sy) == SK_OK);
    found = sk_condition_oldest(s, k, before, &owner); /* the keeper has found Z, and is about to notify it */
    CHECK(owner == sk_me(&z));
    sk_condition_notify(s, k, 1); /* a notifier notifies Z; its `before` includes Y */
    CHECK(!sk_condition_waiter_notify(found, owner, before));
    die(&z);
    sk_condition_pass_on(s, k);
    sk_condition_pass_on(s, k);
    CHECK(sy->word == (sk_me(&y) | SK_NOTIFIED));
    sk_condition_detach(sy);
    leave(&y);
    for (uint32_t i = 0; i < SK_CONDITION_WAITERS; i++) CHECK(k->slot[i].word == 0);
}

/* A stopped keeper holds no waiter up for more than a slice: a waiter that finds the same keeper again passes the
 * notifications on without its lock. */
static void keeper_stopped(sk_segment *s) {
    sk_condition *k = sk_condition_of(s);
    sk_segment x, y, still;
    sk_condition_waiter *sx, *sy;
    attach(&x), attach(&y), attach(&still);
    CHECK(sk_condition_enter(&x, sk_condition_of(&x), &sx) == SK_OK);
    CHECK(sk_condition_enter(&y, sk_condition_of(&y), &sy) == SK_OK);
    sk_condition_notify(s, k, 1);
    die(&x);
    k->keeper = sk_me(&still);
    CHECK(sk_condition_pass_on_unless_busy(s, k, 0) == sk_me(&still) && sy->word == sk_me(&y));
    /* After one slice the waiter finds the keeper. */
    CHECK(sk_condition_wait(&y, sk_condition_of(&y), sy, sk_me(&y), FOR_EVER) == SK_INTERRUPTED);
    CHECK(sy->word == sk_me(&y) && sy->stuck == sk_me(&still));
    int rc;
    while ((rc = sk_condition_wait(&y, sk_condition_of(&y), sy, sk_me(&y), FOR_EVER)) == SK_INTERRUPTED) {}
    CHECK(rc == SK_OK && sy->word == (sk_me(&y) | SK_NOTIFIED));
    sk_condition_detach(sy);
    k->keeper = 0;
    leave(&still);
    leave(&y);
}

int main(int argc, char **argv) {
    begin(argc, argv, "condition");
    sk_plan plan = {.kind = 12, .seats = 32, .body_len = sk_condition_body_len(32, SK_CONDITION_WAITERS),
                    .param = {[SK_CONDITION_SLOTS] = SK_CONDITION_WAITERS}};
    sk_segment s;
    crew c = {.n = 0};
    create(&s, &plan);
    sk_condition *k = sk_condition_of(&s);
    CHECK(sk_condition_refuse(&s) == SK_OK);

    /* There are as many notifications as items. If one is lost, a consumer waits for ever. */
    uint64_t share = 20 * opt.millis;
    for (int i = 0; i < CREW; i++) hire(&c, consume, &share);
    for (int i = 0; i < CREW; i++) hire(&c, produce, &share);
    gather(&c);
    CHECK(taken == CREW * share && items == 0);

    /* Waiters are notified in the order in which they came. */
    for (uint32_t i = 0; i < CREW; i++) {
        hire(&c, queue_up, (void *)(uintptr_t)i);
        until_waiting(&s, i + 1);
    }
    for (uint32_t i = 0; i < CREW; i++) {
        lock(&s);
        sk_condition_notify(&s, k, 1);
        unlock(&s);
        uint32_t waiting, told = 1;
        while (told > 0) sk_condition_count(&s, k, &waiting, &told);
        CHECK(waiting == CREW - 1 - i);
    }
    gather(&c);
    for (uint32_t i = 0; i < CREW; i++) CHECK(order[i] == i);

    /* The oldest waiters are notified and die: the next ones get their notifications. */
    for (int round = 0; round < 5; round++) {
        dead = gone = 0;
        for (int i = 0; i < 2; i++) hire(&c, perish, NULL);
        until_waiting(&s, 2);
        for (uint32_t i = 0; i < 2; i++) hire(&c, queue_up, (void *)(uintptr_t)i);
        until_waiting(&s, 4);
        lock(&s);
        sk_condition_notify(&s, k, 2);
        unlock(&s);
        gather(&c);
        CHECK(dead == 2 && gone == 2);
    }
    for (uint32_t i = 0; i < SK_CONDITION_WAITERS; i++) CHECK(k->slot[i].word == 0);

    sk_segment first;
    both_tell(&s, &first);
    keeper_stopped(&s);

    /* Dead waiters that were not notified are skipped, and their slots become free. */
    for (uint32_t i = 0; i < SK_CONDITION_WAITERS; i++) k->slot[i].word = sk_me(&s) - (1u << SK_SEAT_BITS);
    sk_condition_waiter *z;
    CHECK(sk_condition_enter(&s, k, &z) == SK_OK);
    sk_condition_notify(&s, k, 1);
    CHECK(z->word == (sk_me(&s) | SK_NOTIFIED));
    sk_condition_abandon(&s, k, z, sk_me(&s));
    CHECK(z->word == 0);

    /* If living waiters have all slots: SK_FULL. */
    for (uint32_t i = 0; i < SK_CONDITION_WAITERS; i++) k->slot[i].word = sk_me(&s);
    CHECK(sk_condition_enter(&s, k, &z) == SK_FULL);
    k->high = UINT32_MAX;
    k->keeper = UINT32_MAX;
    sk_condition_notify(&s, k, UINT64_MAX);
    sk_condition_pass_on(&s, k);
    leave(&s);
    return 0;
}
