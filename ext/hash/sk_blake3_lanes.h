/* BLAKE3 chains in vector lanes: a template, included once for each instruction set.
 *
 * Including files define SK_TARGET, SK_LANES, SK_VECTOR and its operations SK_ADD, SK_XOR, SK_ROR16, SK_ROR12, SK_ROR8,
 * SK_ROR7, SK_BROADCAST, and three functions: sk_load_block(data, offset, m) fills m[i] with word i of every lane, for
 * i from 0 to 15; sk_store_values(value, out) writes the eight words of every lane to its 32-byte row; and
 * sk_tail(tail, rest, size) copies a short last block and fills it with zeros. The template defines sk_chains,
 * sk_equal_pieces and sk_uniform_messages. A lane whose chain ends takes the next chain, so chains of different lengths
 * keep all lanes busy.
 */
#include "sk_blake3.h"

#define SK_WORTHWHILE 3      /* if fewer lanes are busy, their chains are finished one by one */

typedef struct sk_lanes {
    _Alignas(64) uint32_t value[8][SK_LANES];
    _Alignas(64) uint32_t counter_low[SK_LANES];
    _Alignas(64) uint32_t counter_high[SK_LANES];
    _Alignas(64) uint32_t size[SK_LANES];
    _Alignas(64) uint32_t flags[SK_LANES];
    const uint8_t *data[SK_LANES];
    size_t chain[SK_LANES];      /* SIZE_MAX: idle */
    uint32_t left[SK_LANES];     /* blocks left in this stretch: first all blocks but the last, then the last */
    bool in_last[SK_LANES];
} sk_lanes;

#define SK_MIX(a, b, c, d, x, y)                                                     \
    do {                                                                             \
        a = SK_ADD(SK_ADD(a, x), b), d = SK_ROR16(SK_XOR(d, a));                     \
        c = SK_ADD(c, d), b = SK_ROR12(SK_XOR(b, c));                                \
        a = SK_ADD(SK_ADD(a, y), b), d = SK_ROR8(SK_XOR(d, a));                      \
        c = SK_ADD(c, d), b = SK_ROR7(SK_XOR(b, c));                                 \
    } while (0)

/* Compress `blocks` blocks of every lane: the first with the lane's own flags, the others with `flags`. */
SK_TARGET static void sk_lanes_compress(sk_lanes *lanes, uint32_t flags, uint32_t blocks) {
    SK_VECTOR *value = (SK_VECTOR *)lanes->value;
    SK_VECTOR now = *(SK_VECTOR *)lanes->flags;
    for (uint32_t block = 0; block < blocks; block++) {
        SK_VECTOR m[16], v[16];
        sk_load_block(lanes->data, 64 * (size_t)block, m);
        for (int i = 0; i < 8; i++) v[i] = value[i];
        for (int i = 0; i < 4; i++) v[8 + i] = SK_BROADCAST(SK_BLAKE3_INITIAL[i]);
        v[12] = *(SK_VECTOR *)lanes->counter_low, v[13] = *(SK_VECTOR *)lanes->counter_high;
        v[14] = *(SK_VECTOR *)lanes->size, v[15] = now;
        now = SK_BROADCAST(flags);
#define SK_BLAKE3_ROUND(A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P)              \
        SK_MIX(v[0], v[4], v[8], v[12], m[A], m[B]);                                 \
        SK_MIX(v[1], v[5], v[9], v[13], m[C], m[D]);                                 \
        SK_MIX(v[2], v[6], v[10], v[14], m[E], m[F]);                                \
        SK_MIX(v[3], v[7], v[11], v[15], m[G], m[H]);                                \
        SK_MIX(v[0], v[5], v[10], v[15], m[I], m[J]);                                \
        SK_MIX(v[1], v[6], v[11], v[12], m[K], m[L]);                                \
        SK_MIX(v[2], v[7], v[8], v[13], m[M], m[N]);                                 \
        SK_MIX(v[3], v[4], v[9], v[14], m[O], m[P])
        SK_BLAKE3_ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        SK_BLAKE3_ROUND(2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8);
        SK_BLAKE3_ROUND(3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1);
        SK_BLAKE3_ROUND(10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6);
        SK_BLAKE3_ROUND(12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4);
        SK_BLAKE3_ROUND(9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7);
        SK_BLAKE3_ROUND(11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13);
        for (int i = 0; i < 8; i++) value[i] = SK_XOR(v[i], v[8 + i]);
    }
}

static inline void sk_lane_enter_last(sk_lanes *lanes, int i, uint32_t flags, const sk_chain *chain) {
    lanes->data[i] = chain->last;
    lanes->size[i] = chain->last_size;
    lanes->flags[i] = flags | chain->last_flags | (chain->blocks == 1 ? chain->first_flags : 0);
    lanes->left[i] = 1;
    lanes->in_last[i] = true;
}

