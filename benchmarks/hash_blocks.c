/* Nanoseconds a block of every hashing path of this machine, beside what its execution units allow.
 *
 * The ceiling of a path is the number of operations that a block cannot do without, times the time of one such operation
 * when a loop does nothing else, measured here in the same minute; for a single stream of SHA-2, where each round waits
 * for the one before, the operations of the longest chain. Loads, padding, transposition of what is not counted, and
 * refilling of lanes lie between. Each figure is the best of many short trials, which a busy machine disturbs least.
 *
 * Built and run by hash_blocks.sh.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sk_hash.h"

#define TRIALS 60
#define MESSAGES 128
#define LARGE ((size_t)1 << 20)
#define REPEAT 2000

typedef enum unit { CYCLE, VECTOR_512, VECTOR_256, SHA_ROUNDS, CRC, UNITS } unit;

static const char *const UNIT_NAMES[UNITS] = {
    "cycles of a chain of additions", "512-bit additions", "256-bit additions",
    "sha256rnds2, independent", "crc32 instructions, independent",
};
static double unit_ns[UNITS];     /* 0: not on this machine */

/* What one block of one message needs at least: `one` for a message alone, `many` in a full batch. */
typedef struct need {
    double many, one;
    unit unit_many, unit_one;
} need;

typedef struct row {
    const char *algorithm, *path;
    size_t block;
    need needs;
} row;

/* SHA-2 with three-operand logic: 17 operations a round, 11 a word of the schedule; without it and without rotations 36
 * and 21. One stream: from one e to the next five
 * operations wait for each other; sha256rnds2 does two rounds in four cycles. BLAKE3: 56 mixings a block of
 * 14 operations (18 without rotations by 12 and 7), 8 to fold, and the transposition of 16 words (64 or 48). XXH3: six
 * operations a stripe of 64 bytes and register, and a sixteenth of the scramble. */
static const row ROWS[] = {
    {"sha512", "avx512", 128, {2064 / 8.0, 5 * 80, VECTOR_512, CYCLE}},
    {"sha512", "avx2", 128, {4224 / 4.0, 5 * 80, VECTOR_256, CYCLE}},
    {"sha512", "bmi2", 128, {5 * 80, 5 * 80, CYCLE, CYCLE}},
    {"sha512", "scalar", 128, {5 * 80, 5 * 80, CYCLE, CYCLE}},
    {"sha256", "avx512_sha_ni", 64, {1616 / 16.0, 4 * 32, VECTOR_512, CYCLE}},
    {"sha256", "sha_ni", 64, {32, 4 * 32, SHA_ROUNDS, CYCLE}},
    {"sha256", "avx512", 64, {1616 / 16.0, 5 * 64, VECTOR_512, CYCLE}},
    {"sha256", "avx2", 64, {3312 / 8.0, 5 * 64, VECTOR_256, CYCLE}},
    {"sha256", "bmi2", 64, {5 * 64, 5 * 64, CYCLE, CYCLE}},
    {"blake3", "avx512", 64, {(56 * 14 + 8 + 64) / 16.0, (56 * 14 + 8 + 64) / 16.0, VECTOR_512, VECTOR_512}},
    {"blake3", "avx2", 64, {(56 * 18 + 8 + 48) / 8.0, (56 * 18 + 8 + 48) / 8.0, VECTOR_256, VECTOR_256}},
    {"xxh3_64", "avx512", 64, {6.4, 6.4, VECTOR_512, VECTOR_512}},
    {"xxh3_64", "avx2", 64, {13, 13, VECTOR_256, VECTOR_256}},
    {"crc32c", "sse4.2", 64, {8, 8, CRC, CRC}},
};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

#define BEST_OF(trials, result, work)                  \
    do {                                               \
        result = 1e300;                                \
        for (int trial = 0; trial < (trials); trial++) { \
            double start = now();                      \
            work;                                      \
            double took = now() - start;               \
            if (took < result) result = took;          \
        }                                              \
    } while (0)

#if SK_HASH_X86
#define TWELVE(R) R(1) R(2) R(3) R(4) R(5) R(6) R(7) R(8) R(9) R(10) R(11) R(12)
#define WIDE(i) "vpaddq %%zmm0, %%zmm" #i ", %%zmm" #i "\n\t"
#define HALF(i) "vpaddq %%ymm0, %%ymm" #i ", %%ymm" #i "\n\t"
#define CLOBBERED "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12"

__attribute__((target("avx512f"))) static void wide(void) {
    for (int i = 0; i < REPEAT; i++) __asm__ volatile(TWELVE(WIDE) ::: CLOBBERED);
    __asm__ volatile("vzeroupper");
}

__attribute__((target("avx2"))) static void half(void) {
    for (int i = 0; i < REPEAT; i++) __asm__ volatile(TWELVE(HALF) ::: CLOBBERED);
    __asm__ volatile("vzeroupper");
}

