/* BLAKE3 except the chains: batches of messages, the tree of a large message, streams. */
#include "sk_blake3.h"

#include <stdlib.h>

#include "sk_pool.h"

#define PIECE 256            /* chains collected at a time: 44 KiB with their tails and values */
#define SUBTREE 256           /* chunks of a large message compressed together: their parents fill lanes too */
#define SUBTREE_BYTES ((size_t)SUBTREE * SK_BLAKE3_CHUNK)

/* The chain of a message of at most one chunk. A short last block is copied to `tail` and filled with zeros. */
static sk_chain chunk_chain(const uint8_t *data, size_t size, uint64_t counter, uint32_t last_flags, uint8_t tail[64]) {
    sk_chain chain = {.data = data, .counter = counter, .first_flags = SK_CHUNK_START, .last_flags = last_flags};
    chain.blocks = size ? (uint32_t)((size + 63) / 64) : 1;
    const size_t before = 64 * (size_t)(chain.blocks - 1);
    chain.last_size = (uint32_t)(size - before);
    chain.last = data + before;
    if (chain.last_size < 64) {
        memset(tail, 0, 64);
        sk_copy_short(tail, data + before, chain.last_size);
        chain.last = tail;
    }
    return chain;
}

/* Change words to their little-endian bytes, in place. On little-endian machines nothing is to be done. */
static inline void in_byte_order(uint32_t *words, size_t count) {
    for (size_t i = 0; i < count; i++) words[i] = SK_FROM_LE32(words[i]);
}

static void put(const uint32_t value[8], uint8_t *out) {
    for (int i = 0; i < 8; i++) sk_store_le32(out + 4 * i, value[i]);
}

/* Reduce chaining values to the one of the whole tree, in values[0]. Pairing neighbours level by level, and moving an
 * odd one up, gives BLAKE3's tree, whose left subtrees are complete. Two neighbours in memory are the block of a
 * parent. */
static void reduce(const sk_hash_path *path, const sk_hash_key *key, uint32_t (*values)[8], size_t count, bool root) {
    uint32_t level[SUBTREE / 2][8], (*from)[8] = values, (*to)[8] = level;
    while (count > 1) {
        const size_t pairs = count / 2;
        const sk_pieces parents = {.data = (const uint8_t *)from, .stride = 64, .blocks = 1,
                                   .last_flags = SK_PARENT | (root && count == 2 ? SK_ROOT : 0)};
        in_byte_order(from[0], 16 * pairs);
        ((sk_blake3_pieces)path->pieces)(key->words, key->flags, &parents, pairs, to);
        if (count % 2) memcpy(to[pairs], from[count - 1], 32);
        count = pairs + count % 2;
        uint32_t (*free)[8] = from;
        from = to, to = free;
    }
    if (from != values) memcpy(values[0], from[0], 32);
}

/* Compute the chaining value of `chunks` whole chunks, 1 to SUBTREE, in values[0]. */
static void subtree(const sk_hash_path *path, const sk_hash_key *key, const uint8_t *data, size_t chunks, uint64_t counter,
                    uint32_t (*values)[8]) {
    const sk_pieces whole = {data, SK_BLAKE3_CHUNK, counter, true, SK_BLAKE3_CHUNK / 64, SK_CHUNK_START, SK_CHUNK_END};
    ((sk_blake3_pieces)path->pieces)(key->words, key->flags, &whole, chunks, values);
    reduce(path, key, values, chunks, false);
}

static void merge(const sk_hash_key *key, uint32_t left[8], const uint32_t right[8], uint32_t extra) {
    uint8_t children[64];
    put(left, children), put(right, children + 32);
    memcpy(left, key->words, 32);
    sk_blake3_compress(left, children, 0, 64, key->flags | SK_PARENT | extra);
}

void sk_blake3_start(sk_hash_stream *stream) {
    stream->state.blake3.depth = 0;
    stream->state.blake3.chunks = 0;
}

/* Adds the value of a subtree of `chunks` chunks. As with a carry, neighbours of equal size become a parent. */
static void push(sk_hash_stream *stream, const uint32_t value[8], size_t chunks) {
    uint32_t (*stack)[8] = stream->state.blake3.stack;
    memcpy(stack[stream->state.blake3.depth++], value, 32);
    stream->state.blake3.chunks += chunks;
    for (uint64_t total = stream->state.blake3.chunks / chunks; !(total & 1); total >>= 1) {
        unsigned depth = --stream->state.blake3.depth;
        merge(&stream->key, stack[depth - 1], stack[depth], 0);
    }
}

