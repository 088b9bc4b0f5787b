/* The interface of the hashing code: algorithms, messages, batches, streams.
 *
 * It does not use Python. A caller looks an algorithm up by name, prepares a key once, and hashes
 * spans in batches; or it opens a stream and feeds it. Only sk_hash_dispatch.c chooses the instruction
 * set, once per process; a caller can force the choice.
 */
#ifndef SK_HASH_H
#define SK_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)
#define SK_HASH_X86 1
#else
#define SK_HASH_X86 0
#endif

#define SK_DIGEST_MAX 64   /* bytes of the longest digest */
#define SK_PATHS_MAX 8     /* instruction-set paths of one algorithm */

/* One message: `size` bytes at `data`; `data` may be anything when `size` is 0. */
typedef struct sk_span {
    const uint8_t *data;
    size_t size;
} sk_span;

/* The seed or key of an algorithm, prepared once for each batch by sk_hash_prepare. */
typedef struct sk_hash_key {
    uint64_t seed;
    uint8_t secret[192];     /* xxh3: the secret of this seed, for messages beyond 240 bytes */
    uint32_t words[8];       /* blake3: the key, or the standard initial value */
    uint32_t flags;          /* blake3: KEYED_HASH or 0 */
} sk_hash_key;

typedef struct sk_hash_algorithm sk_hash_algorithm;

/* A state that is fed piece by piece; each algorithm uses its own member of the union. */
typedef struct sk_hash_stream {
    const sk_hash_algorithm *algorithm;
    sk_hash_key key;
    uint64_t total;          /* bytes fed so far */
    size_t held;             /* bytes waiting in `buffer` */
    union {
        uint32_t sha256[8];
        uint64_t sha512[8];
        uint64_t xxh3[8];
        uint32_t crc;
        struct {
            uint32_t stack[64][8];
            unsigned depth;
            uint64_t chunks;
        } blake3;
    } state;
    _Alignas(64) uint8_t buffer[64 + 1024];
} sk_hash_stream;

/* One implementation of an algorithm for one instruction set: its name, the CPU features it needs, its functions. */
typedef struct sk_hash_path {
    const char *name;
    uint32_t needs;          /* SK_CPU_… bits, all of them */
    /* Digest messages[0 … count) into count rows of digest_size bytes. */
    void (*batch)(const sk_hash_algorithm *algorithm, const sk_hash_key *key,
                  const sk_span *messages, size_t count, uint8_t *out);
    /* The block function for one message; its real type is in the family's header (sk_sha2.h, sk_xxh3.h, …). */
    void (*blocks)(void);
    /* The same as `batch` for messages of one size at a fixed distance, or NULL. */
    void (*column)(const sk_hash_algorithm *algorithm, const sk_hash_key *key,
                   const uint8_t *first, ptrdiff_t stride, size_t size, size_t count, uint8_t *out);
    /* `lanes` messages with equal numbers of blocks at once, or NULL; its real type is in the family's header. */
    void (*uniform)(void);
    uint32_t lanes;
    /* Pieces of one message that have one length, or NULL; its real type is in the family's header. */
    void (*pieces)(void);
} sk_hash_path;

struct sk_hash_algorithm {
    const char *name;
    uint32_t digest_size;
    uint32_t word_size;      /* 8 or 4: the digest is also one native unsigned integer; 0: bytes only */
    uint32_t seed_bits;      /* 0: takes no seed */
    uint32_t key_size;       /* 0: takes no key */
    const void *initial;     /* SHA-2: the initial state */
    void (*start)(sk_hash_stream *stream);
    void (*feed)(sk_hash_stream *stream, const uint8_t *data, size_t size);
    void (*finish)(sk_hash_stream *stream, uint8_t *digest);
    /* Best path first; the last one runs everywhere. */
    const sk_hash_path *const *paths;
    /* Digests one message with several threads; NULL if the algorithm must work from the first byte to the last. */
    void (*tree)(const sk_hash_algorithm *algorithm, const sk_hash_key *key, sk_span message, size_t threads, uint8_t *out);
};

/* Lookup; NULL when there is no such algorithm or index. */
const sk_hash_algorithm *sk_hash_find(const char *name);
const sk_hash_algorithm *sk_hash_at(size_t index);

/* The active path, and a way to choose it: by name, or with NULL the best one. sk_hash_force returns false if there is
 * no path of that name, or if this CPU cannot run it. */
const sk_hash_path *sk_hash_active(const sk_hash_algorithm *algorithm);
bool sk_hash_force(const sk_hash_algorithm *algorithm, const char *path);
bool sk_hash_runs_here(const sk_hash_path *path);

void sk_hash_prepare(sk_hash_key *key, const sk_hash_algorithm *algorithm, uint64_t seed, const uint8_t *secret);

/* A row of a batch has digest_size bytes, or is one native word if word_size is not 0. */
void sk_hash_batch(const sk_hash_algorithm *algorithm, const sk_hash_key *key,
                   const sk_span *messages, size_t count, uint8_t *out);

void sk_hash_start(sk_hash_stream *stream, const sk_hash_algorithm *algorithm, const sk_hash_key *key);
void sk_hash_feed(sk_hash_stream *stream, const uint8_t *data, size_t size);
/* `digest` gets the canonical bytes, as `.digest()` of the reference packages returns them; words are big-endian. */
void sk_hash_finish(sk_hash_stream *stream, uint8_t *digest);

#endif
