/* A keyed hash of a dict's keys: an attacker that does not know the seed cannot choose keys that collide.
 *
 *   up to 64 bytes   NH of the words, then one product of its two halves
 *   longer           NH of each 64 bytes, then SipHash-1-3 over the results
 *
 * NH (J. Black, S. Halevi, H. Krawczyk, T. Krovetz, P. Rogaway, UMAC, CRYPTO 1999) is the sum of (a + k) * (b + k')
 * over pairs of words a and b, modulo 2^128; each word has its own secret, k or k'. Take any two messages and any
 * number that are chosen without knowledge of the secrets: the sums of the messages differ by exactly this number with
 * probability 2^-64 at most. The hash adds length and kind to the upper half, so that they are part of the difference.
 * Of two keys of different lengths the longer has products that the other lacks; the sum of these products is a given
 * number with probability 2^-63 at most.
 *
 * The last product mixes. Both of its factors are secret (each half of the sum is xored with a secret word of its own),
 * so an attacker cannot choose a key that makes one of them 0. An earlier version xored each block with a public
 * constant: a key that equalled the constant made the product 0 with every seed, and 8,000 such keys shared one bucket.
 *
 * SipHash (J.-P. Aumasson, D. J. Bernstein, INDOCRYPT 2012) alone was tried: it is a pseudo-random function, so it
 * needs no further reasoning; but SipHash-1-3 takes 1.5 to 1.9 times as long for 8 to 16 bytes. Here it derives the
 * secrets from the seed of 128 bits, and finishes long keys. */
#ifndef SK_KEY_HASH_H
#define SK_KEY_HASH_H

#include <stdint.h>
#include <string.h>

#define SK_HASH_CHUNK 64u

/* The secrets of one dict, in memory of the process; the header contains only the seed. */
typedef struct sk_hash_secrets {
    uint64_t words[SK_HASH_CHUNK / 8]; /* for NH, one for each word of the chunk */
    uint64_t halves[2];                /* for the last product */
    uint64_t sip[2];                   /* for long keys: the key of SipHash */
} sk_hash_secrets;

/* --- SipHash ------------------------------------------------------------------------------------------ */

typedef struct sk_sip {
    uint64_t v[4];
} sk_sip;

static inline uint64_t sk_rotate(uint64_t word, unsigned by) { return word << by | word >> (64 - by); }

static inline void sk_sip_rounds(sk_sip *s, unsigned rounds) {
    uint64_t *v = s->v;
    for (; rounds > 0; rounds--) {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = sk_rotate(v[1], 13) ^ v[0];
        v[3] = sk_rotate(v[3], 16) ^ v[2];
        v[0] = sk_rotate(v[0], 32);
        v[2] += v[1];
        v[0] += v[3];
        v[1] = sk_rotate(v[1], 17) ^ v[2];
        v[3] = sk_rotate(v[3], 21) ^ v[0];
        v[2] = sk_rotate(v[2], 32);
    }
}

static inline void sk_sip_begin(sk_sip *s, const uint64_t key[2]) {
    s->v[0] = key[0] ^ 0x736f6d6570736575u;
    s->v[1] = key[1] ^ 0x646f72616e646f6du;
    s->v[2] = key[0] ^ 0x6c7967656e657261u;
    s->v[3] = key[1] ^ 0x7465646279746573u;
}

static inline void sk_sip_take(sk_sip *s, uint64_t word, unsigned rounds) {
    s->v[3] ^= word;
    sk_sip_rounds(s, rounds);
    s->v[0] ^= word;
}

static inline uint64_t sk_sip_end(sk_sip *s, unsigned rounds) {
    s->v[2] ^= 0xff;
    sk_sip_rounds(s, rounds);
    return s->v[0] ^ s->v[1] ^ s->v[2] ^ s->v[3];
}

/* The secrets derived from a seed: SipHash-2-4 of 0, 1, 2, … */
static inline void sk_hash_secrets_of(sk_hash_secrets *to, const uint64_t seed[2]) {
    uint64_t *secret = (uint64_t *)(void *)to;
    for (uint64_t i = 0; i < sizeof *to / sizeof *secret; i++) {
        sk_sip s;
        sk_sip_begin(&s, seed);
        sk_sip_take(&s, i, 2);
        sk_sip_take(&s, (uint64_t)8 << 56, 2); /* the length, as SipHash has it */
        secret[i] = sk_sip_end(&s, 4);
    }
}

/* --- NH ------------------------------------------------------------------------------------------------ */

static inline uint64_t sk_word_at(const unsigned char *p) {
    uint64_t word;
    memcpy(&word, p, 8);
    return word;
}

static inline uint64_t sk_half_at(const unsigned char *p) {
    uint32_t half;
    memcpy(&half, p, 4);
    return half;
}

static inline __uint128_t sk_nh_pair(uint64_t a, uint64_t b, const uint64_t secrets[2]) {
    return (__uint128_t)(a + secrets[0]) * (b + secrets[1]);
}

/* NH of at most a chunk. Bytes at the end that do not fill a word or a pair are read in words that overlap others; for
 * one length, different bytes still make different words. */
static inline __uint128_t sk_nh(const unsigned char *p, uint64_t len, const uint64_t *secrets) {
    if (len > 16) {
        __uint128_t sum = 0;
        uint64_t at = 0;
        for (; at + 16 < len; at += 16, secrets += 2) sum += sk_nh_pair(sk_word_at(p + at), sk_word_at(p + at + 8), secrets);
        return sum + sk_nh_pair(sk_word_at(p + len - 16), sk_word_at(p + len - 8), secrets);
    }
    if (len >= 8) return sk_nh_pair(sk_word_at(p), sk_word_at(p + len - 8), secrets);
    if (len >= 4) return sk_nh_pair(sk_half_at(p), sk_half_at(p + len - 4), secrets);
    if (len > 0) return sk_nh_pair(p[0], (uint64_t)p[len / 2] << 8 | p[len - 1], secrets);
    return sk_nh_pair(0, 0, secrets);
}

static inline uint64_t sk_hash_long(const unsigned char *p, uint64_t len, uint64_t told, const sk_hash_secrets *secrets) {
    sk_sip s;
    sk_sip_begin(&s, secrets->sip);
    for (uint64_t part; len > 0; len -= part, p += part) {
        part = len < SK_HASH_CHUNK ? len : SK_HASH_CHUNK;
        __uint128_t sum = sk_nh(p, part, secrets->words);
        sk_sip_take(&s, (uint64_t)sum, 1);
        sk_sip_take(&s, (uint64_t)(sum >> 64), 1);
    }
    sk_sip_take(&s, told, 1);
    return sk_sip_end(&s, 3);
}

/* The hash of a key's bytes and kind (less than 256). */
static inline uint64_t sk_key_hash(const void *bytes, uint64_t len, uint32_t kind, const sk_hash_secrets *secrets) {
    uint64_t told = len | (uint64_t)kind << 56;
    if (__builtin_expect(len > SK_HASH_CHUNK, 0)) return sk_hash_long(bytes, len, told, secrets);
    __uint128_t sum = sk_nh(bytes, len, secrets->words);
    uint64_t low = (uint64_t)sum, high = (uint64_t)(sum >> 64) + told;
    __uint128_t product = (__uint128_t)(low ^ secrets->halves[0]) * (high ^ secrets->halves[1]);
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

#endif
