/* Leases of a queue: every item is taken for good exactly once, whatever leases come back, whoever dies, and however
 * the ring is moved together or grows meanwhile; items that leave without being taken are counted.
 *
 * A payload consists of its producer, its number, and bytes that both determine. Positions begin just before the wrap
 * of both halves. A participant dies by dropping its seat (harness.h). */
#include "harness.h"
#include "structures/sk_queue_lease.h"
#include "structures/sk_queue_put.h"

#define PRODUCERS 2
#define CONSUMERS 4
#define LONGEST 3000
#define MOST (1u << 20) /* items of one producer */
#define IN_HAND 24      /* leases of one consumer at the same time */

typedef struct label {
    uint32_t producer, number;
} label;

static uint32_t put_in[PRODUCERS], producing;
static uint8_t taken[PRODUCERS][MOST];
static uint64_t deaths, came_back, taken_count, cleared;
static uint64_t bound;

static uint64_t write_payload(unsigned char *to, label l) {
    uint64_t state = ((uint64_t)l.producer << 32 | l.number) ^ opt.seed, roll = random_u64(&state);
    uint64_t most = roll % 64 == 0 ? LONGEST : roll % 4 == 0 ? 200 : 24, len = sizeof l + random_u64(&state) % most;
    memcpy(to, &l, sizeof l);
    for (uint64_t i = sizeof l; i < len; i++) to[i] = (unsigned char)(l.number * 31 + i * 7 + l.producer);
    return len;
}

static label read_payload(const unsigned char *at, uint64_t len) {
    label l;
    CHECK(len >= sizeof l);
    memcpy(&l, at, sizeof l);
    CHECK(l.producer < PRODUCERS && l.number < MOST);
    for (uint64_t i = sizeof l; i < len; i++) CHECK(at[i] == (unsigned char)(l.number * 31 + i * 7 + l.producer));
    return l;
}

static void take_for_good(label l) {
    CHECK(__atomic_exchange_n(&taken[l.producer][l.number], 1, __ATOMIC_RELAXED) == 0);
    sk_add64_relaxed(&taken_count, 1);
}

static void *produce(void *number) {
    sk_segment s;
    attach(&s);
    label l = {(uint32_t)(uintptr_t)number, 0};
    unsigned char bytes[LONGEST + 64];
    uint64_t until = deadline_in(opt.millis);
    while (sk_now_ns() < until && l.number < MOST) {
        if (sk_queue_bytes(sk_queue_of(&s)) > 16u << 20) {
            sk_yield();
            continue;
        }
        sk_wait_state wait = {.thread = 1};
        sk_part part = {bytes, write_payload(bytes, l)};
        int rc;
        while ((rc = sk_queue_put(&s, &part, 1, 5, (sk_call){.until = FOR_EVER, .willing = true, .wait = &wait})) == SK_INTERRUPTED) {}
        CHECK(rc == SK_OK);
        l.number++;
    }
    put_in[l.producer] = l.number;
    sk_add32_seq_cst(&producing, UINT32_MAX);
    leave(&s);
    return NULL;
}

typedef struct held {
    sk_lease lease;
    label l;
} held;

/* Lease or get an item; SK_OK: *out has it. */
static int take_one(sk_segment *s, held *out, bool lease, bool willing, uint64_t *random_state) {
    unsigned char bytes[LONGEST + 64];
    sk_found found = {0};
    sk_call call = {.until = random_u64(random_state) % 8 == 0 ? 0 : FOR_EVER, .willing = willing};
    uint64_t room = random_u64(random_state) % 2 == 0 ? sizeof bytes : 64;
    memset(out, 0, sizeof *out);
    int rc = sk_queue_take(s, bytes, room, &found, lease ? &out->lease : NULL, call);
    if (rc == SK_LARGER)
        rc = sk_queue_take_found(s, bytes, 0, &found, lease ? &out->lease : NULL, (sk_call){.until = FOR_EVER});
    if (rc == SK_OK) {
        out->l = read_payload(bytes, found.payload);
        CHECK(!lease || (out->lease.word != 0 && out->lease.deliveries >= 1));
    }
    return rc;
}

