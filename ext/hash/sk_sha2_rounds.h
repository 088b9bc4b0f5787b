/* The rounds of SHA-2 over vectors, one message in each lane: a template, included once for each instruction set.
 *
 * Including files define SK_TARGET, SK_LANES, SK_WORD, SK_BLOCK, SK_ROUNDS, the constants SK_K, the vector type SK_VECTOR
 * and its operations SK_ADD, SK_XOR3, SK_CHOOSE, SK_MAJORITY, SK_ROTATE(x, n), SK_SHIFT(x, n), SK_BROADCAST, and
 * sk_load_block(data, offset, w), which fills w[i] with word i of every lane. The template defines sk_rounds.
 *
 * The ceiling for SHA-512 with AVX-512 is 80 * 17 + 64 * 11 = 2,064 vector operations a block of 8 lanes.
 */
#define SK_ROUND(a, b, c, d, e, f, g, h, t)                                                          \
    do {                                                                                             \
        h = SK_ADD(h, SK_ADD(w[(t) & 15], SK_BROADCAST(SK_K[(t) + from])));                          \
        h = SK_ADD(h, SK_ADD(SK_SUM1(e), SK_CHOOSE(e, f, g)));                                       \
        d = SK_ADD(d, h);                                                                            \
        h = SK_ADD(h, SK_ADD(SK_SUM0(a), SK_MAJORITY(a, b, c)));                                     \
    } while (0)

#define SK_EXTEND(t)                                                                                 \
    w[(t) & 15] = SK_ADD(SK_ADD(w[(t) & 15], SK_MIX1(w[((t) + 14) & 15])),                           \
                         SK_ADD(w[((t) + 9) & 15], SK_MIX0(w[((t) + 1) & 15])))

#define SK_EIGHT(R, t)                                                                               \
    R(a, b, c, d, e, f, g, h, (t) + 0); R(h, a, b, c, d, e, f, g, (t) + 1);                          \
    R(g, h, a, b, c, d, e, f, (t) + 2); R(f, g, h, a, b, c, d, e, (t) + 3);                          \
    R(e, f, g, h, a, b, c, d, (t) + 4); R(d, e, f, g, h, a, b, c, (t) + 5);                          \
    R(c, d, e, f, g, h, a, b, (t) + 6); R(b, c, d, e, f, g, h, a, (t) + 7)

#define SK_LATER(a, b, c, d, e, f, g, h, t)                                                          \
    SK_EXTEND(t);                                                                                    \
    SK_ROUND(a, b, c, d, e, f, g, h, t)

SK_TARGET static void sk_rounds(SK_WORD *state, const uint8_t *const *data, size_t blocks) {
    SK_VECTOR *v = (SK_VECTOR *)state, w[16];
    for (size_t block = 0; block < blocks; block++) {
        SK_VECTOR a = v[0], b = v[1], c = v[2], d = v[3], e = v[4], f = v[5], g = v[6], h = v[7];
        int from = 0;
        sk_load_block(data, block * SK_BLOCK, w);
        SK_EIGHT(SK_ROUND, 0);
        SK_EIGHT(SK_ROUND, 8);
        for (from = 16; from < SK_ROUNDS; from += 16) {
            SK_EIGHT(SK_LATER, 0);
            SK_EIGHT(SK_LATER, 8);
        }
        v[0] = SK_ADD(v[0], a), v[1] = SK_ADD(v[1], b), v[2] = SK_ADD(v[2], c), v[3] = SK_ADD(v[3], d);
        v[4] = SK_ADD(v[4], e), v[5] = SK_ADD(v[5], f), v[6] = SK_ADD(v[6], g), v[7] = SK_ADD(v[7], h);
    }
}