/* A chunk or subtree is compressed only when more data follows, because the last one is compressed differently. */
void sk_blake3_feed(sk_hash_stream *stream, const uint8_t *data, size_t size) {
    const sk_hash_path *path = sk_hash_active(stream->algorithm);
    uint32_t values[SUBTREE][8];
    if (stream->held && stream->held + size > SK_BLAKE3_CHUNK) {
        size_t take = SK_BLAKE3_CHUNK - stream->held;
        memcpy(stream->buffer + stream->held, data, take);
        data += take, size -= take;
        subtree(path, &stream->key, stream->buffer, 1, stream->state.blake3.chunks, values);
        push(stream, values[0], 1);
        stream->held = 0;
    }
    while (size > SK_BLAKE3_CHUNK) {
        size_t chunks = SUBTREE;
        while (chunks * SK_BLAKE3_CHUNK >= size || stream->state.blake3.chunks % chunks) chunks /= 2;
        subtree(path, &stream->key, data, chunks, stream->state.blake3.chunks, values);
        push(stream, values[0], chunks);
        data += chunks * SK_BLAKE3_CHUNK, size -= chunks * SK_BLAKE3_CHUNK;
    }
    if (size) memcpy(stream->buffer + stream->held, data, size);
    stream->held += size;
}

/* Merges the last value with all values on the stack; the last merge is the root. */
static void conclude(sk_hash_stream *stream, uint32_t last[8], uint8_t *digest) {
    unsigned depth = stream->state.blake3.depth;
    while (depth--) {
        uint32_t left[8];
        memcpy(left, stream->state.blake3.stack[depth], 32);
        merge(&stream->key, left, last, depth ? 0 : SK_ROOT);
        memcpy(last, left, 32);
    }
    put(last, digest);
}

void sk_blake3_finish(sk_hash_stream *stream, uint8_t *digest) {
    const uint32_t flags = SK_CHUNK_END | (stream->state.blake3.depth ? 0 : SK_ROOT);
    uint32_t value[8];
    uint8_t tail[64];
    sk_chain chain = chunk_chain(stream->buffer, stream->held, stream->state.blake3.chunks, flags, tail);
    sk_blake3_chains_scalar(stream->key.words, stream->key.flags, &chain, 1, &value);
    conclude(stream, value, digest);
}

/* Where the chunks of one message are among the chains of a piece. */
typedef struct message_chains {
    size_t message;
    uint32_t first, count;
} message_chains;

static uint32_t chunks_of(size_t size) {
    return size ? (uint32_t)((size + SK_BLAKE3_CHUNK - 1) / SK_BLAKE3_CHUNK) : 1;
}

/* Add the chains of all chunks of a message of at most SUBTREE chunks. `root`: it is the whole message. */
static uint32_t add_chunks(sk_chain *chains, sk_span message, uint64_t counter, bool root, uint8_t tail[64]) {
    const uint32_t count = chunks_of(message.size);
    for (uint32_t i = 0; i + 1 < count; i++)
        chains[i] = chunk_chain(message.data + (size_t)i * SK_BLAKE3_CHUNK, SK_BLAKE3_CHUNK, counter + i, SK_CHUNK_END, tail);
    const size_t before = (size_t)(count - 1) * SK_BLAKE3_CHUNK;
    chains[count - 1] = chunk_chain(message.data + before, message.size - before, counter + count - 1,
                                    SK_CHUNK_END | (root && count == 1 ? SK_ROOT : 0), tail);
    return count;
}

/* A message of more than SUBTREE chunks: the values of its whole subtrees, computed here or before, and then one more
 * for the rest. */
static void large(const sk_hash_algorithm *algorithm, const sk_hash_key *key, sk_span message,
                  uint32_t (*found)[8], uint8_t *out) {
    const sk_hash_path *path = sk_hash_active(algorithm);
    sk_hash_stream stream;
    sk_chain chains[SUBTREE];
    uint32_t values[SUBTREE][8];
    uint8_t tail[64];
    sk_hash_start(&stream, algorithm, key);
    for (size_t i = 0; message.size > SUBTREE_BYTES; message.data += SUBTREE_BYTES, message.size -= SUBTREE_BYTES) {
        if (found)
            memcpy(values[0], found[i++], 32);
        else
            subtree(path, key, message.data, SUBTREE, stream.state.blake3.chunks, values);
        push(&stream, values[0], SUBTREE);
    }
    if (message.size % SK_BLAKE3_CHUNK == 0) {
        subtree(path, key, message.data, message.size / SK_BLAKE3_CHUNK, stream.state.blake3.chunks, values);
    } else {
        size_t count = add_chunks(chains, message, stream.state.blake3.chunks, false, tail);
        ((sk_blake3_chains)path->blocks)(key->words, key->flags, chains, count, values);
        reduce(path, key, values, count, false);
    }
    conclude(&stream, values[0], out);
}

