/* Positions, record headers and copies are exact at every edge; with any value of the words, no byte outside of the
 * ring is touched. */
#include "harness.h"
#include "structures/sk_queue_get.h"
#include "structures/sk_queue_put.h"
#include "structures/sk_queue_state.h"

static sk_ring ring_of(unsigned char *at, uint32_t units, uint32_t origin) {
    return (sk_ring){.at = at, .units = units, .origin = origin};
}

static void heads(uint64_t *random_state) {
    for (int i = 0; i < 100000; i++) {
        uint64_t payload = random_u64(random_state) >> 24 >> random_u64(random_state) % 40, flipped;
        uint32_t kind = (uint32_t)random_u64(random_state) & 0xff;
        uint64_t head = sk_record_head(payload, kind);
        CHECK(sk_record_payload(head) == payload && sk_record_kind(head) == kind && sk_record_sound(head));
        CHECK(sk_record_units(payload) * SK_UNIT >= payload + SK_RECORD_HEAD);
        CHECK(sk_record_units(payload) * SK_UNIT < payload + SK_RECORD_HEAD + SK_UNIT);
        flipped = head ^ (uint64_t)1 << random_u64(random_state) % 64;
        CHECK(!sk_record_sound(flipped)); /* a change of any bit is noticed */
    }
}

static void positions(uint64_t *random_state) {
    for (int i = 0; i < 100000; i++) {
        uint64_t from = random_u64(random_state);
        uint32_t items = (uint32_t)random_u64(random_state) >> 8, units = (uint32_t)random_u64(random_state) >> 1;
        uint64_t to = sk_position_plus(from, items, units);
        CHECK((uint32_t)(sk_items(to) - sk_items(from)) == items && (uint32_t)(sk_units(to) - sk_units(from)) == units);
    }
}

/* Copies are compared with copies byte by byte, in rings of any length, near the wrap of the positions. */
static void copies(uint64_t *random_state) {
    enum { MOST = 300, SIZE = SK_UNIT * MOST };
    unsigned char *at = malloc(SIZE), model[SIZE], bytes[SIZE], back[SIZE];
    for (int i = 0; i < 20000; i++) {
        uint32_t units = 1 + (uint32_t)(random_u64(random_state) % MOST), origin = (uint32_t)random_u64(random_state) >> 30 << 30, past;
        sk_ring r = ring_of(at, units, origin - (uint32_t)(random_u64(random_state) % (3 * MOST)));
        uint64_t size = units * SK_UNIT, offset = random_u64(random_state) % size, len = random_u64(random_state) % (size + 1);
        past = (uint32_t)(random_u64(random_state) % (2 * units));
        memset(at, 0, size);
        memset(model, 0, size);
        for (uint64_t k = 0; k < len; k++) bytes[k] = (unsigned char)random_u64(random_state);
        sk_ring_write(&r, r.origin + past, offset, bytes, len);
        for (uint64_t k = 0; k < len; k++) model[((uint64_t)past * SK_UNIT + offset + k) % size] = bytes[k];
        CHECK(memcmp(model, at, size) == 0);
        sk_ring_read(&r, r.origin + past, offset, back, len);
        CHECK(memcmp(back, bytes, len) == 0);
        i += 19 * (len > 64);
    }
    free(at);
}

/* For any units in use and any new length: all units in use are where the new origin puts them, no unit in use of the
 * old ring was overwritten, and the result of sk_ring_stretch is enough and not more than needed. */
