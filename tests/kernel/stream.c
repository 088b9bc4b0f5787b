/* The stream: every reader sees each message at most once, whole and in its writer's order; what it did not see it has
 * counted as lost, exactly; in block mode nothing is lost. While readers hold pins, close and come again, and while
 * writers and readers die.
 *
 * A payload consists of its writer, its number, and bytes that both determine. */
#include "harness.h"
#include "structures/sk_stream_read.h"
#include "structures/sk_stream_write.h"

#define WRITERS 3
#define READERS 3
#define SLOT_BYTES 256u
#define LONGEST 6000
#define SLOTS 5

typedef struct label {
    uint32_t writer, number;
} label;

static bool blocks;
static uint32_t writing, reading, published[WRITERS];
static uint64_t seen_in_all, lost_in_all, pinned_in_all;

static uint64_t length_of(label l) {
    uint64_t state = ((uint64_t)l.writer << 32 | l.number) ^ opt.seed, roll = random_u64(&state);
    uint64_t most = roll % 16 == 0 ? LONGEST : roll % 4 == 0 ? 250 : 24;
    return sizeof(label) + random_u64(&state) % most;
}

static void write_bytes(unsigned char *to, label l, uint64_t len) {
    memcpy(to, &l, sizeof l);
    for (uint64_t i = sizeof l; i < len; i++) to[i] = (unsigned char)(l.number * 31 + i * 7 + l.writer);
}

static label check_bytes(const unsigned char *at, uint64_t len) {
    label l;
    CHECK(len >= sizeof l);
    memcpy(&l, at, sizeof l);
    CHECK(l.writer < WRITERS && len == length_of(l));
    for (uint64_t i = sizeof l; i < len; i++) CHECK(at[i] == (unsigned char)(l.number * 31 + i * 7 + l.writer));
    return l;
}

static bool again(int rc) { return rc == SK_INTERRUPTED || rc == SK_BUSY || rc == SK_TIMEOUT || rc == SK_FULL; }

static void enrol(sk_segment *s, sk_stream_reader *reader, enum sk_stream_begin_at at, uint64_t lost) {
    int rc;
    while ((rc = sk_stream_register(s, reader, at, lost, FOR_EVER)) != SK_OK) CHECK(rc == SK_INTERRUPTED);
}

static void put_one(sk_segment *s, label l, uint64_t *random_state) {
    unsigned char bytes[LONGEST + 64];
    uint64_t len = length_of(l), cut = random_u64(random_state) % (len + 1);
    write_bytes(bytes, l, len);
    sk_part parts[2] = {{bytes, cut}, {bytes + cut, len - cut}};
    sk_wait_state wait = {.thread = 1};
    sk_stream_claim claim = {0, 0};
    bool claims = len > SK_STREAM_QUICK || random_u64(random_state) % 4 == 0;
    int rc;
    while (claims && (rc = sk_stream_claim_slots(s, len, 5, &claim, (sk_call){.until = FOR_EVER})) != SK_OK) CHECK(again(rc));
    if (claims) CHECK(sk_stream_fill_claim(s, &claim, parts, 2) == SK_OK);
    if (claims && random_u64(random_state) % 16 == 0) { /* changes its mind */
        sk_stream_drop(s, &claim, FOR_EVER);
        put_one(s, l, random_state);
        return;
    }
    do {
        bool willing = random_u64(random_state) % 4 != 0;
        sk_call call = {.until = random_u64(random_state) % 8 == 0 ? sk_now_ns() + 30000 : FOR_EVER, .willing = willing};
        if (willing) call.wait = &wait;
        if (random_u64(random_state) % 4 == 0) call.until = 0;
        rc = claims ? sk_stream_publish(s, &claim, call) : sk_stream_put(s, parts, 2, 5, call);
        CHECK(rc == SK_OK || again(rc));
    } while (rc != SK_OK);
    CHECK(claim.entry == 0);
}

static void *produce(void *number) {
    sk_segment s;
    attach(&s);
    label l = {(uint32_t)(uintptr_t)number, 0};
    uint64_t random_state = opt.seed * 77 + l.writer, until = deadline_in(opt.millis);
    for (; sk_now_ns() < until; l.number++) put_one(&s, l, &random_state);
    published[l.writer] = l.number;
    if (sk_add32_seq_cst(&writing, (uint32_t)-1) == 1)
        while (sk_stream_shutdown(&s, false, FOR_EVER) != SK_OK) continue;
    leave(&s);
    return NULL;
}