static void *consume(void *number) {
    sk_segment s;
    attach(&s);
    uint64_t random_state = opt.seed * 99 + (uintptr_t)number;
    held hand[IN_HAND];
    uint32_t n = 0, slow = (uintptr_t)number == 0; /* one consumer keeps what it has for long */
    for (;;) {
        uint64_t roll = random_u64(&random_state);
        if (n < IN_HAND && roll % 2 == 0) {
            bool lease = roll / 2 % 4 != 0;
            /* Whoever waits with leases in hand waits for itself, when the queue is shut down. */
            int rc = take_one(&s, &hand[n], lease, n == 0 && roll / 8 % 4 != 0, &random_state);
            CHECK(rc == SK_OK || rc == SK_INTERRUPTED || rc == SK_EMPTY || rc == SK_BUSY || rc == SK_LARGER || rc == SK_SHUTDOWN);
            if (rc == SK_SHUTDOWN && n == 0) break;
            if (rc != SK_OK && n == 0) continue;
            if (rc == SK_OK && !lease) take_for_good(hand[n].l);
            else if (rc == SK_OK) n++;
            if (rc == SK_OK) continue;
        }
        if (n == 0 || (slow && n < IN_HAND && roll / 64 % 512 != 0)) continue;
        if (roll / 64 % 2000 == 0) { /* it dies with all leases in hand */
            before_death(&deaths);
            sk_add64_relaxed(&deaths, 1);
            die(&s);
            attach(&s);
            n = 0;
            continue;
        }
        uint32_t i = (uint32_t)(roll / 64 % n);
        if (roll / 8 % 8 < 2) {
            CHECK(sk_queue_give_back(&s, &hand[i].lease));
            sk_add64_relaxed(&came_back, 1);
        } else {
            CHECK(sk_queue_settle(&s, &hand[i].lease));
            take_for_good(hand[i].l);
        }
        CHECK(!sk_queue_settle(&s, &hand[i].lease));
        hand[i] = hand[--n];
    }
    leave(&s);
    return NULL;
}

#define ONE_PAGE 8 /* log2 of the units */

static void make(sk_segment *s, uint64_t maxsize, bool drops) {
    sk_plan plan = {.kind = 4, .seats = 16, .body_len = sk_queue_body_len(16, ONE_PAGE), .fill = sk_queue_fill};
    plan.param[SK_QUEUE_MAXSIZE] = bound = maxsize;
    plan.param[SK_QUEUE_FLOOR] = sk_queue_floor_for(16);
    plan.param[SK_QUEUE_LOG2] = ONE_PAGE;
    plan.param[SK_QUEUE_START] = sk_position(UINT32_MAX - 40, UINT32_MAX - 400);
    plan.param[SK_QUEUE_OVERFLOW] = drops;
    shared_at = NULL;
    create(s, &plan);
    CHECK(sk_queue_refuse(s) == SK_OK);
    memset(taken, 0, sizeof taken);
    memset(put_in, 0, sizeof put_in);
    producing = PRODUCERS;
    deaths = came_back = taken_count = cleared = 0;
}

static void end(sk_segment *s, bool at_once) {
    int rc;
    while ((rc = sk_queue_shutdown(s, at_once, FOR_EVER)) == SK_INTERRUPTED) {}
    CHECK(rc == SK_OK);
}

static uint64_t clear(sk_segment *s) {
    uint64_t n;
    while (sk_queue_clear(s, &n, (sk_call){.until = FOR_EVER}) == SK_INTERRUPTED) {}
    return n;
}

static void many_to_many(uint64_t maxsize, bool drops, bool clears) {
    sk_segment s;
    crew producers = {.n = 0}, consumers = {.n = 0};
    make(&s, maxsize, drops);
    sk_queue *q = sk_queue_of(&s);
    for (uintptr_t i = 0; i < PRODUCERS; i++) hire(&producers, produce, (void *)i);
    for (uintptr_t i = 0; i < CONSUMERS; i++) hire(&consumers, consume, (void *)i);
    while (clears && sk_load32_seq_cst(&producing) > 0) {
        cleared += clear(&s);
        sk_nap(100000);
    }
    gather(&producers);
    end(&s, false);
    gather(&consumers);
    uint64_t put = 0;
    for (int i = 0; i < PRODUCERS; i++) put += put_in[i];
    uint64_t dropped = sk_queue_dropped(q);
    CHECK(put == taken_count + dropped + cleared && (drops || dropped == 0));
    CHECK(sk_queue_count(q) == 0 && sk_queue_leased(q) == 0);
    CHECK(sk_queue_unfinished_now(q) == (uint32_t)taken_count && (uint32_t)(dropped + cleared) == q->forgone.forgone);
    printf("%llu items, bound %llu, %llu dropped, %llu cleared, %llu came back, %llu deaths, ring of %llu bytes\n",
           (unsigned long long)put, (unsigned long long)maxsize, (unsigned long long)dropped,
           (unsigned long long)cleared, (unsigned long long)came_back, (unsigned long long)deaths,
           (unsigned long long)sk_queue_capacity(q));
    leave(&s);
}