static void lengthening(uint64_t *random_state) {
    enum { MOST = 200 };
    unsigned char *at = malloc(SK_UNIT * MOST * 3), before[SK_UNIT * MOST], now[SK_UNIT * MOST];
    for (int i = 0; i < 50000; i++) {
        uint32_t units = 1 + (uint32_t)(random_u64(random_state) % MOST), origin = (uint32_t)random_u64(random_state) % (4 * MOST) - 2 * MOST;
        uint32_t used = (uint32_t)(random_u64(random_state) % (units + 1));
        uint32_t head = origin + (uint32_t)(random_u64(random_state) % (2 * units - used)), added = (uint32_t)(random_u64(random_state) % (2 * MOST));
        sk_ring old = ring_of(at, units, origin), wide = ring_of(at, units + added, origin);
        CHECK(sk_ring_spans(&old, head, head + used));
        for (uint64_t k = 0; k < units * SK_UNIT; k++) at[k] = (unsigned char)random_u64(random_state);
        memset(at + units * SK_UNIT, 0, added * SK_UNIT);
        sk_ring_read(&old, head, 0, before, used * SK_UNIT);
        sk_ring_copy copy;
        bool done = sk_ring_lengthen(&old, &wide, head, used, &copy);
        if (done) memcpy(at + copy.to, at + copy.from, copy.len);
        CHECK(done == (added >= sk_ring_stretch(&old, head, used)));
        sk_ring_read(&old, head, 0, now, used * SK_UNIT);
        CHECK(memcmp(before, now, used * SK_UNIT) == 0);
        if (!done) continue;
        CHECK(sk_ring_spans(&wide, head, head + used));
        sk_ring_read(&wide, head, 0, now, used * SK_UNIT);
        CHECK(memcmp(before, now, used * SK_UNIT) == 0);
    }
    free(at);
}

/* A queue in which every word may have any value: the functions return, and never touch memory outside of it. */
static void misuse(uint64_t *random_state) {
    sk_plan plan = {.kind = 4, .seats = 4, .body_len = sk_queue_body_len(4, 8), .fill = sk_queue_fill};
    plan.param[SK_QUEUE_FLOOR] = sk_queue_floor_for(4);
    plan.param[SK_QUEUE_LOG2] = 8; /* one page */
    uint64_t until = deadline_in(opt.millis);
    unsigned char *bytes = calloc(1, 3000);
    do {
        sk_segment s;
        CHECK(sk_segment_create(&s, FOLDER, path, &plan) == SK_OK);
        sk_queue *q = sk_queue_of(&s);
        for (int i = 0; i < 20; i++) {
            sk_part part = {bytes, random_u64(random_state) % 180};
            CHECK(sk_queue_put(&s, &part, 1, 5, (sk_call){.until = 0, .willing = false}) == SK_OK);
        }
        for (int i = 0; i < 4; i++) {
            uint64_t *words[] = {&q->tail, &q->head, &q->head_seen, &q->tail_seen, &q->geometry,
                                 (uint64_t *)(void *)&q->state, (uint64_t *)(void *)&q->done,
                                 (uint64_t *)(void *)(s.base + sk_queue_floor(&s)) + random_u64(random_state) % 512};
            uint64_t *word = words[random_u64(random_state) % 8], roll = random_u64(random_state);
            *word = roll % 3 == 0 ? random_u64(random_state) : *word ^ (uint64_t)1 << random_u64(random_state) % 64;
            for (int k = 0; k < 6; k++) {
                sk_found found = {0};
                uint32_t items = 1 + (uint32_t)(random_u64(random_state) % 30);
                uint64_t units = 1 + random_u64(random_state) % 180;
                sk_part part = {bytes, random_u64(random_state) % 3000};
                sk_call call = {.until = sk_now_ns() + 20000, .willing = random_u64(random_state) % 2 == 0};
                int rc = sk_queue_get(&s, bytes, random_u64(random_state) % 3000, &found, call);
                CHECK(rc <= 0);
                rc = sk_queue_get_records(&s, bytes, &items, &units, &found, call);
                CHECK(rc <= 0 && units * SK_UNIT <= 3000);
                rc = sk_queue_put(&s, &part, 1, 5, call);
                CHECK(rc <= 0);
                (void)sk_queue_count(q);
                (void)sk_queue_bytes(q);
                CHECK(sk_queue_task_done(q, 1) <= 0);
                CHECK(sk_queue_join(&s, sk_now_ns() + 1000) <= 0);
            }
        }
        sk_segment_abandon(&s);
    } while (sk_now_ns() < until);
    free(bytes);
}

int main(int argc, char **argv) {
    begin(argc, argv, "ring");
    uint64_t random_state = opt.seed;
    heads(&random_state);
    positions(&random_state);
    copies(&random_state);
    lengthening(&random_state);
    misuse(&random_state);
    return 0;
}
