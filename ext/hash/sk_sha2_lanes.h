/* Many messages at once, one in each lane, with all lanes kept busy: a template for one instruction set.
 *
 * Including files define
 *   SK_TARGET            the function attribute that allows the instructions
 *   SK_LANES             messages at once
 *   SK_WORD, SK_BLOCK    type of a word and bytes of a block
 *   SK_STATE(word, lane) index into the flat state
 *   SK_COMPRESS(state, data, blocks)   compresses `blocks` blocks of each lane's data[lane]
 *   SK_PAD(tail, rest, size, total)    as sk_sha256_pad
 *   SK_SINGLE            block function for one message, used when too few messages are left to fill the lanes
 *   SK_WORTHWHILE        fewest busy lanes that are faster than SK_SINGLE
 * The template defines sk_lanes_batch.
 *
 * A lane works through the whole blocks of its message in place, then through a padded tail, and then takes
 * the next message. All lanes advance by as many blocks as the shortest stretch has. So a long message does
 * not delay the others: their lanes take new messages meanwhile.
 */
#include "sk_sha2.h"

typedef struct sk_lane {
    size_t message;          /* index of its message; SIZE_MAX: idle */
    size_t left;             /* blocks left in this stretch */
    bool in_tail;
    uint8_t tail[2 * SK_BLOCK];
} sk_lane;

typedef struct sk_lanes {
    _Alignas(64) SK_WORD state[8 * SK_LANES];
    const uint8_t *data[SK_LANES];
    sk_lane lane[SK_LANES];
} sk_lanes;

SK_TARGET static inline void sk_lane_enter_tail(sk_lanes *lanes, int i, const sk_span *messages) {
    sk_lane *lane = &lanes->lane[i];
    const size_t size = messages[lane->message].size, rest = size % SK_BLOCK;
    lane->left = SK_PAD(lane->tail, messages[lane->message].data + (size - rest), rest, size);
    lane->in_tail = true;
    lanes->data[i] = lane->tail;
}

SK_TARGET static inline void sk_lane_take(sk_lanes *lanes, int i, const sk_span *messages, size_t message, const SK_WORD *initial) {
    sk_lane *lane = &lanes->lane[i];
    lane->message = message;
    lane->in_tail = false;
    lane->left = messages[message].size / SK_BLOCK;
    lanes->data[i] = messages[message].data;
    for (int k = 0; k < 8; k++) lanes->state[SK_STATE(k, i)] = initial[k];
    if (!lane->left) sk_lane_enter_tail(lanes, i, messages);
}

static inline void sk_lane_put(const SK_WORD *words, uint32_t size, uint8_t *out) {
    for (uint32_t k = 0; k < size / sizeof(SK_WORD); k++) {
        SK_WORD word = sizeof(SK_WORD) == 8 ? (SK_WORD)SK_FROM_BE64(words[k]) : (SK_WORD)SK_FROM_BE32((uint32_t)words[k]);
        memcpy(out + k * sizeof word, &word, sizeof word);
    }
}

/* Finish one lane's message without vectors. */
SK_TARGET static void sk_lane_finish_alone(sk_lanes *lanes, int i, const sk_span *messages, uint32_t size, uint8_t *out) {
    SK_WORD words[8];
    for (int k = 0; k < 8; k++) words[k] = lanes->state[SK_STATE(k, i)];
    SK_SINGLE(words, lanes->data[i], lanes->lane[i].left);
    if (!lanes->lane[i].in_tail) {
        sk_lane_enter_tail(lanes, i, messages);
        SK_SINGLE(words, lanes->data[i], lanes->lane[i].left);
    }
    sk_lane_put(words, size, out + lanes->lane[i].message * size);
}

SK_TARGET static void sk_lanes_batch(const sk_hash_algorithm *algorithm, const sk_hash_key *key,
                                     const sk_span *messages, size_t count, uint8_t *out) {
    const SK_WORD *initial = algorithm->initial;
    const uint32_t size = algorithm->digest_size;
    sk_lanes lanes;
    size_t next = 0;
    int busy = 0;
    (void)key;

    for (int i = 0; i < SK_LANES; i++) {
        lanes.lane[i].message = SIZE_MAX;
        if (next < count) sk_lane_take(&lanes, i, messages, next++, initial), busy++;
    }
    while (busy >= SK_WORTHWHILE) {
        size_t stretch = SIZE_MAX;
        const uint8_t *some = NULL;
        for (int i = 0; i < SK_LANES; i++) {
            if (lanes.lane[i].message == SIZE_MAX) continue;
            if (lanes.lane[i].left < stretch) stretch = lanes.lane[i].left;
            some = lanes.data[i];
        }
        if (busy < SK_LANES)     /* idle lanes read the data of a busy one; their results are ignored */
            for (int i = 0; i < SK_LANES; i++)
                if (lanes.lane[i].message == SIZE_MAX) lanes.data[i] = some;
        SK_COMPRESS(lanes.state, lanes.data, stretch);
        for (int i = 0; i < SK_LANES; i++) {
            sk_lane *lane = &lanes.lane[i];
            if (lane->message == SIZE_MAX) continue;
            lane->left -= stretch;
            lanes.data[i] += stretch * SK_BLOCK;
            if (lane->left) continue;
            if (!lane->in_tail) {
                sk_lane_enter_tail(&lanes, i, messages);
                continue;
            }
            SK_WORD words[8];
            for (int k = 0; k < 8; k++) words[k] = lanes.state[SK_STATE(k, i)];
            sk_lane_put(words, size, out + lane->message * size);
            if (next < count) {
                if (next + SK_LANES < count) __builtin_prefetch(messages[next + SK_LANES].data);
                sk_lane_take(&lanes, i, messages, next++, initial);
            } else {
                lane->message = SIZE_MAX;
                busy--;
            }
        }
    }
    for (int i = 0; i < SK_LANES; i++)
        if (lanes.lane[i].message != SIZE_MAX) sk_lane_finish_alone(&lanes, i, messages, size, out);
}