/* --- one participant, step by step ---------------------------------------------------------------- */

static void put_number(sk_segment *s, uint32_t number, uint64_t len) {
    unsigned char bytes[LONGEST];
    sk_part part = {bytes, len};
    memset(bytes, (int)number, sizeof bytes);
    memcpy(bytes, &number, sizeof number);
    int rc;
    while ((rc = sk_queue_put(s, &part, 1, 5, (sk_call){.until = FOR_EVER, .willing = true})) == SK_INTERRUPTED) {}
    CHECK(rc == SK_OK);
}

static uint32_t lease_number(sk_segment *s, sk_lease *lease) {
    unsigned char bytes[LONGEST];
    sk_found found;
    uint32_t number;
    int rc = sk_queue_take(s, bytes, sizeof bytes, &found, lease, (sk_call){.until = FOR_EVER});
    if (rc != SK_OK) return rc == SK_EMPTY ? 0 : UINT32_MAX;
    memcpy(&number, bytes, sizeof number);
    for (uint64_t i = sizeof number; i < found.payload; i++) CHECK(bytes[i] == (unsigned char)number);
    return number;
}

static void comes_back_in_order(void) {
    sk_segment s, other;
    sk_lease a, b, c, d;
    make(&s, 3, false);
    attach(&other);
    sk_queue *q = sk_queue_of(&s);
    for (uint32_t i = 1; i <= 3; i++) put_number(&s, i, 100);
    CHECK(lease_number(&s, &a) == 1 && a.deliveries == 1 && lease_number(&s, &b) == 2 && sk_queue_leased(q) == 2);
    for (uint32_t i = 4; i <= 5; i++) put_number(&s, i, 100); /* the leased ones leave room */
    CHECK(sk_queue_count(q) == 3 && sk_queue_unfinished_now(q) == 5);
    CHECK(sk_queue_give_back(&s, &b) && !sk_queue_give_back(&s, &b) && sk_queue_count(q) == 4 && sk_queue_held(q) == 3);
    CHECK(sk_queue_give_back(&s, &a) && sk_queue_count(q) == 5);
    CHECK(lease_number(&other, &c) == 1 && c.deliveries == 2);
    CHECK(!sk_queue_settle(&s, &(sk_lease){.word = c.word, .row = c.row})); /* another process's lease */
    die(&other);
    attach(&other);
    CHECK(lease_number(&other, &d) == 2 && d.deliveries == 2); /* 1 comes back after a search */
    sk_nap(SK_LEASES_LOOK_NS + 1000000);
    CHECK(lease_number(&other, &a) == 1 && a.deliveries == 3);
    CHECK(sk_queue_settle(&other, &a) && sk_queue_forgo(&other, &d, (sk_call){.until = FOR_EVER}) == SK_OK);
    CHECK(sk_queue_forgo(&other, &d, (sk_call){.until = FOR_EVER}) == SK_GONE);
    CHECK(sk_queue_count(q) == 3 && sk_queue_unfinished_now(q) == 4);
    CHECK(lease_number(&other, &a) == 3 && sk_queue_give_back(&other, &a));
    CHECK(clear(&s) == 3 && sk_queue_count(q) == 0 && sk_queue_unfinished_now(q) == 1);
    CHECK(sk_queue_task_done(q, 1) == SK_OK && sk_queue_join(&s, FOR_EVER) == SK_OK);
    CHECK(sk_queue_task_done(q, 1) == SK_EXCESS && clear(&s) == 0);
    put_number(&s, 6, 100);
    CHECK(lease_number(&s, &a) == 6);
    end(&s, false);
    CHECK(lease_number(&s, &b) == 0); /* it may come back: not shut down yet */
    CHECK(sk_queue_give_back(&s, &a) && lease_number(&s, &a) == 6);
    end(&s, true);
    CHECK(sk_queue_unfinished_now(q) == 1 && sk_queue_give_back(&s, &a) && sk_queue_unfinished_now(q) == 0);
    CHECK(sk_queue_count(q) == 0 && lease_number(&s, &b) == UINT32_MAX);
    leave(&other);
    leave(&s);
}

