"""The C part of the dict, for the modules that call it."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from sharedkit._core.segment cimport sk_segment
from sharedkit.shm._codec cimport sk_part


cdef extern from *:
    """
    #include "structures/sk_dict_write.h"
    #include "structures/sk_dict_read.h"
    """
    enum: SK_DICT_FLOOR, SK_DICT_SEED, SK_DICT_LOG2, SK_DICT_SEED2, SK_ALWAYS, SK_IF_MISSING, SK_IF_SAME

    ctypedef struct sk_dict:
        uint32_t lock

    ctypedef struct sk_key:
        const void *at
        uint64_t len
        uint64_t hash
        uint32_t kind
        sk_part first            # the key itself, pickled, if its encoded bytes cannot restore it

    ctypedef struct sk_hash_secrets:
        pass

    ctypedef struct sk_value:
        const sk_part *parts
        uint64_t len             # of all parts
        uint32_t n               # parts
        uint32_t kind

    ctypedef struct sk_dict_target:
        void *head
        void *body
        uint64_t head_room
        uint64_t skip
        uint64_t body_len

    ctypedef struct sk_entry:
        uint64_t born

    ctypedef struct sk_hit:
        uint64_t len
        uint32_t kind

    sk_dict *sk_dict_of(const sk_segment *s) noexcept nogil
    void sk_hash_secrets_of(sk_hash_secrets *to, const uint64_t *seed) noexcept nogil
    uint64_t sk_key_hash(const void *at, uint64_t len, uint32_t kind, const sk_hash_secrets *secrets) noexcept nogil
    int sk_dict_get(sk_segment *s, const sk_key *key, void *to, uint64_t room, sk_hit *hit) noexcept nogil
    int sk_dict_get_to(sk_segment *s, const sk_key *key, const sk_dict_target *to, sk_hit *hit) noexcept nogil
    int sk_dict_set(sk_segment *s, const sk_key *key, const sk_value *value, int when, const sk_hit *same,
                    uint64_t until) noexcept nogil
    int sk_dict_add(sk_segment *s, const sk_key *key, uint32_t kind, int64_t n, int64_t *sum,
                    uint64_t until) noexcept nogil
    int sk_dict_delete(sk_segment *s, const sk_key *key, int when, const sk_hit *same, uint64_t until) noexcept nogil
    int sk_dict_clear(sk_segment *s, uint64_t until) noexcept nogil
    int sk_dict_snapshot(sk_segment *s, bint values, unsigned char *to, uint64_t room, uint64_t *len,
                         uint64_t until) noexcept nogil
    uint64_t sk_dict_count(const sk_dict *d) noexcept nogil
    int sk_dict_repair(sk_segment *s, uint64_t until) noexcept nogil
    int sk_dict_memory(sk_segment *s, uint64_t *size, uint64_t *used, uint64_t *buckets) noexcept nogil
    uint64_t sk_dict_floor_for(uint32_t seats) noexcept nogil
    uint64_t sk_dict_body_len(uint32_t seats, uint32_t table_log2, uint32_t arena_log2) noexcept nogil
    int sk_dict_fill(sk_segment *s) noexcept nogil
    int sk_dict_refuse(sk_segment *s) noexcept nogil
    uint64_t sk_entry_key_len(const sk_entry *e) noexcept nogil
    uint32_t sk_entry_key_kind(const sk_entry *e) noexcept nogil
    uint64_t sk_entry_first_len(const sk_entry *e) noexcept nogil
    uint64_t sk_entry_value_len(const sk_entry *e) noexcept nogil
    uint32_t sk_entry_value_kind(const sk_entry *e) noexcept nogil
    uint64_t sk_pad8(uint64_t n) noexcept nogil
    uint32_t sk_lock_owner(const uint32_t *word) noexcept nogil
