/* The only file that examines the CPU: algorithms, their paths, and the choice among them. */
#include "sk_hash.h"
#include "sk_blake3.h"
#include "sk_crc32c.h"
#include "sk_sha2.h"
#include "sk_sha2_paths.h"
#include "sk_xxh3.h"

/* The CPU features that paths need. */
enum {
    SK_CPU_ANY = 0,
    SK_CPU_BMI2 = 1 << 0,
    SK_CPU_AVX2 = 1 << 1,
    SK_CPU_AVX512 = 1 << 2,      /* F, BW, VL and DQ */
    SK_CPU_SHA = 1 << 3,
    SK_CPU_SSE42 = 1 << 4,       /* and carry-less multiplication */
};

#if SK_HASH_X86
#include <cpuid.h>

#define SK_X86_PATH(path) &path,

static uint32_t cpu_features(void) {
    static uint32_t known;      /* the high bit: already examined; threads that race find the same */
    uint32_t found = __atomic_load_n(&known, __ATOMIC_RELAXED), a, b, c, d;
    if (found) return found;
    found = 1u << 31;
    __builtin_cpu_init();       /* also asks whether the system saves the wide registers */
    if (__builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2")) found |= SK_CPU_BMI2;
    if (__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul")) found |= SK_CPU_SSE42;
    if (__builtin_cpu_supports("avx2")) found |= SK_CPU_AVX2;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq"))
        found |= SK_CPU_AVX512;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & 1u << 29)) found |= SK_CPU_SHA;
    __atomic_store_n(&known, found, __ATOMIC_RELAXED);
    return found;
}
#else
#define SK_X86_PATH(path)

static uint32_t cpu_features(void) { return SK_CPU_ANY; }
#endif

#define BLOCKS(function) ((void (*)(void))(function))
#define PATH(path_name, features, batches, one, columns) \
    {.name = path_name, .needs = features, .batch = batches, .blocks = one, .column = columns}

static const sk_hash_path SHA256_SCALAR = PATH("scalar", SK_CPU_ANY, sk_sha256_one_by_one, BLOCKS(sk_sha256_blocks_scalar), NULL);
static const sk_hash_path SHA512_SCALAR = PATH("scalar", SK_CPU_ANY, sk_sha512_one_by_one, BLOCKS(sk_sha512_blocks_scalar), NULL);
static const sk_hash_path BLAKE3_SCALAR = {.name = "scalar", .needs = SK_CPU_ANY, .batch = sk_blake3_batch,
    .blocks = BLOCKS(sk_blake3_chains_scalar), .pieces = BLOCKS(sk_blake3_pieces_scalar)};
static const sk_hash_path CRC32C_SCALAR = PATH("scalar", SK_CPU_ANY, sk_crc32c_batch, BLOCKS(sk_crc32c_scalar), NULL);
static const sk_hash_path XXH3_128_SCALAR = PATH("scalar", SK_CPU_ANY, sk_xxh3_128_batch, BLOCKS(sk_xxh3_blocks_scalar), NULL);
static const sk_hash_path XXH3_64_SCALAR = PATH("scalar", SK_CPU_ANY, sk_xxh3_64_batch, BLOCKS(sk_xxh3_blocks_scalar), sk_xxh3_64_column);
#if SK_HASH_X86
static const sk_hash_path
    SHA256_AVX512_NI = PATH("avx512_sha_ni", SK_CPU_AVX512 | SK_CPU_BMI2 | SK_CPU_SHA, sk_sha256_batch_avx512_ni,
                        BLOCKS(sk_sha256_blocks_ni), NULL),
    SHA256_NI = PATH("sha_ni", SK_CPU_SHA, sk_sha256_batch_ni, BLOCKS(sk_sha256_blocks_ni), NULL),
    SHA256_AVX512 = PATH("avx512", SK_CPU_AVX512 | SK_CPU_BMI2, sk_sha256_batch_avx512, BLOCKS(sk_sha256_blocks_bmi2), NULL),
    SHA256_AVX2 = PATH("avx2", SK_CPU_AVX2 | SK_CPU_BMI2, sk_sha256_batch_avx2, BLOCKS(sk_sha256_blocks_bmi2), NULL),
    SHA256_BMI2 = PATH("bmi2", SK_CPU_BMI2, sk_sha256_one_by_one, BLOCKS(sk_sha256_blocks_bmi2), NULL),
    SHA512_AVX512 = PATH("avx512", SK_CPU_AVX512 | SK_CPU_BMI2, sk_sha512_batch_avx512, BLOCKS(sk_sha512_blocks_avx512), NULL),
    SHA512_AVX2 = PATH("avx2", SK_CPU_AVX2 | SK_CPU_BMI2, sk_sha512_batch_avx2, BLOCKS(sk_sha512_blocks_avx2), NULL),
    BLAKE3_AVX512 = {.name = "avx512", .needs = SK_CPU_AVX512, .batch = sk_blake3_batch, .blocks = BLOCKS(sk_blake3_chains_avx512),
                     .uniform = BLOCKS(sk_blake3_uniform_avx512), .lanes = 16, .pieces = BLOCKS(sk_blake3_pieces_avx512)},
    BLAKE3_AVX2 = {.name = "avx2", .needs = SK_CPU_AVX2, .batch = sk_blake3_batch, .blocks = BLOCKS(sk_blake3_chains_avx2),
                     .uniform = BLOCKS(sk_blake3_uniform_avx2), .lanes = 8, .pieces = BLOCKS(sk_blake3_pieces_avx2)},
    XXH3_64_AVX512 = PATH("avx512", SK_CPU_AVX512, sk_xxh3_64_batch, BLOCKS(sk_xxh3_blocks_avx512), sk_xxh3_64_column_avx512),
    XXH3_64_AVX2 = PATH("avx2", SK_CPU_AVX2, sk_xxh3_64_batch, BLOCKS(sk_xxh3_blocks_avx2), sk_xxh3_64_column),
    XXH3_128_AVX512 = PATH("avx512", SK_CPU_AVX512, sk_xxh3_128_batch, BLOCKS(sk_xxh3_blocks_avx512), NULL),
    XXH3_128_AVX2 = PATH("avx2", SK_CPU_AVX2, sk_xxh3_128_batch, BLOCKS(sk_xxh3_blocks_avx2), NULL),
    CRC32C_SSE42 = PATH("sse4.2", SK_CPU_SSE42, sk_crc32c_batch, BLOCKS(sk_crc32c_sse42), NULL),
    SHA512_BMI2 = PATH("bmi2", SK_CPU_BMI2, sk_sha512_one_by_one, BLOCKS(sk_sha512_blocks_bmi2), NULL);