static inline void sk_lane_take(sk_lanes *lanes, int i, const uint32_t start[8], uint32_t flags, const sk_chain *chains, size_t index) {
    const sk_chain *chain = &chains[index];
    lanes->chain[i] = index;
    for (int k = 0; k < 8; k++) lanes->value[k][i] = start[k];
    lanes->counter_low[i] = (uint32_t)chain->counter;
    lanes->counter_high[i] = (uint32_t)(chain->counter >> 32);
    if (chain->blocks == 1) {
        sk_lane_enter_last(lanes, i, flags, chain);
        return;
    }
    lanes->data[i] = chain->data;
    lanes->size[i] = 64;
    lanes->flags[i] = flags | chain->first_flags;
    lanes->left[i] = chain->blocks - 1;
    lanes->in_last[i] = false;
}

/* Finish one lane's chain without vectors. */
static void sk_lane_finish_alone(sk_lanes *lanes, int i, uint32_t flags, const sk_chain *chain, uint32_t value[8]) {
    for (int k = 0; k < 8; k++) value[k] = lanes->value[k][i];
    while (!lanes->in_last[i]) {
        sk_blake3_compress(value, lanes->data[i], chain->counter, 64, lanes->flags[i]);
        lanes->data[i] += 64;
        lanes->flags[i] = flags;
        if (--lanes->left[i] == 0) sk_lane_enter_last(lanes, i, flags, chain);
    }
    sk_blake3_compress(value, lanes->data[i], chain->counter, lanes->size[i], lanes->flags[i]);
}

/* Whether the next SK_LANES chains have equally many blocks. */
static inline bool sk_are_uniform(const sk_chain *chains) {
    uint32_t different = 0;
    for (int i = 1; i < SK_LANES; i++) different |= chains[i].blocks ^ chains[0].blocks;
    return !different;
}

/* SK_LANES chains with equal numbers of blocks, the common case: all lanes are loaded and stored together. */
SK_TARGET static void sk_uniform(sk_lanes *lanes, const uint32_t start[8], uint32_t flags, const sk_chain *chains,
                                 uint32_t (*values)[8]) {
    const uint32_t blocks = chains[0].blocks;
    SK_VECTOR *value = (SK_VECTOR *)lanes->value;
    for (int k = 0; k < 8; k++) value[k] = SK_BROADCAST(start[k]);
    *(SK_VECTOR *)lanes->size = SK_BROADCAST(64);
    for (int i = 0; i < SK_LANES; i++) {
        lanes->counter_low[i] = (uint32_t)chains[i].counter;
        lanes->counter_high[i] = (uint32_t)(chains[i].counter >> 32);
        lanes->flags[i] = flags | chains[i].first_flags;
        lanes->data[i] = chains[i].data;
    }
    if (blocks > 1) {
        sk_lanes_compress(lanes, flags, blocks - 1);
        *(SK_VECTOR *)lanes->flags = SK_BROADCAST(flags);
    }
    for (int i = 0; i < SK_LANES; i++) {
        lanes->flags[i] |= chains[i].last_flags;
        lanes->size[i] = chains[i].last_size;
        lanes->data[i] = chains[i].last;
    }
    sk_lanes_compress(lanes, flags, 1);
    sk_store_values(value, (uint8_t *)values);
}

SK_TARGET static void sk_chains(const uint32_t start[8], uint32_t flags, const sk_chain *chains, size_t count,
                                uint32_t (*values)[8]) {
    sk_lanes lanes;
    size_t next = 0;
    int busy = 0;
    if (count < SK_WORTHWHILE) {
        sk_blake3_chains_scalar(start, flags, chains, count, values);
        return;
    }
    for (; count - next >= SK_LANES && sk_are_uniform(chains + next); next += SK_LANES)
        sk_uniform(&lanes, start, flags, chains + next, values + next);
    for (int i = 0; i < SK_LANES; i++) {
        lanes.chain[i] = SIZE_MAX;
        if (next < count) sk_lane_take(&lanes, i, start, flags, chains, next++), busy++;
    }
    while (busy >= SK_WORTHWHILE) {
        uint32_t stretch = UINT32_MAX;
        const uint8_t *some = NULL;
        for (int i = 0; i < SK_LANES; i++) {
            if (lanes.chain[i] == SIZE_MAX) continue;
            if (lanes.left[i] < stretch) stretch = lanes.left[i];
            some = lanes.data[i];
        }
        if (busy < SK_LANES)     /* idle lanes read the data of a busy one; their results are ignored */
            for (int i = 0; i < SK_LANES; i++)
                if (lanes.chain[i] == SIZE_MAX) lanes.data[i] = some;
        sk_lanes_compress(&lanes, flags, stretch);
        for (int i = 0; i < SK_LANES; i++) {
            const size_t index = lanes.chain[i];
            if (index == SIZE_MAX) continue;
            lanes.data[i] += 64 * (size_t)stretch;
            lanes.flags[i] = flags;
            if (lanes.left[i] -= stretch) continue;
            if (!lanes.in_last[i]) {
                sk_lane_enter_last(&lanes, i, flags, &chains[index]);
                continue;
            }
            for (int k = 0; k < 8; k++) values[index][k] = lanes.value[k][i];
            if (next < count) {
                sk_lane_take(&lanes, i, start, flags, chains, next++);
            } else {
                lanes.chain[i] = SIZE_MAX;
                busy--;
            }
        }
    }
    for (int i = 0; i < SK_LANES; i++)
        if (lanes.chain[i] != SIZE_MAX)
            sk_lane_finish_alone(&lanes, i, flags, &chains[lanes.chain[i]], values[lanes.chain[i]]);
}

