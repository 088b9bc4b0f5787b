/* CRC-32C with tables, and its functions for batches and streams. The seed is the checksum of the preceding bytes. */
#include "sk_crc32c.h"

uint32_t sk_crc32c_scalar(uint32_t crc, const uint8_t *data, size_t size) {
    const uint32_t (*t)[256] = SK_CRC32C_TABLES;
    for (; size >= 8; data += 8, size -= 8) {
        uint64_t x = sk_load_le64(data) ^ crc;
        crc = t[7][x & 255] ^ t[6][x >> 8 & 255] ^ t[5][x >> 16 & 255] ^ t[4][x >> 24 & 255] ^ t[3][x >> 32 & 255] ^
              t[2][x >> 40 & 255] ^ t[1][x >> 48 & 255] ^ t[0][x >> 56];
    }
    for (; size; data++, size--) crc = crc >> 8 ^ t[0][(crc ^ *data) & 255];
    return crc;
}

void sk_crc32c_batch(const sk_hash_algorithm *algorithm, const sk_hash_key *key, const sk_span *messages, size_t count,
                     uint8_t *out) {
    sk_crc32c_bytes bytes = (sk_crc32c_bytes)sk_hash_active(algorithm)->blocks;
    for (size_t i = 0; i < count; i++) {
        if (i + 12 < count) __builtin_prefetch(messages[i + 12].data);
        uint32_t crc = ~bytes(~(uint32_t)key->seed, messages[i].data, messages[i].size);
        memcpy(out + 4 * i, &crc, 4);
    }
}

void sk_crc32c_start(sk_hash_stream *stream) { stream->state.crc = ~(uint32_t)stream->key.seed; }

void sk_crc32c_feed(sk_hash_stream *stream, const uint8_t *data, size_t size) {
    sk_crc32c_bytes bytes = (sk_crc32c_bytes)sk_hash_active(stream->algorithm)->blocks;
    stream->state.crc = bytes(stream->state.crc, data, size);
}

void sk_crc32c_finish(sk_hash_stream *stream, uint8_t *digest) { sk_store_be32(digest, ~stream->state.crc); }
