/* CRC-32C by the CPU's instruction: three interleaved stretches, joined by carry-less multiplication.
 *
 * The instruction takes three cycles and a new one can start each cycle, so one chain leaves two thirds unused. To
 * advance a register past n bytes of zeros, multiply it by x**(8n - 33) mod P and feed the product to the instruction
 * (V. Gopal and others, "Fast CRC computation for iSCSI polynomial using CRC32 instruction", Intel, 2011).
 */
#include "sk_hash.h"
#if SK_HASH_X86
#include <immintrin.h>

#include "sk_crc32c.h"

#define SK_TARGET __attribute__((target("sse4.2,pclmul")))
#define STRETCH 1024
#define PAST_ONE 0x170076fa      /* x**(8 * 1024 - 33) mod P, reflected */
#define PAST_TWO 0xa51b6135      /* x**(8 * 2048 - 33) mod P, reflected */

SK_TARGET static inline __m128i past(uint64_t crc, uint32_t power) {
    return _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)crc), _mm_cvtsi64_si128(power), 0);
}

SK_TARGET uint32_t sk_crc32c_sse42(uint32_t start, const uint8_t *data, size_t size) {
    uint64_t crc = start;
    for (; size >= 3 * STRETCH; data += 3 * STRETCH, size -= 3 * STRETCH) {
        uint64_t second = 0, third = 0;
        for (size_t i = 0; i < STRETCH; i += 8) {
            crc = _mm_crc32_u64(crc, sk_load_le64(data + i));
            second = _mm_crc32_u64(second, sk_load_le64(data + STRETCH + i));
            third = _mm_crc32_u64(third, sk_load_le64(data + 2 * STRETCH + i));
        }
        __m128i moved = _mm_xor_si128(past(crc, PAST_TWO), past(second, PAST_ONE));
        crc = third ^ _mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(moved));
    }
    for (; size >= 8; data += 8, size -= 8) crc = _mm_crc32_u64(crc, sk_load_le64(data));
    if (size & 4) crc = _mm_crc32_u32((uint32_t)crc, sk_load_le32(data)), data += 4;
    for (size &= 3; size; data++, size--) crc = _mm_crc32_u8((uint32_t)crc, *data);
    return (uint32_t)crc;
}
#endif