typedef struct diary {
    int64_t last[WRITERS];
    uint64_t seen;
} diary;

static void note(diary *d, label l) {
    CHECK((int64_t)l.number > d->last[l.writer]);
    if (blocks) CHECK((int64_t)l.number == d->last[l.writer] + 1);
    d->last[l.writer] = l.number;
    d->seen++;
}

/* A pinned message, and what was in it. */
typedef struct held {
    sk_stream_message message;
    label l;
} held;

static void check_held(sk_segment *s, const held *h) {
    unsigned char bytes[LONGEST + 64];
    CHECK(h->message.payload <= sizeof bytes && sk_stream_copy(s, &h->message, 0, bytes, h->message.payload) == SK_OK);
    label now = check_bytes(bytes, h->message.payload);
    unsigned char again[LONGEST + 64];
    uint64_t half = h->message.payload / 3, len = h->message.payload - half;
    CHECK(sk_stream_copy(s, &h->message, half, again, len) == SK_OK && memcmp(again, bytes + half, len) == 0);
    CHECK(now.writer == h->l.writer && now.number == h->l.number);
}

static void *consume(void *number) {
    sk_segment s;
    attach(&s);
    diary d = {{-1, -1, -1}, 0};
    uint64_t random_state = opt.seed * 99 + (uintptr_t)number, lost = 0;
    sk_stream_reader reader = {0};
    held kept[4];
    uint32_t n = 0;
    uint64_t first = 0;
    enrol(&s, &reader, SK_STREAM_AT_OLDEST, 0);
    CHECK(reader.position == first);
    sk_add32_seq_cst(&reading, 1);
    for (;;) {
        held h = {0};
        int rc = sk_stream_read(&s, &reader, false, &h.message);
        if (rc == SK_SHUTDOWN) break;
        if (rc == SK_EMPTY) {
            rc = sk_stream_wait(&s, &reader, FOR_EVER);
            CHECK(rc == SK_OK || rc == SK_INTERRUPTED);
            continue;
        }
        CHECK(rc == SK_OK);
        CHECK(h.message.number + 1 == reader.position);
        unsigned char bytes[LONGEST + 64];
        CHECK(h.message.payload <= sizeof bytes && sk_stream_copy(&s, &h.message, 0, bytes, h.message.payload) == SK_OK);
        h.l = check_bytes(bytes, h.message.payload);
        note(&d, h.l);
        if (n < 4 && random_u64(&random_state) % 8 == 0) {
            kept[n++] = h;
            sk_add64_relaxed(&pinned_in_all, 1);
        } else sk_stream_unpin(&s, &reader, h.message.pin);
        if (n > 0 && random_u64(&random_state) % 16 == 0) {
            n--;
            check_held(&s, &kept[n]);
            sk_stream_unpin(&s, &reader, kept[n].message.pin);
        }
        if (random_u64(&random_state) % 256 == 0) { /* another reader at the same position */
            sk_stream_reader next = {.position = reader.position};
            enrol(&s, &next, SK_STREAM_AT_POSITION, sk_stream_lost(&s, &reader));
            for (; n > 0; n--) {
                check_held(&s, &kept[n - 1]);
                if (n == 1) sk_stream_unregister(&s, &reader); /* the row is freed with the last pin */
                sk_stream_unpin(&s, &reader, kept[n - 1].message.pin);
            }
            sk_stream_unregister(&s, &reader);
            reader = next;
        }
    }
    lost = sk_stream_lost(&s, &reader);
    CHECK(d.seen + lost == sk_stream_tail(sk_stream_of(&s)));
    if (blocks) CHECK(lost == 0);
    sk_add64_relaxed(&seen_in_all, d.seen);
    sk_add64_relaxed(&lost_in_all, lost);
    for (; n > 0; n--) sk_stream_unpin(&s, &reader, kept[n - 1].message.pin);
    sk_stream_unregister(&s, &reader);
    leave(&s);
    return NULL;
}

/* Looks at the latest message again and again: numbers never go back. */
static void *follow(void *nothing) {
    (void)nothing;
    sk_segment s;
    attach(&s);
    sk_stream_reader reader = {0};
    uint64_t before = 0;
    enrol(&s, &reader, SK_STREAM_AT_NEXT, 0);
    for (;;) {
        sk_stream_message found = {0};
        unsigned char bytes[LONGEST + 64];
        int rc = sk_stream_read(&s, &reader, true, &found);
        if (rc == SK_SHUTDOWN) break;
        if (rc == SK_EMPTY) sk_yield();
        if (rc == SK_EMPTY) continue;
        CHECK(rc == SK_OK && found.number >= before);
        before = found.number;
        CHECK(sk_stream_copy(&s, &found, 0, bytes, found.payload) == SK_OK);
        check_bytes(bytes, found.payload);
        sk_stream_unpin(&s, &reader, found.pin);
    }
    CHECK(sk_stream_lost(&s, &reader) == 0);
    leave(&s);
    return NULL;
}