typedef struct forest {
    const sk_hash_path *path;
    const sk_hash_key *key;
    const uint8_t *data;
    uint32_t (*found)[8];
} forest;

static void grow_one(void *context, size_t i) {
    const forest *f = context;
    uint32_t values[SUBTREE][8];
    subtree(f->path, f->key, f->data + i * SUBTREE_BYTES, SUBTREE, (uint64_t)i * SUBTREE, values);
    memcpy(f->found[i], values[0], 32);
}

void sk_blake3_tree(const sk_hash_algorithm *algorithm, const sk_hash_key *key, sk_span message, size_t threads,
                    uint8_t *out) {
    const size_t whole = message.size ? (message.size - 1) / SUBTREE_BYTES : 0;
    forest f = {sk_hash_active(algorithm), key, message.data, NULL};
    if (threads > 1 && whole > 1) f.found = malloc(whole * sizeof *f.found);
    if (!f.found) {      /* too small for several threads, or no memory for it: one thread computes the same digest */
        sk_blake3_batch(algorithm, key, &message, 1, out);
        return;
    }
    sk_pool_run(threads, whole, grow_one, &f);
    large(algorithm, key, message, f.found, out);
    free(f.found);
}

static uint32_t blocks_of(size_t size) {
    return size ? (uint32_t)((size + 63) / 64) : 1;
}

/* Digests groups of messages from the beginning, as long as all messages of a group have equal numbers of blocks.
 * Returns the number of messages digested. */
static size_t uniform_groups(const sk_hash_path *path, const sk_hash_key *key, const sk_span *messages, size_t count,
                             uint8_t *out) {
    sk_blake3_uniform uniform = (sk_blake3_uniform)path->uniform;
    const size_t lanes = path->lanes;
    size_t done = 0;
    for (; uniform && count - done >= lanes; done += lanes) {
        const sk_span *group = messages + done;
        const uint32_t blocks = blocks_of(group[0].size);
        uint32_t different = group[0].size > SK_BLAKE3_CHUNK;
        for (size_t i = 0; i < lanes; i++) {
            different |= (blocks_of(group[i].size) ^ blocks) | (group[i].size > SK_BLAKE3_CHUNK);
            if (done + 2 * lanes <= count) __builtin_prefetch(group[lanes + i].data);
        }
        if (different) break;
        uniform(key->words, key->flags, group, blocks, out + 32 * done);
    }
    return done;
}

void sk_blake3_batch(const sk_hash_algorithm *algorithm, const sk_hash_key *key, const sk_span *messages, size_t count,
                     uint8_t *out) {
    const sk_hash_path *path = sk_hash_active(algorithm);
    sk_blake3_chains run = (sk_blake3_chains)path->blocks;
    sk_chain chains[PIECE];
    uint32_t values[PIECE][8];
    message_chains pieces[PIECE];
    uint8_t tails[PIECE][64];
    for (size_t next = 0; next < count;) {
        next += uniform_groups(path, key, messages + next, count - next, out + 32 * next);
        uint32_t used = 0, taken = 0;
        for (; next < count; next++) {
            const sk_span message = messages[next];
            if (next + 16 < count) __builtin_prefetch(messages[next + 16].data);
            if (message.size > SUBTREE_BYTES) {
                large(algorithm, key, message, NULL, out + 32 * next);
                continue;
            }
            if (used + chunks_of(message.size) > PIECE) break;
            uint32_t added = add_chunks(chains + used, message, 0, true, tails[taken]);
            pieces[taken++] = (message_chains){next, used, added};
            used += added;
        }
        run(key->words, key->flags, chains, used, values);
        for (uint32_t i = 0; i < taken; i++) {
            uint32_t (*own)[8] = values + pieces[i].first;
            if (pieces[i].count > 1) reduce(path, key, own, pieces[i].count, true);
            put(*own, out + 32 * pieces[i].message);
        }
    }
}
