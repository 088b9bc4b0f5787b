/* SHA-2 except the block functions: one message, batches without lanes, streams. */
#include "sk_sha2.h"

static void put256(const uint32_t state[8], const sk_hash_algorithm *algorithm, uint8_t *out) {
    for (uint32_t i = 0; i < algorithm->digest_size / 4; i++) sk_store_be32(out + 4 * i, state[i]);
}

static void put512(const uint64_t state[8], const sk_hash_algorithm *algorithm, uint8_t *out) {
    for (uint32_t i = 0; i < algorithm->digest_size / 8; i++) sk_store_be64(out + 8 * i, state[i]);
}

void sk_sha256_message(sk_sha256_blocks blocks, const sk_hash_algorithm *algorithm, sk_span message, uint8_t *out) {
    uint32_t state[8];
    uint8_t tail[128];
    size_t whole = message.size / 64;
    memcpy(state, algorithm->initial, sizeof state);
    if (whole) blocks(state, message.data, whole);
    size_t last = sk_sha256_pad(tail, message.data + 64 * whole, message.size % 64, message.size);
    blocks(state, tail, last);
    put256(state, algorithm, out);
}

void sk_sha512_message(sk_sha512_blocks blocks, const sk_hash_algorithm *algorithm, sk_span message, uint8_t *out) {
    uint64_t state[8];
    uint8_t tail[256];
    size_t whole = message.size / 128;
    memcpy(state, algorithm->initial, sizeof state);
    if (whole) blocks(state, message.data, whole);
    size_t last = sk_sha512_pad(tail, message.data + 128 * whole, message.size % 128, message.size);
    blocks(state, tail, last);
    put512(state, algorithm, out);
}

void sk_sha256_one_by_one(const sk_hash_algorithm *algorithm, const sk_hash_key *key,
                          const sk_span *messages, size_t count, uint8_t *out) {
    sk_sha256_blocks blocks = (sk_sha256_blocks)sk_hash_active(algorithm)->blocks;
    (void)key;
    for (size_t i = 0; i < count; i++) sk_sha256_message(blocks, algorithm, messages[i], out + i * algorithm->digest_size);
}

void sk_sha512_one_by_one(const sk_hash_algorithm *algorithm, const sk_hash_key *key,
                          const sk_span *messages, size_t count, uint8_t *out) {
    sk_sha512_blocks blocks = (sk_sha512_blocks)sk_hash_active(algorithm)->blocks;
    (void)key;
    for (size_t i = 0; i < count; i++) sk_sha512_message(blocks, algorithm, messages[i], out + i * algorithm->digest_size);
}

void sk_sha256_start(sk_hash_stream *stream) {
    memcpy(stream->state.sha256, stream->algorithm->initial, sizeof stream->state.sha256);
}

void sk_sha512_start(sk_hash_stream *stream) {
    memcpy(stream->state.sha512, stream->algorithm->initial, sizeof stream->state.sha512);
}

/* Fills the block that is held; returns how many bytes of `data` it took. */
static size_t top_up(sk_hash_stream *stream, const uint8_t *data, size_t size, size_t block) {
    size_t room = block - stream->held, take = size < room ? size : room;
    memcpy(stream->buffer + stream->held, data, take);
    stream->held += take;
    return take;
}

void sk_sha256_feed(sk_hash_stream *stream, const uint8_t *data, size_t size) {
    sk_sha256_blocks blocks = (sk_sha256_blocks)sk_hash_active(stream->algorithm)->blocks;
    if (stream->held) {
        size_t taken = top_up(stream, data, size, 64);
        if (stream->held < 64) return;
        blocks(stream->state.sha256, stream->buffer, 1);
        stream->held = 0, data += taken, size -= taken;
    }
    if (size >= 64) blocks(stream->state.sha256, data, size / 64);
    if (size % 64) top_up(stream, data + size / 64 * 64, size % 64, 64);
}

void sk_sha512_feed(sk_hash_stream *stream, const uint8_t *data, size_t size) {
    sk_sha512_blocks blocks = (sk_sha512_blocks)sk_hash_active(stream->algorithm)->blocks;
    if (stream->held) {
        size_t taken = top_up(stream, data, size, 128);
        if (stream->held < 128) return;
        blocks(stream->state.sha512, stream->buffer, 1);
        stream->held = 0, data += taken, size -= taken;
    }
    if (size >= 128) blocks(stream->state.sha512, data, size / 128);
    if (size % 128) top_up(stream, data + size / 128 * 128, size % 128, 128);
}

void sk_sha256_finish(sk_hash_stream *stream, uint8_t *digest) {
    sk_sha256_blocks blocks = (sk_sha256_blocks)sk_hash_active(stream->algorithm)->blocks;
    uint8_t tail[128];
    size_t last = sk_sha256_pad(tail, stream->buffer, stream->held, stream->total);
    blocks(stream->state.sha256, tail, last);
    put256(stream->state.sha256, stream->algorithm, digest);
}

void sk_sha512_finish(sk_hash_stream *stream, uint8_t *digest) {
    sk_sha512_blocks blocks = (sk_sha512_blocks)sk_hash_active(stream->algorithm)->blocks;
    uint8_t tail[256];
    size_t last = sk_sha512_pad(tail, stream->buffer, stream->held, stream->total);
    blocks(stream->state.sha512, tail, last);
    put512(stream->state.sha512, stream->algorithm, digest);
}
