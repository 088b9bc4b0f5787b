/* Messages that end at an unmapped page: a read of one byte too far ends this program.
 *
 * It tries every algorithm, every path that runs on this machine, every length up to 300, and lengths around the ends
 * of blocks, chunks and subtrees. Each message ends right before a page without access; batches fill the lanes
 * unevenly. Every path must give the digests of the last one (plain C). Streams and columns are tested in the same way.
 * Built with AddressSanitizer and UBSan by hash_guard.sh.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sk_parallel.h"

#define LANES 19         /* more than the lanes of any path, and no multiple of them */
#define ROOM (160 * 1024)

static uint8_t *room[LANES];     /* each ends at a page without access */

static void fail(const char *algorithm, const char *path, const char *what, size_t size) {
    fprintf(stderr, "%s, path %s: %s differs at %zu bytes\n", algorithm, path, what, size);
    exit(1);
}

static void make_rooms(void) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (int i = 0; i < LANES; i++) {
        uint8_t *base = mmap(NULL, ROOM + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (base == MAP_FAILED || mprotect(base + ROOM, page, PROT_NONE) != 0) {
            perror("mmap");
            exit(2);
        }
        for (size_t k = 0; k < ROOM; k++) base[k] = (uint8_t)(k * 31 + k / 251 + (size_t)i * 7);
        room[i] = base + ROOM;
    }
}

static void hash(const sk_source *source, const sk_hash_algorithm *algorithm, const sk_hash_key *key, uint8_t *out) {
    sk_bad bad;
    if (!sk_parallel_hash(source, 1, algorithm, key, 1, out, &bad)) {
        fprintf(stderr, "a sound source was refused\n");
        exit(1);
    }
}

/* Batches in which message i has size + i * step bytes; all messages end at the end of their page. */
static void batch(const sk_hash_algorithm *algorithm, const sk_hash_key *key, size_t size, size_t step, uint8_t *out) {
    sk_span spans[LANES];
    for (size_t i = 0; i < LANES; i++) spans[i] = (sk_span){room[i] - (size + i * step), size + i * step};
    sk_source source = {.kind = SK_SPANS, .count = LANES, .spans = spans};
    hash(&source, algorithm, key, out);
}

static void column(const sk_hash_algorithm *algorithm, const sk_hash_key *key, size_t size, uint8_t *out) {
    sk_source source = {.kind = SK_STRIDED, .count = LANES, .size = size, .stride = (ptrdiff_t)size};
    source.data = room[0] - size * LANES;
    hash(&source, algorithm, key, out);
}

static void stream(const sk_hash_algorithm *algorithm, const sk_hash_key *key, size_t size, uint8_t *digest) {
    sk_hash_stream *s = aligned_alloc(64, (sizeof *s + 63) / 64 * 64);
    sk_hash_start(s, algorithm, key);
    sk_hash_feed(s, room[0] - size, size / 3);
    sk_hash_feed(s, room[0] - size + size / 3, size - size / 3);
    sk_hash_finish(s, digest);
    free(s);
}

static void check(const sk_hash_algorithm *algorithm, const char *path, const sk_hash_key *key, size_t size, size_t step) {
    uint8_t *got = malloc(LANES * SK_DIGEST_MAX), *want = malloc(LANES * SK_DIGEST_MAX);
    const size_t bytes = LANES * algorithm->digest_size;
    sk_hash_force(algorithm, path);
    batch(algorithm, key, size, step, got);
    sk_hash_force(algorithm, "scalar");
    batch(algorithm, key, size, step, want);
    if (memcmp(got, want, bytes) != 0) fail(algorithm->name, path, "a batch", size);
    if (size * LANES <= ROOM) {
        sk_hash_force(algorithm, path);
        column(algorithm, key, size, got);
        sk_hash_force(algorithm, "scalar");
        column(algorithm, key, size, want);
        if (memcmp(got, want, bytes) != 0) fail(algorithm->name, path, "a column", size);
    }
    sk_hash_force(algorithm, path);
    stream(algorithm, key, size, got);
    sk_hash_force(algorithm, "scalar");
    stream(algorithm, key, size, want);
    if (memcmp(got, want, algorithm->digest_size) != 0) fail(algorithm->name, path, "a stream", size);
    free(got), free(want);
}

int main(void) {
    static const size_t edges[] = {512, 1023, 1024, 1025, 1088, 2048, 2049, 3072, 4096, 8192, 65535, 65536, 65537, 131073};
    size_t checked = 0;
    make_rooms();
    for (size_t a = 0; sk_hash_at(a); a++) {
        const sk_hash_algorithm *algorithm = sk_hash_at(a);
        sk_hash_key key;
        sk_hash_prepare(&key, algorithm, algorithm->seed_bits ? 12345 : 0, NULL);
        for (const sk_hash_path *const *path = algorithm->paths; *path; path++) {
            if (!sk_hash_runs_here(*path)) {
                printf("%s: path %s does not run on this machine\n", algorithm->name, (*path)->name);
                continue;
            }
            for (size_t size = 0; size <= 300; size++)
                for (size_t step = 0; step < 3; step++, checked++) check(algorithm, (*path)->name, &key, size, step * 37);
            for (size_t i = 0; i < sizeof edges / sizeof *edges; i++, checked++)
                check(algorithm, (*path)->name, &key, edges[i], 1);
        }
    }
    printf("%zu batches right at the edge of their pages\n", checked);
    return 0;
}
