/* The queue: every item arrives once, whole and in its producer's order, whatever growth, wraps, batches and shutdown
 * do.
 *
 * A payload consists of its producer, its number, and bytes that both determine. Positions begin just before the wrap
 * of both halves. */
#include "harness.h"
#include "structures/sk_queue_get.h"
#include "structures/sk_queue_put.h"
#include "structures/sk_queue_state.h"

#define PRODUCERS 3
#define CONSUMERS 3
#define LONGEST 6000

typedef struct label {
    uint32_t producer, number;
} label;

static uint64_t put_in[PRODUCERS], taken_out[PRODUCERS], refused_full;
static uint64_t maxsize;

static uint64_t length_of(label l) {
    uint64_t state = ((uint64_t)l.producer << 32 | l.number) ^ opt.seed, roll = random_u64(&state);
    uint64_t most = roll % 64 == 0 ? LONGEST : roll % 4 == 0 ? 200 : 24;
    return sizeof(label) + random_u64(&state) % most;
}

static uint64_t write_payload(unsigned char *to, label l) {
    uint64_t len = length_of(l);
    memcpy(to, &l, sizeof l);
    for (uint64_t i = sizeof l; i < len; i++) to[i] = (unsigned char)(l.number * 31 + i * 7 + l.producer);
    return len;
}

static label read_payload(const unsigned char *at, uint64_t len) {
    label l;
    CHECK(len >= sizeof l);
    memcpy(&l, at, sizeof l);
    CHECK(l.producer < PRODUCERS && len == length_of(l));
    for (uint64_t i = sizeof l; i < len; i++) CHECK(at[i] == (unsigned char)(l.number * 31 + i * 7 + l.producer));
    return l;
}

static void put_one(sk_segment *s, label l, uint64_t *random_state) {
    unsigned char bytes[LONGEST + 64];
    uint64_t len = write_payload(bytes, l), cut = random_u64(random_state) % (len + 1);
    sk_part parts[2] = {{bytes, cut}, {bytes + cut, len - cut}};
    bool willing = random_u64(random_state) % 4 != 0;
    sk_wait_state wait = {.thread = 1};
    int rc;
    do {
        sk_call call = {.until = random_u64(random_state) % 8 == 0 ? sk_now_ns() + 30000 : FOR_EVER, .willing = willing};
        if (willing) call.wait = &wait;
        if (random_u64(random_state) % 4 == 0) call.until = 0;
        rc = sk_queue_put(s, parts, 2, 5, call);
        if (rc == SK_FULL) sk_add64_relaxed(&refused_full, 1);
        CHECK(rc == SK_OK || rc == SK_INTERRUPTED || rc == SK_TIMEOUT || rc == SK_BUSY || (rc == SK_FULL && maxsize != 0));
    } while (rc != SK_OK);
}

static void put_batch(sk_segment *s, label l, uint32_t n) {
    static __thread unsigned char records[40 * (LONGEST + 64)] __attribute__((aligned(16)));
    uint64_t units = 0, whole;
    for (uint32_t i = 0; i < n; i++, l.number++) {
        uint64_t len = write_payload(records + units * SK_UNIT + SK_RECORD_HEAD, l), head = sk_record_head(len, 5);
        memcpy(records + units * SK_UNIT, &head, sizeof head);
        units += sk_record_units(len);
    }
    uint32_t done = 0;
    sk_wait_state wait = {.thread = 1};
    for (whole = 0; done < n;) {
        uint32_t items = n - done;
        uint64_t went = 0;
        sk_call call = {.until = FOR_EVER, .willing = true, .wait = &wait};
        int rc = sk_queue_put_records(s, records + whole * SK_UNIT, &items, &went, call);
        CHECK(rc == SK_OK ? items > 0 && went > 0 : rc == SK_INTERRUPTED && items == 0 && went == 0);
        done += items;
        whole += went;
    }
    CHECK(whole == units);
}

static void *produce(void *number) {
    sk_segment s;
    attach(&s);
    label l = {(uint32_t)(uintptr_t)number, 0};
    uint64_t random_state = opt.seed * 77 + l.producer, until = deadline_in(opt.millis);
    while (sk_now_ns() < until) {
        /* Without this limit, producers that are faster than the consumers could use up all memory. */
        if (sk_queue_bytes(sk_queue_of(&s)) > 64u << 20) {
            sk_yield();
            continue;
        }
        uint32_t n = random_u64(&random_state) % 8 == 0 ? 1 + (uint32_t)(random_u64(&random_state) % 40) : 1;
        if (n == 1) put_one(&s, l, &random_state);
        else put_batch(&s, l, n);
        l.number += n;
    }
    put_in[l.producer] = l.number;
    leave(&s);
    return NULL;
}