/* Pieces of one length at a fixed distance, without an sk_chain for each. Idle lanes repeat the group's first piece. */
SK_TARGET static void sk_equal_pieces(const uint32_t start[8], uint32_t flags, const sk_pieces *pieces, size_t count,
                                      uint32_t (*values)[8]) {
    sk_lanes lanes;
    SK_VECTOR *value = (SK_VECTOR *)lanes.value;
    *(SK_VECTOR *)lanes.size = SK_BROADCAST(64);
    *(SK_VECTOR *)lanes.counter_low = SK_BROADCAST((uint32_t)pieces->counter);
    *(SK_VECTOR *)lanes.counter_high = SK_BROADCAST((uint32_t)(pieces->counter >> 32));
    for (size_t next = 0; next < count; next += SK_LANES) {
        const size_t busy = count - next < SK_LANES ? count - next : SK_LANES;
        if (busy < SK_WORTHWHILE) {
            sk_pieces rest = *pieces;
            rest.data += next * rest.stride, rest.counter += rest.counted ? next : 0;
            sk_blake3_pieces_scalar(start, flags, &rest, busy, values + next);
            return;
        }
        for (int k = 0; k < 8; k++) value[k] = SK_BROADCAST(start[k]);
        for (size_t i = 0; i < SK_LANES; i++) {
            const size_t piece = next + (i < busy ? i : 0);
            lanes.data[i] = pieces->data + piece * pieces->stride;
            if (!pieces->counted) continue;
            lanes.counter_low[i] = (uint32_t)(pieces->counter + piece);
            lanes.counter_high[i] = (uint32_t)((pieces->counter + piece) >> 32);
        }
        *(SK_VECTOR *)lanes.flags = SK_BROADCAST(flags | pieces->first_flags);
        if (pieces->blocks > 1) {
            sk_lanes_compress(&lanes, flags, pieces->blocks - 1);
            for (int i = 0; i < SK_LANES; i++) lanes.data[i] += 64 * (size_t)(pieces->blocks - 1);
        }
        *(SK_VECTOR *)lanes.flags = SK_BROADCAST(flags | pieces->last_flags | (pieces->blocks == 1 ? pieces->first_flags : 0));
        sk_lanes_compress(&lanes, flags, 1);
        if (busy == SK_LANES) {
            sk_store_values(value, (uint8_t *)(values + next));
        } else {
            uint32_t all[SK_LANES][8];
            sk_store_values(value, (uint8_t *)all);
            memcpy(values + next, all, 32 * busy);
        }
    }
}

/* SK_LANES whole messages of one chunk and equal numbers of blocks, without an sk_chain for each. */
SK_TARGET static void sk_uniform_messages(const uint32_t start[8], uint32_t flags, const sk_span *messages, uint32_t blocks,
                                          uint8_t *out) {
    _Alignas(64) uint8_t tails[SK_LANES][64];
    const size_t before = 64 * (size_t)(blocks - 1);
    sk_lanes lanes;
    SK_VECTOR *value = (SK_VECTOR *)lanes.value;
    for (int k = 0; k < 8; k++) value[k] = SK_BROADCAST(start[k]);
    *(SK_VECTOR *)lanes.counter_low = *(SK_VECTOR *)lanes.counter_high = SK_BROADCAST(0);
    if (blocks > 1) {
        *(SK_VECTOR *)lanes.size = SK_BROADCAST(64);
        *(SK_VECTOR *)lanes.flags = SK_BROADCAST(flags | SK_CHUNK_START);
        for (int i = 0; i < SK_LANES; i++) lanes.data[i] = messages[i].data;
        sk_lanes_compress(&lanes, flags, blocks - 1);
    }
    *(SK_VECTOR *)lanes.flags = SK_BROADCAST(flags | SK_CHUNK_END | SK_ROOT | (blocks == 1 ? SK_CHUNK_START : 0));
    for (int i = 0; i < SK_LANES; i++) {
        const size_t rest = messages[i].size - before;
        lanes.size[i] = (uint32_t)rest;
        lanes.data[i] = messages[i].data + before;
        if (rest == 64) continue;
        sk_tail(tails[i], lanes.data[i], rest);
        lanes.data[i] = tails[i];
    }
    sk_lanes_compress(&lanes, flags, 1);
    sk_store_values(value, out);
}
