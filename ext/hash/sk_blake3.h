/* BLAKE3 (specification: "BLAKE3: one function, fast everywhere", O'Connor, Aumasson, Neves, Wilcox-O'Hearn).
 *
 * A message is cut into chunks of 1024 bytes. Each chunk is a chain of up to 16 block compressions, which ends in a
 * chaining value; pairs of chaining values are compressed into parents, up to one root. Chunks and messages are
 * independent. So the main function of a path compresses many chains at once, one in each vector lane.
 */
#ifndef SK_BLAKE3_H
#define SK_BLAKE3_H

#include "sk_bytes.h"
#include "sk_hash.h"

#define SK_BLAKE3_BLOCK 64
#define SK_BLAKE3_CHUNK 1024
#define SK_BLAKE3_LANES_MAX 16

enum {
    SK_CHUNK_START = 1 << 0,
    SK_CHUNK_END = 1 << 1,
    SK_PARENT = 1 << 2,
    SK_ROOT = 1 << 3,
    SK_KEYED_HASH = 1 << 4,
};

extern const uint32_t SK_BLAKE3_INITIAL[8];
extern const uint8_t SK_BLAKE3_ORDER[7][16];     /* for each round, the order of the message words */

/* One chain of block compressions. If the last block is short, `last` still has 64 bytes: zeros follow the message. */
typedef struct sk_chain {
    const uint8_t *data;     /* the blocks before the last */
    const uint8_t *last;
    uint64_t counter;        /* the chunk's number; 0 for parents */
    uint32_t blocks;         /* at least 1 */
    uint32_t last_size;      /* bytes of the message in the last block */
    uint32_t first_flags, last_flags;
} sk_chain;

/* Compresses each chain from `start`, with `flags` on every block, into a chaining value of 8 words. */
typedef void (*sk_blake3_chains)(const uint32_t start[8], uint32_t flags, const sk_chain *chains, size_t count,
                                 uint32_t (*values)[8]);

void sk_blake3_chains_scalar(const uint32_t start[8], uint32_t flags, const sk_chain *, size_t, uint32_t (*values)[8]);
void sk_blake3_chains_avx2(const uint32_t start[8], uint32_t flags, const sk_chain *, size_t, uint32_t (*values)[8]);
void sk_blake3_chains_avx512(const uint32_t start[8], uint32_t flags, const sk_chain *, size_t, uint32_t (*values)[8]);

/* Pieces with equal numbers of whole blocks, at a fixed distance: the chunks of a large message, or parents. */
typedef struct sk_pieces {
    const uint8_t *data;
    size_t stride;
    uint64_t counter;        /* of the first piece; if `counted`, each further piece has one more */
    bool counted;
    uint32_t blocks;
    uint32_t first_flags, last_flags;
} sk_pieces;

/* The chaining values of the first `count` pieces. */
typedef void (*sk_blake3_pieces)(const uint32_t start[8], uint32_t flags, const sk_pieces *pieces, size_t count,
                                 uint32_t (*values)[8]);

void sk_blake3_pieces_scalar(const uint32_t start[8], uint32_t flags, const sk_pieces *, size_t, uint32_t (*values)[8]);
void sk_blake3_pieces_avx2(const uint32_t start[8], uint32_t flags, const sk_pieces *, size_t, uint32_t (*values)[8]);
void sk_blake3_pieces_avx512(const uint32_t start[8], uint32_t flags, const sk_pieces *, size_t, uint32_t (*values)[8]);

/* Digests as many messages as the path has lanes, each of `blocks` blocks and at most one chunk, into 32-byte rows. */
typedef void (*sk_blake3_uniform)(const uint32_t start[8], uint32_t flags, const sk_span *messages, uint32_t blocks,
                                  uint8_t *out);

void sk_blake3_uniform_avx2(const uint32_t start[8], uint32_t flags, const sk_span *, uint32_t blocks, uint8_t *out);
void sk_blake3_uniform_avx512(const uint32_t start[8], uint32_t flags, const sk_span *, uint32_t blocks, uint8_t *out);

/* One block: value = compress(value, block). */
void sk_blake3_compress(uint32_t value[8], const uint8_t block[64], uint64_t counter, uint32_t size, uint32_t flags);

void sk_blake3_batch(const sk_hash_algorithm *, const sk_hash_key *, const sk_span *, size_t, uint8_t *);
void sk_blake3_tree(const sk_hash_algorithm *, const sk_hash_key *, sk_span, size_t threads, uint8_t *);
void sk_blake3_start(sk_hash_stream *);
void sk_blake3_feed(sk_hash_stream *, const uint8_t *, size_t);
void sk_blake3_finish(sk_hash_stream *, uint8_t *);

#endif