/* Nobody gets items any more, but the death of an owner is noticed by those that wait for the end. */
static void an_owner_dies_after_the_end(void) {
    sk_segment s, other;
    sk_lease a, b;
    make(&s, 0, false);
    attach(&other);
    for (uint32_t i = 1; i <= 3; i++) put_number(&s, i, 100);
    CHECK(lease_number(&other, &a) == 1 && lease_number(&s, &b) == 2);
    end(&s, true);
    CHECK(sk_queue_unfinished_now(sk_queue_of(&s)) == 2);
    CHECK(sk_queue_settle(&s, &b) && sk_queue_task_done(sk_queue_of(&s), 1) == SK_OK);
    die(&other);
    int rc;
    while ((rc = sk_queue_join(&s, FOR_EVER)) == SK_INTERRUPTED) {}
    CHECK(rc == SK_OK);
    leave(&s);
}

/* A lease that lasts: the ring is used again around it, and does not grow for what goes past it. */
static void old_leases_cost_their_own_bytes(void) {
    sk_segment s;
    sk_lease old[6], now;
    make(&s, 0, false);
    sk_queue *q = sk_queue_of(&s);
    uint32_t next = 1;
    for (uint32_t i = 0; i < 6; i++) {
        for (uint32_t k = 0; k < 10; k++) put_number(&s, next + k, 40 + 20 * i);
        CHECK(lease_number(&s, &old[i]) == next);
        for (uint32_t k = 1; k < 10; k++) CHECK(lease_number(&s, &now) == next + k && sk_queue_settle(&s, &now));
        next += 10;
    }
    for (uint32_t k = 0; k < 5000; k++, next++) {
        put_number(&s, next, 24 + next % 300);
        CHECK(lease_number(&s, &now) == next && sk_queue_settle(&s, &now));
    }
    CHECK(sk_queue_capacity(q) == SK_PAGE);
    for (int i = 5; i >= 0; i--) CHECK(sk_queue_give_back(&s, &old[i]));
    for (uint32_t i = 0; i < 6; i++) CHECK(lease_number(&s, &now) == 1 + 10 * i && now.deliveries == 2 && sk_queue_settle(&s, &now));
    CHECK(sk_queue_leased(q) == 0 && sk_queue_count(q) == 0);
    leave(&s);
}

static void no_row_is_free(void) {
    static sk_lease all[SK_LEASES_ROWS];
    sk_segment s;
    sk_lease more;
    make(&s, 0, false);
    for (uint32_t i = 0; i <= SK_LEASES_ROWS; i++) put_number(&s, i + 1, 8 + i % 60);
    for (uint32_t i = 0; i < SK_LEASES_ROWS; i++) CHECK(lease_number(&s, &all[i]) == i + 1);
    CHECK(lease_number(&s, &more) == UINT32_MAX && sk_queue_count(sk_queue_of(&s)) == 1);
    CHECK(sk_queue_settle(&s, &all[500]) && lease_number(&s, &more) == SK_LEASES_ROWS + 1);
    for (uint32_t i = SK_LEASES_ROWS; i-- > 0;) CHECK(i == 500 || sk_queue_give_back(&s, &all[i]));
    for (uint32_t i = 0; i < SK_LEASES_ROWS; i++)
        CHECK(i == 500 || (lease_number(&s, &more) == i + 1 && more.deliveries == 2 && sk_queue_settle(&s, &more)));
    leave(&s);
}

static void the_first_is_dropped(void) {
    sk_segment s;
    sk_lease a;
    make(&s, 3, true);
    sk_queue *q = sk_queue_of(&s);
    for (uint32_t i = 1; i <= 8; i++) put_number(&s, i, 300);
    CHECK(sk_queue_count(q) == 3 && sk_queue_dropped(q) == 5 && sk_queue_unfinished_now(q) == 3);
    CHECK(lease_number(&s, &a) == 6);
    for (uint32_t i = 9; i <= 11; i++) put_number(&s, i, 300);
    CHECK(sk_queue_dropped(q) == 7 && sk_queue_give_back(&s, &a) && sk_queue_count(q) == 4);
    CHECK(lease_number(&s, &a) == 6 && sk_queue_settle(&s, &a) && lease_number(&s, &a) == 9 && sk_queue_settle(&s, &a));
    leave(&s);
}

int main(int argc, char **argv) {
    begin(argc, argv, "lease");
    comes_back_in_order();
    an_owner_dies_after_the_end();
    old_leases_cost_their_own_bytes();
    no_row_is_free();
    the_first_is_dropped();
    many_to_many(0, false, false);
    many_to_many(5, false, true);
    many_to_many(7, true, false);
    return 0;
}
