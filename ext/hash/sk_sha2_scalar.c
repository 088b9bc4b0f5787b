/* SHA-2 of one message on every machine. */
#define SK_TARGET
#define SK_NAMED(name) name##_scalar
#include "sk_sha2_scalar.h"
