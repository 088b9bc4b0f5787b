/* CRC-32C (Castagnoli), as in iSCSI (RFC 3720 B.4), polynomial 0x82f63b78 reflected. */
#ifndef SK_CRC32C_H
#define SK_CRC32C_H

#include "sk_bytes.h"
#include "sk_hash.h"

extern const uint32_t SK_CRC32C_TABLES[8][256];

/* Feeds bytes to the register. The caller inverts `crc` before the first call and after the last. */
typedef uint32_t (*sk_crc32c_bytes)(uint32_t crc, const uint8_t *data, size_t size);

uint32_t sk_crc32c_scalar(uint32_t crc, const uint8_t *data, size_t size);
uint32_t sk_crc32c_sse42(uint32_t crc, const uint8_t *data, size_t size);

void sk_crc32c_batch(const sk_hash_algorithm *, const sk_hash_key *, const sk_span *, size_t, uint8_t *);
void sk_crc32c_start(sk_hash_stream *);
void sk_crc32c_feed(sk_hash_stream *, const uint8_t *, size_t);
void sk_crc32c_finish(sk_hash_stream *, uint8_t *);

#endif
