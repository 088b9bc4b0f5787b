/* SHA-2 of one message with BMI2: its rotations do not overwrite their operand. */
#include "sk_hash.h"
#if SK_HASH_X86
#include "sk_sha2_paths.h"

#define SK_TARGET __attribute__((target("bmi,bmi2")))
#define SK_NAMED(name) name##_bmi2
#include "sk_sha2_scalar.h"
#endif
