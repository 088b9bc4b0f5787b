/* Cutting a batch into pieces of equally many messages; threads take them as they come free. */
#include "sk_parallel.h"

#include "sk_pool.h"

#define ENOUGH_MESSAGES 2048         /* for one more thread … */
#define ENOUGH_BYTES (256 * 1024)    /* … or this: less costs more to hand over than it saves */
#define PIECES_A_THREAD 8            /* so that threads with short messages can help out */
#define FEWEST 64                    /* messages of a piece: enough to fill lanes */

typedef struct batch {
    const sk_source *sources;
    size_t source_count, count, pieces;
    const sk_hash_algorithm *algorithm;
    const sk_hash_key *key;
    uint8_t *out;
} batch;

static void hash_range(const batch *b, size_t from, size_t to) {
    size_t first = 0;
    for (size_t i = 0; i < b->source_count && first < to; first += b->sources[i++].count) {
        const size_t count = b->sources[i].count, start = from > first ? from - first : 0;
        const size_t end = to - first < count ? to - first : count;
        if (start < end)
            sk_source_hash(&b->sources[i], b->algorithm, b->key, start, end - start,
                           b->out + (first + start) * b->algorithm->digest_size);
    }
}

static void hash_piece(void *context, size_t piece) {
    const batch *b = context;
    /* whole parts first, so that the product cannot overflow */
    const size_t part = b->count / b->pieces, rest = b->count % b->pieces;
    const size_t from = piece * part + (piece < rest ? piece : rest);
    hash_range(b, from, from + part + (piece < rest));
}

/* Few messages, some of them large: one after another, large ones cut inside if the algorithm has a tree. */
static void hash_few(const batch *b, size_t threads) {
    uint8_t *out = b->out;
    for (size_t i = 0; i < b->source_count; i++)
        for (size_t k = 0; k < b->sources[i].count; k++, out += b->algorithm->digest_size) {
            sk_span message = sk_source_item(&b->sources[i], k);
            b->algorithm->tree(b->algorithm, b->key, message, threads, out);
        }
}

void sk_parallel_hash(const sk_source *sources, size_t source_count, const sk_hash_algorithm *algorithm,
                      const sk_hash_key *key, size_t threads, uint8_t *out) {
    batch b = {sources, source_count, 0, 1, algorithm, key, out};
    for (size_t i = 0; i < source_count; i++) b.count += sources[i].count;
    if (threads > 1) {
        const size_t by_count = b.count / ENOUGH_MESSAGES;
        size_t bytes = 0;     /* not asked where the number is enough: a look at every span, with the others idle */
        for (size_t i = 0; i < source_count && by_count < threads; i++)
            bytes += sk_source_bytes(&sources[i], 0, sources[i].count);
        const size_t by_bytes = bytes / ENOUGH_BYTES;
        const size_t useful = by_count > by_bytes ? by_count : by_bytes;
        if (threads > useful) threads = useful ? useful : 1;
        if (threads > 1 && algorithm->tree && b.count < threads * PIECES_A_THREAD) {
            hash_few(&b, threads);
            return;
        }
        b.pieces = threads > 1 ? threads * PIECES_A_THREAD : 1;
        if (b.pieces > 1 && b.count / b.pieces < FEWEST) b.pieces = b.count / FEWEST > threads ? b.count / FEWEST : threads;
        if (b.pieces > b.count) b.pieces = b.count ? b.count : 1;
    }
    if (b.pieces == 1)
        hash_range(&b, 0, b.count);
    else
        sk_pool_run(threads, b.pieces, hash_piece, &b);
}
