/* Divides a batch into pieces with equal numbers of messages; each thread takes the next piece when it is free. */
#include "sk_parallel.h"

#include "sk_pool.h"

#define ENOUGH_MESSAGES 2048         /* one more thread for this many messages … */
#define ENOUGH_BYTES (256 * 1024)    /* … or bytes: for less, the handover costs more than it saves */
#define PIECES_A_THREAD 8            /* so that threads with short messages can take over pieces of others */
#define FEWEST 64                    /* least messages of a piece: enough to fill lanes */

typedef struct batch {
    const sk_source *sources;
    size_t source_count, count, pieces;
    const sk_hash_algorithm *algorithm;
    const sk_hash_key *key;
    uint8_t *out;
    size_t wrong;        /* atomic: whether a thread has found a wrong item; the first such one describes it in *bad */
    sk_bad *bad;
} batch;

static void report(batch *b, const sk_bad *bad, size_t first) {
    if (__atomic_exchange_n(&b->wrong, 1, __ATOMIC_RELAXED)) return;
    *b->bad = *bad;
    b->bad->index += first;
}

static void hash_range(batch *b, size_t from, size_t to) {
    size_t first = 0;
    sk_bad bad;
    for (size_t i = 0; i < b->source_count && first < to; first += b->sources[i++].count) {
        const size_t count = b->sources[i].count, start = from > first ? from - first : 0;
        const size_t end = to - first < count ? to - first : count;
        if (start < end && !sk_source_hash(&b->sources[i], b->algorithm, b->key, start, end - start,
                                           b->out + (first + start) * b->algorithm->digest_size, &bad)) {
            report(b, &bad, first);
            return;
        }
    }
}

static void hash_piece(void *context, size_t piece) {
    batch *b = context;
    if (__atomic_load_n(&b->wrong, __ATOMIC_RELAXED)) return;
    /* quotient and rest apart, so that no product can overflow */
    const size_t part = b->count / b->pieces, rest = b->count % b->pieces;
    const size_t from = piece * part + (piece < rest ? piece : rest);
    hash_range(b, from, from + part + (piece < rest));
}

/* Few messages, some of them large: digest one after another, and each large one with all threads. */
static void hash_few(batch *b, size_t threads) {
    uint8_t *out = b->out;
    size_t first = 0;
    for (size_t i = 0; i < b->source_count; first += b->sources[i++].count)
        for (size_t k = 0; k < b->sources[i].count; k++, out += b->algorithm->digest_size) {
            sk_span message;
            sk_bad bad;
            if (sk_source_read(&b->sources[i], k, 1, &message, &bad) == 0) {
                report(b, &bad, first);
                return;
            }
            b->algorithm->tree(b->algorithm, b->key, message, threads, out);
        }
}

static bool has_codes(const batch *b) {
    for (size_t i = 0; i < b->source_count; i++)
        if (b->sources[i].kind == SK_CODES) return true;
    return false;
}

bool sk_parallel_hash(const sk_source *sources, size_t source_count, const sk_hash_algorithm *algorithm,
                      const sk_hash_key *key, size_t threads, uint8_t *out, sk_bad *bad) {
    batch b = {sources, source_count, 0, 1, algorithm, key, out, 0, bad};
    for (size_t i = 0; i < source_count; i++) b.count += sources[i].count;
    if (threads > 1) {
        const size_t by_count = b.count / ENOUGH_MESSAGES;
        size_t bytes = 0;     /* not computed if by_count is enough: it reads every span, while other threads idle */
        for (size_t i = 0; i < source_count && by_count < threads; i++)
            bytes += sk_source_bytes(&sources[i], 0, sources[i].count);
        const size_t by_bytes = bytes / ENOUGH_BYTES;
        const size_t useful = by_count > by_bytes ? by_count : by_bytes;
        if (threads > useful) threads = useful ? useful : 1;
        if (threads > 1 && algorithm->tree && b.count < threads * PIECES_A_THREAD && !has_codes(&b)) {
            hash_few(&b, threads);
            return !b.wrong;
        }
        b.pieces = threads > 1 ? threads * PIECES_A_THREAD : 1;
        if (b.pieces > 1 && b.count / b.pieces < FEWEST) b.pieces = b.count / FEWEST > threads ? b.count / FEWEST : threads;
        if (b.pieces > b.count) b.pieces = b.count ? b.count : 1;
    }
    if (b.pieces == 1)
        hash_range(&b, 0, b.count);
    else
        sk_pool_run(threads, b.pieces, hash_piece, &b);
    return !b.wrong;
}