/* The last number that a consumer has seen of each producer; numbers of one producer only grow. */
typedef struct diary {
    int64_t last[PRODUCERS];
    uint64_t n[PRODUCERS];
} diary;

static void note(diary *d, label l) {
    CHECK((int64_t)l.number > d->last[l.producer]);
    d->last[l.producer] = l.number;
    d->n[l.producer]++;
}

/* Take items by one of several calls. SK_OK: *n items were taken and recorded. */
static int take_one(sk_segment *s, diary *d, uint64_t *random_state, uint32_t *n) {
    unsigned char small[256], *large;
    sk_found found = {0};
    sk_call call = {.until = random_u64(random_state) % 4 == 0 ? 0 : FOR_EVER, .willing = random_u64(random_state) % 4 != 0};
    *n = 0;
    int rc = sk_queue_get(s, small, sizeof small, &found, call);
    if (rc == SK_OK) note(d, read_payload(small, found.payload));
    if (rc == SK_LARGER) {
        CHECK(found.payload > sizeof small && found.kind == 5);
        large = malloc(found.payload);
        memcpy(large, small, 16);
        rc = sk_queue_get_found(s, large + 16, 16, &found, (sk_call){.until = FOR_EVER});
        if (rc == SK_OK) note(d, read_payload(large, found.payload));
        free(large);
    }
    *n = rc == SK_OK;
    return rc;
}

static int take_batch(sk_segment *s, diary *d, uint64_t *random_state, uint32_t *n) {
    static __thread unsigned char records[40 * (LONGEST + 64)] __attribute__((aligned(16)));
    uint64_t units = random_u64(random_state) % 2 == 0 ? 16 : sizeof records / SK_UNIT, at = 0;
    sk_found found = {0};
    sk_call call = {.until = FOR_EVER, .willing = true};
    *n = 1 + (uint32_t)(random_u64(random_state) % 40);
    int rc = sk_queue_get_records(s, records, n, &units, &found, call);
    if (rc == SK_LARGER) {
        CHECK(found.payload + SK_RECORD_HEAD > 16 * SK_UNIT && *n == 0);
        return SK_INTERRUPTED;
    }
    if (rc != SK_OK) CHECK(*n == 0 && units == 0);
    for (uint32_t i = 0; i < *n; i++) {
        uint64_t head;
        memcpy(&head, records + at * SK_UNIT, sizeof head);
        CHECK(sk_record_sound(head) && sk_record_kind(head) == 5);
        note(d, read_payload(records + at * SK_UNIT + SK_RECORD_HEAD, sk_record_payload(head)));
        at += sk_record_units(sk_record_payload(head));
    }
    CHECK(at == units);
    return rc;
}

static void *consume(void *number) {
    sk_segment s;
    attach(&s);
    sk_queue *q = sk_queue_of(&s);
    uint64_t random_state = opt.seed * 99 + (uintptr_t)number;
    diary d = {.last = {-1, -1, -1}};
    uint32_t n;
    for (;;) {
        int rc = random_u64(&random_state) % 4 == 0 ? take_batch(&s, &d, &random_state, &n) : take_one(&s, &d, &random_state, &n);
        if (rc == SK_SHUTDOWN) break;
        CHECK(rc == SK_OK || rc == SK_INTERRUPTED || rc == SK_EMPTY || rc == SK_BUSY || rc == SK_LARGER);
        if (maxsize != 0) CHECK(sk_queue_count(q) <= maxsize);
        if (n > 0) CHECK(sk_queue_task_done(q, n) == SK_OK);
    }
    for (int i = 0; i < PRODUCERS; i++) sk_add64_seq_cst(&taken_out[i], d.n[i]);
    leave(&s);
    return NULL;
}

static void end(sk_segment *s, bool at_once) {
    int rc;
    while ((rc = sk_queue_shutdown(s, at_once, FOR_EVER)) == SK_INTERRUPTED) {}
    CHECK(rc == SK_OK);
}

