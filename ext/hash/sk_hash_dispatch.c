/* The one place that knows which machine this is: algorithms, their paths, and the choice among them. */
#include "sk_hash.h"
#include "sk_sha2.h"
#include "sk_xxh3.h"

#define SK_CPU_ANY 0u

static uint32_t cpu_features(void) {
    return SK_CPU_ANY;
}

#define BLOCKS(function) ((void (*)(void))(function))

static const sk_hash_path SHA256_SCALAR = {"scalar", SK_CPU_ANY, sk_sha256_one_by_one, BLOCKS(sk_sha256_blocks_scalar), NULL};
static const sk_hash_path SHA512_SCALAR = {"scalar", SK_CPU_ANY, sk_sha512_one_by_one, BLOCKS(sk_sha512_blocks_scalar), NULL};
static const sk_hash_path XXH3_64_SCALAR = {"scalar", SK_CPU_ANY, sk_xxh3_64_batch, BLOCKS(sk_xxh3_blocks_scalar), sk_xxh3_64_column};

static const sk_hash_path *const SHA256_PATHS[] = {&SHA256_SCALAR, NULL};
static const sk_hash_path *const SHA512_PATHS[] = {&SHA512_SCALAR, NULL};
static const sk_hash_path *const XXH3_64_PATHS[] = {&XXH3_64_SCALAR, NULL};

static const sk_hash_algorithm ALGORITHMS[] = {
    {"sha224", 28, 0, 0, 0, SK_SHA224_INITIAL, sk_sha256_start, sk_sha256_feed, sk_sha256_finish, SHA256_PATHS},
    {"sha256", 32, 0, 0, 0, SK_SHA256_INITIAL, sk_sha256_start, sk_sha256_feed, sk_sha256_finish, SHA256_PATHS},
    {"sha384", 48, 0, 0, 0, SK_SHA384_INITIAL, sk_sha512_start, sk_sha512_feed, sk_sha512_finish, SHA512_PATHS},
    {"sha512", 64, 0, 0, 0, SK_SHA512_INITIAL, sk_sha512_start, sk_sha512_feed, sk_sha512_finish, SHA512_PATHS},
    {"xxh3_64", 8, 8, 64, 0, NULL, sk_xxh3_start, sk_xxh3_feed, sk_xxh3_64_finish, XXH3_64_PATHS},
};
#define COUNT (sizeof ALGORITHMS / sizeof *ALGORITHMS)

/* The path in force of each algorithm; NULL until the first question. A race writes the same value twice, and
 * every path gives the same digests, so relaxed order is enough. */
static const sk_hash_path *active[COUNT];

const sk_hash_algorithm *sk_hash_at(size_t index) { return index < COUNT ? &ALGORITHMS[index] : NULL; }

const sk_hash_algorithm *sk_hash_find(const char *name) {
    for (size_t i = 0; i < COUNT; i++)
        if (strcmp(ALGORITHMS[i].name, name) == 0) return &ALGORITHMS[i];
    return NULL;
}

bool sk_hash_runs_here(const sk_hash_path *path) {
    return (path->needs & ~cpu_features()) == 0;
}

bool sk_hash_force(const sk_hash_algorithm *algorithm, const char *name) {
    for (const sk_hash_path *const *path = algorithm->paths; *path; path++) {
        if (!sk_hash_runs_here(*path)) continue;
        if (name && strcmp(name, (*path)->name) != 0) continue;
        __atomic_store_n(&active[algorithm - ALGORITHMS], *path, __ATOMIC_RELAXED);
        return true;
    }
    return false;
}

const sk_hash_path *sk_hash_active(const sk_hash_algorithm *algorithm) {
    const sk_hash_path **place = &active[algorithm - ALGORITHMS], *path = __atomic_load_n(place, __ATOMIC_RELAXED);
    if (__builtin_expect(path != NULL, 1)) return path;
    sk_hash_force(algorithm, NULL);
    return __atomic_load_n(place, __ATOMIC_RELAXED);
}

void sk_hash_prepare(sk_hash_key *key, const sk_hash_algorithm *algorithm, uint64_t seed, const uint8_t *secret) {
    (void)secret;
    memset(key, 0, sizeof *key);
    key->seed = seed;
    if (algorithm->seed_bits == 64) sk_xxh3_secret(key->secret, seed);
}

void sk_hash_batch(const sk_hash_algorithm *algorithm, const sk_hash_key *key,
                   const sk_span *messages, size_t count, uint8_t *out) {
    sk_hash_active(algorithm)->batch(algorithm, key, messages, count, out);
}

void sk_hash_start(sk_hash_stream *stream, const sk_hash_algorithm *algorithm, const sk_hash_key *key) {
    stream->algorithm = algorithm;
    stream->key = *key;
    stream->total = 0;
    stream->held = 0;
    algorithm->start(stream);
}

void sk_hash_feed(sk_hash_stream *stream, const uint8_t *data, size_t size) {
    if (!size) return;
    stream->algorithm->feed(stream, data, size);
    stream->total += size;
}

void sk_hash_finish(sk_hash_stream *stream, uint8_t *digest) { stream->algorithm->finish(stream, digest); }