/* Processes that die with a pin, a claim, a place as a reader, or the lock. */
static void *perish(void *nothing) {
    (void)nothing;
    uint64_t until = deadline_in(opt.millis * 3 / 4), random_state = opt.seed;
    while (sk_now_ns() < until) {
        sk_segment s;
        sk_stream_reader reader = {0};
        sk_stream_claim claim;
        sk_stream_message found = {0};
        attach(&s);
        uint64_t way = random_u64(&random_state) % 4;
        if (way < 2) enrol(&s, &reader, SK_STREAM_AT_OLDEST, 0);
        if (way == 1) sk_stream_read(&s, &reader, false, &found);
        if (way == 2) sk_stream_claim_slots(&s, 3000, 5, &claim, (sk_call){.until = FOR_EVER});
        if (way == 3) while (sk_stream_lock(&s, sk_stream_of(&s), (sk_call){.until = FOR_EVER}) != SK_OK) continue;
        if (way == 3) sk_stream_of(&s)->free = 0xdeadbeef; /* in the middle of something */
        before_death(sk_stream_of(&s));
        die(&s);
    }
    return NULL;
}

static void make(sk_segment *s, uint64_t slots, uint64_t slot_bytes, uint64_t mode, uint64_t rows, uint64_t start) {
    shared_at = NULL;
    sk_plan plan = {.kind = 77, .seats = 32, .fill = sk_stream_fill};
    plan.param[SK_STREAM_SLOTS] = slots;
    plan.param[SK_STREAM_SLOT_BYTES] = slot_bytes;
    plan.param[SK_STREAM_MODE] = mode;
    plan.param[SK_STREAM_ROWS] = rows;
    plan.param[SK_STREAM_START] = start;
    uint64_t body = sk_body_at(plan.seats, 0);
    plan.param[SK_STREAM_FLOOR] = sk_stream_floor_for(body, plan.seats, slots, rows);
    plan.body_len = plan.param[SK_STREAM_FLOOR] - body + sk_stream_base_for(slots, slot_bytes) * sk_stream_stride_for(slot_bytes);
    create(s, &plan);
    CHECK(sk_stream_refuse(s) == SK_OK);
}

static void traffic(bool mode, bool deaths) {
    sk_segment s;
    crew c = {.n = 0};
    blocks = mode;
    writing = WRITERS;
    reading = 0;
    seen_in_all = lost_in_all = 0;
    make(&s, SLOTS, SLOT_BYTES, mode, 24, 0);
    for (uintptr_t i = 0; i < READERS; i++) hire(&c, consume, (void *)i);
    while (sk_load32_acquire(&reading) < READERS) sk_yield();
    hire(&c, follow, NULL);
    for (uintptr_t i = 0; i < WRITERS; i++) hire(&c, produce, (void *)i);
    if (deaths) hire(&c, perish, NULL);
    gather(&c);
    after_death(sk_stream_of(&s));
    uint64_t in = published[0] + published[1] + published[2];
    CHECK(sk_stream_tail(sk_stream_of(&s)) == in);
    if (blocks) CHECK(seen_in_all == READERS * in);
    CHECK(seen_in_all + lost_in_all == READERS * in);
    leave(&s);
}

static label l0(uint32_t number) { return (label){0, number}; }

static int put_now(sk_segment *s, uint32_t number) {
    unsigned char bytes[LONGEST + 64];
    label l = l0(number);
    write_bytes(bytes, l, length_of(l));
    sk_part part = {bytes, length_of(l)};
    return sk_stream_put(s, &part, 1, 5, (sk_call){.until = FOR_EVER});
}

static uint32_t used(sk_segment *s) { return sk_stream_of(s)->count; }

