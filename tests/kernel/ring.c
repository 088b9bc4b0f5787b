/* Positions, record heads, copying: exact at every edge, and whatever a word says, nothing outside the ring is touched. */
#include "harness.h"
#include "sk_queue_get.h"
#include "sk_queue_put.h"
#include "sk_queue_state.h"

static sk_ring ring_of(unsigned char *at, uint32_t log2) {
    return (sk_ring){.at = at, .log2 = log2, .mask = (uint32_t)((1u << log2) - 1)};
}

static void heads(uint64_t *dices) {
    for (int i = 0; i < 100000; i++) {
        uint64_t payload = dice(dices) >> 24 >> dice(dices) % 40, flipped;
        uint32_t kind = (uint32_t)dice(dices) & 0xff;
        uint64_t head = sk_record_head(payload, kind);
        CHECK(sk_record_payload(head) == payload && sk_record_kind(head) == kind && sk_record_sound(head));
        CHECK(sk_record_units(payload) * SK_UNIT >= payload + SK_RECORD_HEAD);
        CHECK(sk_record_units(payload) * SK_UNIT < payload + SK_RECORD_HEAD + SK_UNIT);
        flipped = head ^ (uint64_t)1 << dice(dices) % 64;
        CHECK(!sk_record_sound(flipped)); /* every single bit is noticed */
    }
}

static void positions(uint64_t *dices) {
    for (int i = 0; i < 100000; i++) {
        uint64_t from = dice(dices);
        uint32_t items = (uint32_t)dice(dices) >> 8, units = (uint32_t)dice(dices) >> 1;
        uint64_t to = sk_position_plus(from, items, units);
        CHECK((uint32_t)(sk_items(to) - sk_items(from)) == items && (uint32_t)(sk_units(to) - sk_units(from)) == units);
    }
}

/* Against the plainest model: byte by byte. */
static void copies(uint64_t *dices) {
    enum { LOG2 = 8, SIZE = SK_UNIT << LOG2 };
    unsigned char *at = malloc(SIZE), *wide_at = malloc(SIZE * 4), model[SIZE], bytes[SIZE], back[SIZE];
    sk_ring r = ring_of(at, LOG2), wide = ring_of(wide_at, LOG2 + 2);
    memset(at, 0, SIZE);
    memset(model, 0, SIZE);
    for (int i = 0; i < 20000; i++) {
        uint32_t unit = (uint32_t)dice(dices);
        uint64_t offset = dice(dices) % SIZE, len = dice(dices) % (SIZE + 1);
        for (uint64_t k = 0; k < len; k++) bytes[k] = (unsigned char)dice(dices);
        sk_ring_write(&r, unit, offset, bytes, len);
        for (uint64_t k = 0; k < len; k++) model[((uint64_t)unit * SK_UNIT + offset + k) % SIZE] = bytes[k];
        CHECK(memcmp(model, at, SIZE) == 0);
        sk_ring_read(&r, unit, offset, back, len);
        CHECK(memcmp(back, bytes, len) == 0);
        uint32_t span = (uint32_t)(dice(dices) % ((1u << LOG2) + 1));
        sk_ring_carry(&r, &wide, unit, unit + span);
        sk_ring_read(&r, unit, 0, bytes, (uint64_t)span * SK_UNIT);
        sk_ring_read(&wide, unit, 0, back, (uint64_t)span * SK_UNIT);
        CHECK(memcmp(bytes, back, (uint64_t)span * SK_UNIT) == 0);
        i += 19 * (len > 64);
    }
    free(at);
    free(wide_at);
}

/* A queue whose every word somebody else may have written: answers, but never touches what is not there. */
static void misuse(uint64_t *dices) {
    sk_plan plan = {.kind = 4, .seats = 4, .body_len = sk_queue_body_len(4, SK_RING_LOG2_MIN), .fill = sk_queue_fill};
    plan.param[SK_QUEUE_FLOOR] = sk_queue_floor_for(4);
    plan.param[SK_QUEUE_LOG2] = SK_RING_LOG2_MIN;
    uint64_t until = deadline_in(opt.millis);
    unsigned char *bytes = calloc(1, 3000);
    do {
        sk_segment s;
        CHECK(sk_segment_create(&s, FOLDER, path, &plan) == SK_OK);
        sk_queue *q = sk_queue_of(&s);
        for (int i = 0; i < 20; i++) {
            sk_part part = {bytes, dice(dices) % 180};
            CHECK(sk_queue_put(&s, &part, 1, 5, (sk_call){.until = 0, .willing = false}) == SK_OK);
        }
        for (int i = 0; i < 4; i++) {
            uint64_t *words[] = {&q->tail, &q->head, &q->head_seen, &q->tail_seen, &q->geometry,
                                 (uint64_t *)(void *)&q->state, (uint64_t *)(void *)&q->done,
                                 (uint64_t *)(void *)(s.base + sk_queue_floor(&s)) + dice(dices) % 512};
            uint64_t *word = words[dice(dices) % 8], roll = dice(dices);
            *word = roll % 3 == 0 ? dice(dices) : *word ^ (uint64_t)1 << dice(dices) % 64;
            for (int k = 0; k < 6; k++) {
                sk_found found = {0};
                uint32_t items = 1 + (uint32_t)(dice(dices) % 30);
                uint64_t units = 1 + dice(dices) % 180;
                sk_part part = {bytes, dice(dices) % 3000};
                sk_call call = {.until = sk_now_ns() + 20000, .willing = dice(dices) % 2 == 0};
                int rc = sk_queue_get(&s, bytes, dice(dices) % 3000, &found, call);
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
    uint64_t dices = opt.seed;
    heads(&dices);
    positions(&dices);
    copies(&dices);
    misuse(&dices);
    return 0;
}