#endif

static const sk_hash_path *const SHA256_PATHS[] = {
    SK_X86_PATH(SHA256_AVX512_NI) SK_X86_PATH(SHA256_NI) SK_X86_PATH(SHA256_AVX512) SK_X86_PATH(SHA256_AVX2)
    SK_X86_PATH(SHA256_BMI2) &SHA256_SCALAR, NULL};
static const sk_hash_path *const SHA512_PATHS[] = {
    SK_X86_PATH(SHA512_AVX512) SK_X86_PATH(SHA512_AVX2) SK_X86_PATH(SHA512_BMI2) &SHA512_SCALAR, NULL};
static const sk_hash_path *const BLAKE3_PATHS[] = {SK_X86_PATH(BLAKE3_AVX512) SK_X86_PATH(BLAKE3_AVX2) &BLAKE3_SCALAR, NULL};
static const sk_hash_path *const CRC32C_PATHS[] = {SK_X86_PATH(CRC32C_SSE42) &CRC32C_SCALAR, NULL};
static const sk_hash_path *const XXH3_128_PATHS[] = {
    SK_X86_PATH(XXH3_128_AVX512) SK_X86_PATH(XXH3_128_AVX2) &XXH3_128_SCALAR, NULL};
static const sk_hash_path *const XXH3_64_PATHS[] = {
    SK_X86_PATH(XXH3_64_AVX512) SK_X86_PATH(XXH3_64_AVX2) &XXH3_64_SCALAR, NULL};

static const sk_hash_algorithm ALGORITHMS[] = {
    {"sha224", 28, 0, 0, 0, SK_SHA224_INITIAL, sk_sha256_start, sk_sha256_feed, sk_sha256_finish, SHA256_PATHS, NULL},
    {"sha256", 32, 0, 0, 0, SK_SHA256_INITIAL, sk_sha256_start, sk_sha256_feed, sk_sha256_finish, SHA256_PATHS, NULL},
    {"sha384", 48, 0, 0, 0, SK_SHA384_INITIAL, sk_sha512_start, sk_sha512_feed, sk_sha512_finish, SHA512_PATHS, NULL},
    {"sha512", 64, 0, 0, 0, SK_SHA512_INITIAL, sk_sha512_start, sk_sha512_feed, sk_sha512_finish, SHA512_PATHS, NULL},
    {"blake3", 32, 0, 0, 32, NULL, sk_blake3_start, sk_blake3_feed, sk_blake3_finish, BLAKE3_PATHS, sk_blake3_tree},
    {"xxh3_64", 8, 8, 64, 0, NULL, sk_xxh3_start, sk_xxh3_feed, sk_xxh3_64_finish, XXH3_64_PATHS, NULL},
    {"xxh3_128", 16, 0, 64, 0, NULL, sk_xxh3_start, sk_xxh3_feed, sk_xxh3_128_finish, XXH3_128_PATHS, NULL},
    {"crc32c", 4, 4, 32, 0, NULL, sk_crc32c_start, sk_crc32c_feed, sk_crc32c_finish, CRC32C_PATHS, NULL},
};
#define COUNT (sizeof ALGORITHMS / sizeof *ALGORITHMS)

/* The active path of each algorithm; NULL until it is first needed. Threads that race store the same value, and
 * all paths give the same digests, so relaxed order is enough. */
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
    memset(key, 0, sizeof *key);
    key->seed = seed;
    for (int i = 0; i < 8; i++) key->words[i] = secret ? sk_load_le32(secret + 4 * i) : SK_BLAKE3_INITIAL[i];
    if (secret) key->flags = SK_KEYED_HASH;
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