#define ONE_PAGE 8 /* log2 of the units */

static void make(sk_segment *s, uint64_t bound, uint32_t log2, uint64_t start) {
    sk_plan plan = {.kind = 4, .seats = 16, .body_len = sk_queue_body_len(16, log2), .fill = sk_queue_fill};
    plan.param[SK_QUEUE_MAXSIZE] = maxsize = bound;
    plan.param[SK_QUEUE_FLOOR] = sk_queue_floor_for(16);
    plan.param[SK_QUEUE_LOG2] = log2;
    plan.param[SK_QUEUE_START] = start;
    shared_at = NULL;
    create(s, &plan);
    CHECK(sk_queue_refuse(s) == SK_OK);
}

static void many_to_many(uint64_t bound, uint64_t start) {
    sk_segment s;
    crew producers = {.n = 0}, consumers = {.n = 0};
    memset(taken_out, 0, sizeof taken_out);
    make(&s, bound, ONE_PAGE, start);
    sk_queue *q = sk_queue_of(&s);
    for (uintptr_t i = 0; i < PRODUCERS; i++) hire(&producers, produce, (void *)i);
    for (uintptr_t i = 0; i < CONSUMERS; i++) hire(&consumers, consume, (void *)i);
    gather(&producers);
    int rc;
    while ((rc = sk_queue_join(&s, FOR_EVER)) == SK_INTERRUPTED) {}
    CHECK(rc == SK_OK && sk_queue_unfinished_now(q) == 0 && sk_queue_count(q) == 0);
    CHECK(sk_queue_task_done(q, 1) == SK_EXCESS);
    end(&s, false);
    gather(&consumers);
    uint64_t all = 0;
    for (int i = 0; i < PRODUCERS; i++) {
        CHECK(put_in[i] == taken_out[i] && put_in[i] > 0);
        all += put_in[i];
    }
    CHECK(sk_items(sk_load64_acquire(&q->tail)) == sk_items(start) + (uint32_t)all);
    CHECK(sk_queue_put(&s, NULL, 0, 0, (sk_call){.until = FOR_EVER, .willing = true}) == SK_SHUTDOWN);
    leave(&s);
    printf("%llu items, bound %llu\n", (unsigned long long)all, (unsigned long long)bound);
}

/* One participant, step by step. A refused operation changes nothing. */
static void alone(void) {
    sk_segment s;
    sk_found found = {0};
    unsigned char bytes[600] = {7}, back[600];
    sk_part part = {bytes, sizeof bytes};
    sk_call now = {0}, never = {.until = FOR_EVER};
    make(&s, 3, ONE_PAGE, sk_position(UINT32_MAX - 1, UINT32_MAX - 20));
    sk_queue *q = sk_queue_of(&s);
    CHECK(sk_queue_get(&s, back, sizeof back, &found, never) == SK_EMPTY);
    CHECK(sk_queue_get(&s, back, sizeof back, &found, (sk_call){.until = sk_now_ns(), .willing = true}) == SK_TIMEOUT);
    CHECK(sk_queue_task_done(q, 1) == SK_EXCESS);
    for (int i = 0; i < 3; i++) CHECK(sk_queue_put(&s, &part, 1, i, now) == SK_OK);
    CHECK(sk_queue_put(&s, &part, 1, 3, now) == SK_FULL && sk_queue_count(q) == 3);
    CHECK(sk_queue_put(&s, &part, 1, 3, (sk_call){.until = sk_now_ns() + 1000, .willing = true}) == SK_TIMEOUT);
    part.len = SK_PAYLOAD_MAX + 1; /* its bytes are never read */
    CHECK(sk_queue_put(&s, &part, 1, 3, now) == SK_TOO_LARGE);
    CHECK(sk_queue_get(&s, back, 8, &found, now) == SK_LARGER && found.payload == 600 && sk_queue_count(q) == 3);
    CHECK(sk_queue_get_found(&s, back, 0, &found, (sk_call){0}) == SK_OK && back[0] == 7 && found.kind == 0);
    CHECK(sk_queue_get_found(&s, back, 0, &found, (sk_call){0}) == SK_LARGER); /* another consumer has taken it */
    CHECK(sk_queue_unfinished_now(q) == 3 && sk_queue_count(q) == 2);
    end(&s, true);
    CHECK(sk_queue_count(q) == 0 && sk_queue_unfinished_now(q) == 1);
    CHECK(sk_queue_get(&s, back, sizeof back, &found, never) == SK_SHUTDOWN);
    CHECK(sk_queue_task_done(q, 1) == SK_OK && sk_queue_join(&s, FOR_EVER) == SK_OK);
    leave(&s);
}