static void sha_independent(void) {
    for (int i = 0; i < REPEAT; i++)
        __asm__ volatile("sha256rnds2 %%xmm1, %%xmm2\n\tsha256rnds2 %%xmm1, %%xmm3\n\tsha256rnds2 %%xmm1, %%xmm4\n\t"
                         "sha256rnds2 %%xmm1, %%xmm5\n\tsha256rnds2 %%xmm1, %%xmm6\n\tsha256rnds2 %%xmm1, %%xmm7" ::: CLOBBERED);
}

static void crc(void) {
    for (int i = 0; i < REPEAT; i++)
        __asm__ volatile("crc32q %%rax, %%r8\n\tcrc32q %%rax, %%r9\n\tcrc32q %%rax, %%r10\n\tcrc32q %%rax, %%r11" ::: "r8", "r9",
                         "r10", "r11");
}

static void chain(void) {
    for (int i = 0; i < REPEAT; i++)
        __asm__ volatile("addq %%r8, %%r8\n\taddq %%r8, %%r8\n\taddq %%r8, %%r8\n\taddq %%r8, %%r8\n\t"
                         "addq %%r8, %%r8\n\taddq %%r8, %%r8\n\taddq %%r8, %%r8\n\taddq %%r8, %%r8" ::: "r8");
}

static bool has(const char *algorithm, const char *path) {
    bool forced = sk_hash_force(sk_hash_find(algorithm), path);
    sk_hash_force(sk_hash_find(algorithm), NULL);
    return forced;
}

static void measure_unit(unit u, void (*work)(void), double operations) {
    double best;
    work();     /* the clock of wide instructions settles */
    BEST_OF(10 * TRIALS, best, work());
    unit_ns[u] = best / REPEAT / operations;
}

static void measure_units(void) {
    measure_unit(CYCLE, chain, 8);
    if (has("blake3", "avx512")) measure_unit(VECTOR_512, wide, 12);
    if (has("blake3", "avx2")) measure_unit(VECTOR_256, half, 12);
    if (has("sha256", "sha_ni")) measure_unit(SHA_ROUNDS, sha_independent, 6);
    if (has("crc32c", "sse4.2")) measure_unit(CRC, crc, 4);
}
#else
static void measure_units(void) {}
#endif

static void show(const row *r, const sk_span *many, size_t blocks, const sk_span *one, uint8_t *out) {
    const sk_hash_algorithm *algorithm = sk_hash_find(r->algorithm);
    sk_hash_key key;
    double batch, large;
    if (!sk_hash_force(algorithm, r->path)) {
        printf("%-8s %-14s does not run on this machine\n", r->algorithm, r->path);
        return;
    }
    sk_hash_prepare(&key, algorithm, 0, NULL);
    BEST_OF(TRIALS, batch, sk_hash_batch(algorithm, &key, many, MESSAGES, out));
    BEST_OF(TRIALS, large, sk_hash_batch(algorithm, &key, one, 1, out));
    batch /= (double)(MESSAGES * blocks);
    large /= (double)(LARGE / r->block);
    const double ceiling = r->needs.many * unit_ns[r->needs.unit_many], alone = r->needs.one * unit_ns[r->needs.unit_one];
    printf("%-8s %-14s %9.2f %9.2f %7.0f %% %9.2f %9.2f %7.0f %% %8.2f\n", r->algorithm, r->path, batch, ceiling,
           100 * ceiling / batch, large, alone, 100 * alone / large, (double)r->block / large);
    sk_hash_force(algorithm, NULL);
}

int main(void) {
    uint8_t *data = aligned_alloc(64, LARGE), *out = malloc(MESSAGES * SK_DIGEST_MAX);
    if (!data || !out) return 2;
    for (size_t i = 0; i < LARGE; i++) data[i] = (uint8_t)(i * 31 + i / 251);
    measure_units();
    for (unit u = 0; u < UNITS; u++)
        if (unit_ns[u] > 0) printf("%.3f ns an operation: %s\n", unit_ns[u], UNIT_NAMES[u]);
    printf("\nns a block            of %d messages              of one message of 1 MiB\n", MESSAGES);
    printf("%-8s %-14s %9s %9s %9s %9s %9s %9s %8s\n", "", "path", "measured", "ceiling", "share", "measured", "ceiling", "share",
           "GB/s");
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        sk_span many[MESSAGES], one = {data, LARGE};
        /* SHA-2's padding fills the last of 16 blocks; BLAKE3's chunk is 16 blocks; XXH3 and CRC-32C get the same bytes */
        const bool padded = strncmp(ROWS[i].algorithm, "sha", 3) == 0;
        const size_t size = 16 * ROWS[i].block - (padded ? 32 : 0);
        for (size_t k = 0; k < MESSAGES; k++) many[k] = (sk_span){data + k * 16 * ROWS[i].block, size};
        show(&ROWS[i], many, 16, &one, out);
    }
    return 0;
}