/* What is pinned stays as it is, the stream keeps `slots` messages beside it, and the file becomes short again. */
static void pins_and_sizes(void) {
    sk_segment s;
    sk_stream_reader reader = {0};
    held kept[SK_STREAM_PINS];
    sk_stream_message found = {0};
    make(&s, 2, 4096, 0, 2, 0);
    uint32_t base = used(&s);
    enrol(&s, &reader, SK_STREAM_AT_NEXT, 0);
    CHECK(sk_stream_read(&s, &reader, false, &found) == SK_EMPTY);
    for (uint32_t i = 0; i < SK_STREAM_PINS; i++) {
        CHECK(put_now(&s, i) == SK_OK && sk_stream_read(&s, &reader, false, &kept[i].message) == SK_OK);
        kept[i].l = l0(i);
    }
    CHECK(put_now(&s, 99) == SK_OK && sk_stream_read(&s, &reader, false, &found) == SK_EXCESS);
    for (uint32_t i = 100; i < 200; i++) CHECK(put_now(&s, i) == SK_OK);
    CHECK(used(&s) > base + 6 && sk_stream_length(sk_stream_of(&s)) == 2);
    for (uint32_t i = 0; i < SK_STREAM_PINS; i++) {
        check_held(&s, &kept[i]);
        sk_stream_unpin(&s, &reader, kept[i].message.pin);
    }
    CHECK(sk_stream_read(&s, &reader, false, &found) == SK_OK && found.number == SK_STREAM_PINS + 99);
    CHECK(sk_stream_lost(&s, &reader) == 99);
    sk_stream_unpin(&s, &reader, found.pin);
    for (uint32_t i = 200; i < 400; i++) CHECK(put_now(&s, i) == SK_OK);
    CHECK(used(&s) <= base + 6);
    sk_stream_reader two = {0}, three = {0};
    enrol(&s, &two, SK_STREAM_AT_LATEST, 0);
    CHECK(sk_stream_register(&s, &three, SK_STREAM_AT_NEXT, 0, FOR_EVER) == SK_FULL);
    sk_stream_unregister(&s, &reader);
    enrol(&s, &three, SK_STREAM_AT_NEXT, 0);
    CHECK(sk_stream_read(&s, &two, false, &found) == SK_OK);
    CHECK(sk_stream_read(&s, &two, false, &found) == SK_EMPTY);
    CHECK(sk_stream_read(&s, &two, true, &found) == SK_OK); /* the same once more */
    CHECK(sk_stream_shutdown(&s, false, FOR_EVER) == SK_OK && put_now(&s, 400) == SK_SHUTDOWN);
    CHECK(sk_stream_read(&s, &two, true, &found) == SK_SHUTDOWN);
    leave(&s);
}

/* In block mode a writer waits for the slowest living reader, and for no other. */
static void blocking(void) {
    sk_segment s, other;
    sk_stream_reader slow = {0}, quick = {0};
    sk_stream_message found = {0};
    make(&s, 3, 128, SK_STREAM_BLOCK, 8, 1000);
    for (uint32_t i = 0; i < 10; i++) CHECK(put_now(&s, i) == SK_OK); /* nobody reads */
    attach(&other);
    enrol(&other, &slow, SK_STREAM_AT_OLDEST, 0);
    CHECK(slow.position == 1007);
    enrol(&s, &quick, SK_STREAM_AT_NEXT, 0);
    CHECK(quick.position == 1010);
    CHECK(put_now(&s, 10) == SK_FULL);
    CHECK(sk_stream_read(&other, &slow, false, &found) == SK_OK && found.number == 1007);
    CHECK(put_now(&s, 10) == SK_OK && put_now(&s, 11) == SK_FULL); /* what it has pinned is not in the way */
    CHECK(sk_stream_read(&s, &quick, true, &found) == SK_OK && put_now(&s, 11) == SK_FULL);
    sk_wait_state wait = {.thread = 1};
    sk_part part = {&part, 8};
    int rc = sk_stream_put(&s, &part, 1, 5, (sk_call){.until = sk_now_ns() + 1000000, .willing = true, .wait = &wait});
    CHECK(rc == SK_TIMEOUT);
    die(&other);
    after_death(sk_stream_of(&s));
    while ((rc = sk_stream_put(&s, &part, 1, 5, (sk_call){.until = FOR_EVER, .willing = true, .wait = &wait})) != SK_OK)
        CHECK(rc == SK_INTERRUPTED);
    leave(&s);
}

int main(int argc, char **argv) {
    begin(argc, argv, "stream");
    pins_and_sizes();
    blocking();
    opt.millis /= 4;
    for (int mode = 0; mode < 2; mode++)
        for (int deaths = 0; deaths < 2; deaths++) traffic(mode, deaths);
    CHECK(pinned_in_all > 0);
    return 0;
}