static int put_now(sk_segment *s, sk_wait_state *t) {
    unsigned char bytes[3000] = {7};
    sk_part part = {bytes, sizeof bytes}; /* the second one makes the smallest ring grow */
    return sk_queue_put(s, &part, 1, 1, (sk_call){.until = FOR_EVER, .wait = t});
}

static int get_now(sk_segment *s, sk_wait_state *t) {
    unsigned char back[3000];
    sk_found found;
    return sk_queue_get(s, back, sizeof back, &found, (sk_call){.until = FOR_EVER, .wait = t});
}

/* A call that does not wait for an item or for room gets SK_STALLED if the holder of a lock makes no progress. It does
 * wait for a holder that makes progress, or that releases the lock and takes it again. */
static void holder_stands_still(void) {
    sk_segment s, other;
    make(&s, 0, ONE_PAGE, 0);
    attach(&other);
    sk_queue *q = sk_queue_of(&other);
    CHECK(put_now(&s, NULL) == SK_OK);
    for (int side = SK_QUEUE_PUT; side <= SK_QUEUE_GET; side++) {
        uint32_t *word = side == SK_QUEUE_PUT ? &q->put_lock : &q->get_lock;
        uint32_t *moves = side == SK_QUEUE_PUT ? &q->put_moves : &q->get_moves;
        sk_wait_state t = {0};
        int rc, looks = 0;
        CHECK(sk_lock_take(&other, word, FOR_EVER) == SK_OK);
        while ((rc = side == SK_QUEUE_PUT ? put_now(&s, &t) : get_now(&s, &t)) == SK_INTERRUPTED) looks++;
        CHECK(rc == SK_STALLED && looks >= 4 && (int)t.stall.which == side && !t.stall.in_time);
        if (side == SK_QUEUE_GET) { /* a put that has to grow also waits for get_lock */
            memset(&t, 0, sizeof t);
            while ((rc = put_now(&s, &t)) == SK_INTERRUPTED) {}
            CHECK(rc == SK_STALLED && t.stall.which == SK_QUEUE_GET && sk_lock_owner(&q->put_lock) == 0);
        }
        memset(&t, 0, sizeof t);
        for (looks = 0; looks < 15; looks++) {
            CHECK((side == SK_QUEUE_PUT ? put_now(&s, &t) : get_now(&s, &t)) == SK_INTERRUPTED);
            sk_lock_moves(moves);
        }
        for (looks = 0; looks < 15; looks++) {
            CHECK((side == SK_QUEUE_PUT ? put_now(&s, &t) : get_now(&s, &t)) == SK_INTERRUPTED);
            sk_lock_give_and_move(word, moves);
            CHECK(sk_lock_take(&other, word, FOR_EVER) == SK_OK);
        }
        sk_found found;
        sk_part part = {NULL, 0};
        sk_call timed = {.until = deadline_in(25), .willing = true, .wait = &t};
        memset(&t, 0, sizeof t);
        while ((rc = side == SK_QUEUE_PUT ? sk_queue_put(&s, &part, 1, 1, timed)
                                          : sk_queue_get(&s, NULL, 0, &found, timed)) == SK_INTERRUPTED) {}
        CHECK(rc == SK_TIMEOUT && t.stall.in_time);
        sk_lock_give_and_move(word, moves);
    }
    CHECK(put_now(&s, NULL) == SK_OK && get_now(&s, NULL) == SK_OK && sk_queue_count(q) == 1);
    leave(&other);
    leave(&s);
}

static int put_waiting(sk_segment *s, sk_wait_state *wait, uint64_t until) {
    sk_part part = {NULL, 0};
    return sk_queue_put(s, &part, 1, 1, (sk_call){.until = until, .willing = true, .wait = wait});
}

/* put_waiting over all slices. */
static int put_in_time(sk_segment *s, sk_wait_state *wait, uint64_t millis) {
    uint64_t until = deadline_in(millis);
    int rc;
    while ((rc = put_waiting(s, wait, until)) == SK_INTERRUPTED) {}
    return rc;
}

/* A queue of one item is full. `wait` waits for room; others take the room until `wait` has the token. */
static void wait_for_turn(sk_segment *s, sk_wait_state *wait) {
    sk_queue *q = sk_queue_of(s);
    for (int i = 0; sk_load64_relaxed(&q->token) != sk_wait_state_token_value(s, wait); i++) {
        CHECK(i < 1000 && sk_queue_has_token(s, q, wait) == false);
        CHECK(put_in_time(s, wait, 2) == SK_TIMEOUT);
        CHECK(get_now(s, NULL) == SK_OK && put_now(s, NULL) == SK_OK);
    }
    CHECK(wait->overtaken && sk_queue_has_token(s, q, wait));
}

/* A producer leaves the room to the one with the token for a while, but takes it at its own deadline. Returns false if the
 * machine was so busy that the while was over before the deadline. */
static bool token_is_honoured(sk_segment *s) {
    sk_queue *q = sk_queue_of(s);
    sk_wait_state first = {.thread = 1}, second = {.thread = 2};
    wait_for_turn(s, &first);
    CHECK(get_now(s, NULL) == SK_OK && put_now(s, &second) == SK_OK && get_now(s, NULL) == SK_OK);
    uint64_t began = sk_now_ns();
    CHECK(put_in_time(s, &second, 2) == SK_OK);
    bool in_time = sk_now_ns() - began < SK_WAIT_STATE_HONOUR_NS;
    CHECK(!in_time || sk_queue_has_token(s, q, &first));
    if (!in_time) {
        sk_queue_cancel_put(s, &first);
        return false;
    }
    CHECK(get_now(s, NULL) == SK_OK);
    second = (sk_wait_state){.thread = 2};
    began = sk_now_ns();
    int steps = 0, rc;
    while ((rc = put_waiting(s, &second, FOR_EVER)) == SK_INTERRUPTED) steps++; /* `first` does not take the room */
    CHECK(rc == SK_OK && q->token == 0 && steps > 0 && sk_now_ns() - began >= SK_WAIT_STATE_HONOUR_NS);
    return true;
}

/* A producer that was overtaken is next: waiting producers leave the room to it for a while; a producer that does not
 * wait takes the room. */
static void producers_have_turns(void) {
    sk_segment s;
    make(&s, 1, ONE_PAGE, 0);
    sk_queue *q = sk_queue_of(&s);
    CHECK(put_now(&s, NULL) == SK_OK);
    sk_wait_state first = {.thread = 1}, second = {.thread = 2};
    CHECK(put_in_time(&s, &first, 20) == SK_TIMEOUT && !first.overtaken && q->token == 0); /* none was faster */
    wait_for_turn(&s, &first);
    CHECK(get_now(&s, NULL) == SK_OK && put_waiting(&s, &second, FOR_EVER) == SK_INTERRUPTED && sk_queue_count(q) == 0);
    CHECK(put_waiting(&s, &first, FOR_EVER) == SK_OK && q->token == 0 && sk_queue_count(q) == 1);
    CHECK(get_now(&s, NULL) == SK_OK && put_waiting(&s, &second, FOR_EVER) == SK_OK);

    while (!token_is_honoured(&s)) {}

    first = (sk_wait_state){.thread = 1};
    wait_for_turn(&s, &first);
    sk_queue_cancel_put(&s, &first);
    CHECK(q->token == 0 && get_now(&s, NULL) == SK_OK && put_waiting(&s, &second, FOR_EVER) == SK_OK);

    sk_segment dead;
    attach(&dead);
    first = second = (sk_wait_state){.thread = 1};
    wait_for_turn(&dead, &first);
    leave(&dead);
    CHECK(q->token != 0);
    wait_for_turn(&s, &second); /* the token of a dead process is taken over */
    sk_queue_cancel_put(&s, &second);
    leave(&s);
}

int main(int argc, char **argv) {
    begin(argc, argv, "queue");
    alone();
    producers_have_turns();
    holder_stands_still();
    opt.millis /= 2;
    many_to_many(0, sk_position(UINT32_MAX - 100, UINT32_MAX - 1000));
    many_to_many(5, sk_position(UINT32_MAX - 100, UINT32_MAX - 1000));
    return 0;
}
