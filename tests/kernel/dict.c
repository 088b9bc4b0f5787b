/* The dict: a reader gets a whole value of a version that was there, however often the table is rebuilt meanwhile; each
 * write happens once or not at all, even if its writer dies.
 *
 * Each key has one writer, so every reader must see its versions grow. A value consists of its key, its version, and
 * bytes that both determine. Some keys are deleted now and then, the others are always there. Besides, all writers add
 * to one number, exchange one value, and race to be the first to set each of some keys. */
#include "harness.h"
#include "structures/sk_dict_read.h"
#include "structures/sk_dict_write.h"

#define WRITERS 3
#define READERS 3
#define KEYS 120u
#define ALWAYS_THERE 60u
#define FIRSTS 64u
#define MORTAL KEYS /* the key of the writers that die */
#define SUM (KEYS + 1)
#define SWAPPED (KEYS + 2)
#define FIRST_OF (KEYS + 3)
#define ALL_KEYS (FIRST_OF + FIRSTS)
#define LONGEST 3000
#define ROOM 4096 /* for one value, and for the sizes that the compiler believes possible */

typedef struct label {
    uint32_t key, version;
} label;

static sk_hash_secrets secrets;
static uint64_t added, swapped, won, lookups, writes, deaths, snapshots;
static uint32_t newest[ALL_KEYS]; /* each is written by the key's writer */
static uint8_t there[ALL_KEYS];

/* Every third key is stored with its object (`first`) beside its canonical form. */
static uint64_t first_len(uint32_t n) { return n % 3 == 0 ? 1 + n % 29 : 0; }
static const void *first_of(uint32_t n) {
    static unsigned char objects[ALL_KEYS][32];
    if (sk_load8_relaxed(&objects[n][0]) == 0) /* all threads write the same bytes */
        for (uint32_t i = 0; i < 32; i++) sk_store8_relaxed(&objects[n][i], (unsigned char)(n * 5 + i + (n * 5 % 256 == 0)));
    return objects[n];
}

static sk_key key_of(uint32_t n, unsigned char bytes[64]) {
    uint64_t len = 4 + n * 7 % 50;
    for (uint64_t i = 0; i < len; i++) bytes[i] = (unsigned char)(n * 13 + i);
    memcpy(bytes, &n, 4);
    return (sk_key){bytes, len, sk_key_hash(bytes, len, 3, &secrets), 3, {first_of(n), first_len(n)}};
}

static uint64_t length_of(label l) {
    uint64_t state = ((uint64_t)l.key << 32 | l.version) ^ opt.seed, roll = random_u64(&state);
    if (roll % 2 == 0) return sizeof(label); /* stored in place over a value of the same size */
    return sizeof(label) + random_u64(&state) % (roll % 16 == 1 ? LONGEST - sizeof(label) : 200);
}

static uint64_t write_value(unsigned char *to, label l) {
    uint64_t len = length_of(l);
    memcpy(to, &l, sizeof l);
    for (uint64_t i = sizeof l; i < len; i++) to[i] = (unsigned char)(l.version * 31 + i * 7 + l.key);
    return len;
}

static label read_value(const unsigned char *at, uint64_t len, uint32_t key) {
    label l;
    CHECK(len >= sizeof l);
    memcpy(&l, at, sizeof l);
    CHECK(l.key == key && len == length_of(l));
    for (uint64_t i = sizeof l; i < len; i++) CHECK(at[i] == (unsigned char)(l.version * 31 + i * 7 + l.key));
    return l;
}

/* A value in three parts; its version determines where they begin. */
static sk_value in_parts(sk_part parts[3], const unsigned char *value, uint64_t len, uint32_t version) {
    uint64_t one = version * 7 % (len + 1), two = one + version * 3 % (len - one + 1);
    if (len == 8 && version % 2 == 0) one = two = 8; /* a value in one part is stored in place */
    parts[0] = (sk_part){value, one};
    parts[1] = (sk_part){value + one, two - one};
    parts[2] = (sk_part){value + two, len - two};
    return (sk_value){parts, len, len == 8 && version % 2 == 0 ? 1 : 3, 1};
}

#define PATIENTLY(call) \
    ({ \
        int rc_; \
        while ((rc_ = (call)) == SK_INTERRUPTED || rc_ == SK_BUSY) {} \
        rc_; \
    })

static void put_version(sk_segment *s, uint32_t n, uint32_t version, uint64_t until) {
    unsigned char bytes[64], value[ROOM];
    sk_key key = key_of(n, bytes);
    sk_part parts[3];
    sk_value v = in_parts(parts, value, write_value(value, (label){n, version}), version);
    int rc = sk_dict_set(s, &key, &v, SK_ALWAYS, NULL, until);
    if (rc == SK_BUSY || rc == SK_TIMEOUT || rc == SK_INTERRUPTED)
        rc = PATIENTLY(sk_dict_set(s, &key, &v, SK_ALWAYS, NULL, FOR_EVER));
    CHECK(rc == SK_OK);
    newest[n] = version;
    there[n] = 1;
}

/* The version of a key as a reader finds it, or -1. */
static int64_t look_up(sk_segment *s, uint32_t n, uint64_t room) {
    unsigned char bytes[64], value[ROOM];
    sk_key key = key_of(n, bytes);
    sk_hit hit = {0};
    int rc = sk_dict_get(s, &key, value, room, &hit);
    if (rc == SK_LARGER) {
        CHECK(hit.len > room);
        if (room % 3 == 0) rc = sk_dict_get(s, &key, value, sizeof value, &hit);
        while (rc == SK_LARGER) { /* read the beginning separately, as for an array */
            uint64_t skip = room - room % 5;
            sk_dict_target to = {value, value + skip, room, skip, hit.len - skip};
            rc = sk_dict_get_to(s, &key, &to, &hit);
        }
    }
    CHECK(rc == SK_OK || rc == SK_EMPTY);
    if (rc == SK_EMPTY) return -1;
    CHECK(hit.kind == 1);
    return read_value(value, hit.len, n).version;
}

/* --- operations of all writers on the same keys --------------------------------------------------------- */

static void add_one(sk_segment *s) {
    unsigned char bytes[64];
    sk_key key = key_of(SUM, bytes);
    int64_t sum;
    CHECK(PATIENTLY(sk_dict_add(s, &key, 2, 1, &sum, FOR_EVER)) == SK_OK && sum > 0);
    sk_add64_relaxed(&added, 1);
}

static void swap_once(sk_segment *s) {
    unsigned char bytes[64];
    uint64_t value[2] = {0, 0};
    sk_key key = key_of(SWAPPED, bytes);
    sk_part part = {value, sizeof value};
    sk_value v = {&part, sizeof value, 1, 1};
    sk_hit hit;
    int rc = sk_dict_get(s, &key, value, sizeof value, &hit);
    CHECK(rc == SK_OK && hit.len == sizeof value && value[1] == ~value[0]);
    value[1] = ~++value[0];
    rc = PATIENTLY(sk_dict_set(s, &key, &v, SK_IF_SAME, &hit, FOR_EVER));
    CHECK(rc == SK_OK || rc == SK_GONE);
    if (rc == SK_OK) sk_add64_relaxed(&swapped, 1);
}

static void be_first(sk_segment *s, uint32_t i) {
    unsigned char bytes[64];
    sk_key key = key_of(FIRST_OF + i, bytes);
    sk_part part = {&i, sizeof i};
    sk_value v = {&part, sizeof i, 1, 1};
    int rc = PATIENTLY(sk_dict_set(s, &key, &v, SK_IF_MISSING, NULL, FOR_EVER));
    CHECK(rc == SK_OK || rc == SK_EXISTS);
    if (rc == SK_OK) sk_add64_relaxed(&won, 1);
}

/* --- participants ----------------------------------------------------------------------------------------- */

static void *write_keys(void *number) {
    sk_segment s;
    attach(&s);
    uint32_t me = (uint32_t)(uintptr_t)number;
    uint64_t random_state = opt.seed * 77 + me, until = deadline_in(opt.millis), n;
    for (n = 0; sk_now_ns() < until; n++) {
        uint32_t k = (uint32_t)(random_u64(&random_state) % (KEYS / WRITERS)) * WRITERS + me, roll = (uint32_t)(random_u64(&random_state) % 16);
        unsigned char bytes[64];
        if (roll == 0) add_one(&s);
        else if (roll == 1) swap_once(&s);
        else if (roll == 2 && n % 512 < FIRSTS) be_first(&s, (uint32_t)(n % 512));
        else if (roll < 6 && k >= ALWAYS_THERE) {
            sk_key key = key_of(k, bytes);
            CHECK(PATIENTLY(sk_dict_delete(&s, &key, SK_ALWAYS, NULL, FOR_EVER)) == (there[k] ? SK_OK : SK_EMPTY));
            there[k] = 0;
        } else put_version(&s, k, newest[k] + 1, roll < 12 ? 0 : sk_now_ns() + 100000);
        CHECK(look_up(&s, k, 64) == (there[k] ? (int64_t)newest[k] : -1)); /* a writer sees its own writes at once */
    }
    sk_add64_relaxed(&writes, n);
    leave(&s);
    return NULL;
}

/* Check a snapshot: all entries are whole, each key is there once, and no key that is always there is missing. */
static void look_at_all(sk_segment *s, int64_t last[ALL_KEYS]) {
    static __thread unsigned char all[1u << 20] __attribute__((aligned(16)));
    uint64_t len;
    uint32_t found = 0;
    bool seen[ALL_KEYS] = {false};
    bool values = sk_add64_relaxed(&snapshots, 1) % 4 != 0;
    CHECK(PATIENTLY(sk_dict_snapshot(s, values, all, sizeof all, &len, FOR_EVER)) == SK_OK);
    for (uint64_t at = 0; at < len;) {
        sk_entry e;
        uint32_t n;
        memcpy(&e, all + at, sizeof e);
        memcpy(&n, all + at + sizeof e, 4);
        CHECK(n < ALL_KEYS && !seen[n]);
        seen[n] = true;
        at += sizeof e + sk_pad8(sk_entry_key_len(&e));
        CHECK(sk_entry_first_len(&e) == sk_pad8(first_len(n)));
        if (first_len(n) > 0) CHECK(memcmp(all + at, first_of(n), first_len(n)) == 0);
        at += sk_entry_first_len(&e);
        found += n < ALWAYS_THERE;
        if (!values) continue;
        if (n <= KEYS) {
            int64_t version = read_value(all + at, sk_entry_value_len(&e), n).version;
            CHECK(version >= last[n]);
            last[n] = version;
        }
        at += sk_pad8(sk_entry_value_len(&e));
    }
    CHECK(found == ALWAYS_THERE);
}

static void *read_keys(void *number) {
    sk_segment s;
    attach(&s);
    uint64_t random_state = opt.seed * 99 + (uintptr_t)number, until = deadline_in(opt.millis), n;
    int64_t last[ALL_KEYS];
    for (uint32_t i = 0; i < ALL_KEYS; i++) last[i] = -1;
    for (n = 0; n % 64 != 0 || sk_now_ns() < until; n++) {
        uint32_t k = (uint32_t)(random_u64(&random_state) % KEYS);
        int64_t version = look_up(&s, k, random_u64(&random_state) % 2 == 0 ? 16 : LONGEST);
        CHECK(version >= last[k] || (version < 0 && k >= ALWAYS_THERE));
        if (version >= 0) last[k] = version;
        if (n % 4096 == 77) look_at_all(&s, last);
    }
    sk_add64_relaxed(&lookups, n);
    leave(&s);
    return NULL;
}

/* --- deaths ------------------------------------------------------------------------------------------------- */

/* Do a rebuild up to the store of `geometry`; if `flip`, also this store. */
static void half_rebuild(sk_segment *s, sk_dict *d, sk_region *r, bool flip) {
    uint64_t from = sk_dict_floor(s), tail;
    if (from + r->size > r->from) from = r->from + r->size;
    uint64_t geometry = sk_region_geometry(from, r->table_log2, r->arena_log2);
    sk_region other;
    CHECK(sk_segment_reserve(s, from, from + r->size) == SK_OK && sk_region_of(s, geometry, &other) == SK_OK);
    CHECK(sk_dict_carry(r, &other, true, UINT64_MAX, &tail) == SK_OK);
    if (flip) sk_store64_release(&d->geometry, geometry);
}

/* Take the lock and do a part of a write. Returns whether the write was committed. */
static bool die_writing(sk_segment *s, uint32_t version, uint64_t stage) {
    sk_dict *d = sk_dict_of(s);
    sk_region r;
    sk_place place;
    unsigned char bytes[64], value[ROOM];
    sk_key key = key_of(MORTAL, bytes);
    sk_part parts[3];
    sk_value v = in_parts(parts, value, write_value(value, (label){MORTAL, version}), version);
    CHECK(PATIENTLY(sk_dict_begin(s, d, FOR_EVER, &r)) == SK_OK);
    CHECK(sk_dict_find(&r, &key, &place) == SK_OK);
    sk_write w;
    sk_write_begin(&w, d, &r, &key, &v, &place, true);
    uint64_t tail = sk_load64_relaxed(&d->tail), need = w.size;
    if (stage < 2 && need <= r.room - tail) {
        sk_dict_publish(d, &r, &w, &place);
        if (stage == 0) sk_store64_relaxed(&r.table[place.i], place.bucket); /* as before its commit */
    } else if (stage >= 3) half_rebuild(s, d, &r, stage == 4);
    if (stage != 4) { /* a writer may have stored any hints before it died */
        sk_store64_relaxed(&d->live, 7);
        sk_store64_relaxed(&d->filled, 3);
        sk_store64_relaxed(&d->live_bytes, 1);
    }
    return stage == 1 && need <= r.room - tail;
}

static void *perish(void *number) {
    uint64_t random_state = opt.seed * 55 + (uintptr_t)number, until = deadline_in(opt.millis);
    while (sk_now_ns() < until) {
        sk_segment s;
        attach(&s);
        uint32_t version = newest[MORTAL];
        CHECK(look_up(&s, MORTAL, 16) == version);
        if (die_writing(&s, version + 1, random_u64(&random_state) % 5)) newest[MORTAL]++;
        sk_add64_relaxed(&deaths, 1);
        die(&s);
    }
    return NULL;
}

/* --- the hash ------------------------------------------------------------------------------------------------- */

/* SipHash-1-3 and -2-4 give the values that their authors published; the length, the kind and every byte of a key
 * change its hash. */
static void hash_well(void) {
    unsigned char bytes[200];
    uint64_t key[2] = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u}, seen[200 * 3];
    uint32_t n = 0;
    sk_sip s; /* of the 8 bytes 0 to 7 */
    sk_sip_begin(&s, key);
    sk_sip_take(&s, key[0], 2);
    sk_sip_take(&s, (uint64_t)8 << 56, 2);
    CHECK(sk_sip_end(&s, 4) == 0x93f5f5799a932462u);
    sk_hash_secrets_of(&secrets, key);
    for (uint64_t i = 0; i < 200; i++) bytes[i] = 0;
    for (uint64_t len = 0; len < 200; len++) { /* keys of zeros: only lengths and kinds distinguish them */
        seen[n++] = sk_key_hash(bytes, len, 3, &secrets);
        seen[n++] = sk_key_hash(bytes, len, 5, &secrets);
        uint64_t last = seen[n - 2];
        for (uint64_t i = 0; i < len; i++) {
            bytes[i] ^= 0x40;
            CHECK(sk_key_hash(bytes, len, 3, &secrets) != last);
            bytes[i] ^= 0x40;
        }
    }
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j < i; j++) CHECK(seen[i] != seen[j]);
    sk_hash_secrets other;
    sk_hash_secrets_of(&other, (uint64_t[2]){key[0] + 1, key[1]});
    for (uint64_t len = 0; len < 200; len++)
        CHECK(sk_key_hash(bytes, len, 3, &other) != sk_key_hash(bytes, len, 3, &secrets));
}

/* Keys that share any one word spread over the buckets as other keys do, even those that once made a product 0. */
static void spread_chosen_keys(void) {
    static const uint64_t chosen[] = {0, 1, UINT64_MAX, 0xa0761d6478bd642fu, 0xe7037ed1a0b428dbu, 0x8ebc6af09c88c6e3u};
    enum { MANY = 8000, BUCKETS = 1 << 14, CROWD = 16 }; /* with random keys, the fullest bucket has 7 or 8 */
    static uint8_t low[BUCKETS], high[BUCKETS];
    for (uint32_t turn = 0; turn < 4; turn++) {
        sk_hash_secrets_of(&secrets, (uint64_t[2]){opt.seed * 7 + turn, turn});
        for (uint32_t way = 0; way < sizeof chosen / sizeof *chosen * 4; way++) {
            memset(low, 0, sizeof low);
            memset(high, 0, sizeof high);
            for (uint64_t i = 0; i < MANY; i++) {
                uint64_t words[4] = {chosen[way / 4], chosen[way / 4], chosen[way / 4], chosen[way / 4]};
                words[way % 2] = way % 4 < 2 ? i : i << 40;
                uint64_t hash = sk_key_hash(words, way % 3 == 0 ? 32 : 16 + way % 3, 5, &secrets);
                CHECK(++low[hash % BUCKETS] < CROWD && ++high[hash >> 50] < CROWD);
            }
        }
        memset(low, 0, sizeof low);
        for (uint64_t i = 0; i < MANY; i++) {
            uint64_t word = turn % 2 ? i : i << 32;
            CHECK(++low[sk_key_hash(&word, 8, 3, &secrets) % BUCKETS] < CROWD);
        }
    }
}

/* --- phases --------------------------------------------------------------------------------------------------- */

static void make(sk_segment *s) {
    sk_plan plan = {.kind = 7, .seats = 16, .body_len = sk_dict_body_len(16, 4, 12), .fill = sk_dict_fill};
    plan.param[SK_DICT_FLOOR] = sk_dict_floor_for(16);
    plan.param[SK_DICT_SEED] = opt.seed * 3;
    plan.param[SK_DICT_SEED2] = opt.seed * 5;
    sk_hash_secrets_of(&secrets, (uint64_t[2]){opt.seed * 3, opt.seed * 5});
    plan.param[SK_DICT_LOG2] = 4 | 12 << 8;
    shared_at = NULL;
    create(s, &plan);
    /* The shared mapping is longer than the file, and a dict relies on all mapped bytes being in the file: reserve
     * them. */
    if (s->view == shared_at) CHECK(sk_segment_reserve(s, 0, SHARED_LEN / 8) == SK_OK);
    CHECK(sk_dict_refuse(s) == SK_OK);
}

static void together(bool with_deaths) {
    sk_segment s;
    crew c = {.n = 0};
    uint64_t zero[2] = {0, ~(uint64_t)0};
    unsigned char bytes[64];
    memset(newest, 0, sizeof newest);
    memset(there, 0, sizeof there);
    added = swapped = won = deaths = 0;
    make(&s);
    for (uint32_t i = 0; i <= KEYS; i++) put_version(&s, i, 1, FOR_EVER);
    sk_key key = key_of(SWAPPED, bytes);
    sk_part part = {zero, sizeof zero};
    sk_value v = {&part, sizeof zero, 1, 1};
    CHECK(sk_dict_set(&s, &key, &v, SK_ALWAYS, NULL, FOR_EVER) == SK_OK);
    for (uintptr_t i = 0; i < WRITERS; i++) hire(&c, write_keys, (void *)i);
    for (uintptr_t i = 0; i < READERS; i++) hire(&c, read_keys, (void *)i);
    if (with_deaths) hire(&c, perish, NULL);
    gather(&c);
    sk_dict *d = sk_dict_of(&s);
    CHECK(PATIENTLY(sk_dict_repair(&s, FOR_EVER)) == SK_OK);
    CHECK(sk_load32_relaxed(&d->damaged) == 0);
    uint64_t live = 1 + won + (added > 0);
    for (uint32_t i = 0; i <= KEYS; i++) {
        live += there[i];
        CHECK(look_up(&s, i, 16) == (there[i] ? (int64_t)newest[i] : -1));
    }
    CHECK(sk_dict_count(d) == live && (deaths > 0) == with_deaths);
    sk_hit hit;
    int64_t sum;
    CHECK(sk_dict_get(&s, &key, zero, sizeof zero, &hit) == SK_OK && zero[0] == swapped && swapped > 0);
    key = key_of(SUM, bytes);
    CHECK(sk_dict_add(&s, &key, 2, 0, &sum, FOR_EVER) == SK_OK && (uint64_t)sum == added && added > 0);
    CHECK(sk_dict_clear(&s, FOR_EVER) == SK_OK && sk_dict_count(d) == 0 && look_up(&s, 0, 16) == -1);
    printf("%llu lookups, %llu writes, %llu flips, %llu deaths\n", (unsigned long long)lookups,
           (unsigned long long)writes, (unsigned long long)sk_load64_relaxed(&d->flips), (unsigned long long)deaths);
    leave(&s);
}

/* One participant, step by step. A refused operation changes nothing. */
static void alone(void) {
    sk_segment s;
    unsigned char bytes[64], back[64];
    uint64_t word = 5;
    int64_t sum;
    sk_hit hit, old;
    make(&s);
    sk_dict *d = sk_dict_of(&s);
    sk_key key = key_of(9, bytes);
    sk_part word_part = {&word, 8}, text_part = {"twelve bytes", 12}, huge_part = {NULL, UINT64_MAX / 2};
    sk_value v = {&word_part, 8, 1, 2}, text = {&text_part, 12, 1, 1}, huge = {&huge_part, UINT64_MAX / 2, 1, 1};
    CHECK(sk_dict_get(&s, &key, back, sizeof back, &hit) == SK_EMPTY);
    CHECK(sk_dict_delete(&s, &key, SK_ALWAYS, NULL, 0) == SK_EMPTY);
    CHECK(sk_dict_set(&s, &key, &huge, SK_ALWAYS, NULL, FOR_EVER) == SK_TOO_LARGE);
    CHECK(sk_dict_set(&s, &key, &v, SK_IF_MISSING, NULL, 0) == SK_OK && sk_dict_count(d) == 1);
    CHECK(sk_dict_set(&s, &key, &v, SK_IF_MISSING, NULL, 0) == SK_EXISTS);
    CHECK(sk_dict_get(&s, &key, back, sizeof back, &old) == SK_OK && old.len == 8 && old.kind == 2);
    CHECK(sk_dict_add(&s, &key, 2, -6, &sum, 0) == SK_OK && sum == -1);
    CHECK(sk_dict_set(&s, &key, &v, SK_IF_SAME, &old, 0) == SK_GONE); /* the same entry with another value */
    CHECK(sk_dict_add(&s, &key, 2, INT64_MIN, &sum, 0) == SK_OVERFLOW);
    CHECK(sk_dict_add(&s, &key, 1, 1, &sum, 0) == SK_FOREIGN);
    CHECK(sk_dict_add(&s, &key, 2, 0, &sum, 0) == SK_OK && sum == -1);
    CHECK(sk_dict_set(&s, &key, &text, SK_ALWAYS, NULL, 0) == SK_OK && sk_dict_count(d) == 1);
    CHECK(sk_dict_get(&s, &key, back, 8, &hit) == SK_LARGER && hit.len == 12);
    CHECK(sk_dict_get(&s, &key, back, 12, &hit) == SK_OK && memcmp(back, text_part.at, 12) == 0);
    CHECK(sk_dict_delete(&s, &key, SK_IF_SAME, &old, 0) == SK_GONE);
    CHECK(sk_dict_delete(&s, &key, SK_IF_SAME, &hit, 0) == SK_OK && sk_dict_count(d) == 0);
    for (uint32_t i = 0; i < 1000; i++) put_version(&s, i % KEYS, i, 0); /* table and arena grow, waste is removed */
    CHECK(sk_dict_count(d) == KEYS && sk_load64_relaxed(&d->flips) > 3);
    sk_store64_relaxed(&d->live_bytes, (uint64_t)1 << 40); /* hints that no writer stores */
    CHECK(sk_dict_set(&s, &key, &v, SK_ALWAYS, NULL, FOR_EVER) == SK_CORRUPT);
    sk_store32_relaxed(&d->damaged, 1); /* are recomputed after a death */
    CHECK(sk_dict_repair(&s, FOR_EVER) == SK_OK && sk_load32_relaxed(&d->damaged) == 0);
    CHECK(sk_dict_set(&s, &key, &v, SK_ALWAYS, NULL, FOR_EVER) == SK_OK && sk_dict_count(d) == KEYS);
    leave(&s);
}

/* Bytes that are copied out may begin anywhere in a word, and end with the last mapped byte. */
static void copies(void) {
    unsigned char *page = mmap(NULL, 2 * SK_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), got[2 * SK_PAGE];
    CHECK(page != MAP_FAILED && mprotect(page + SK_PAGE, SK_PAGE, PROT_NONE) == 0);
    for (uint32_t i = 0; i < SK_PAGE; i++) page[i] = (unsigned char)(i * 7);
    for (uint64_t len = 0; len <= SK_PAGE; len++) {
        const unsigned char *from = page + SK_PAGE - len;
        sk_copy_out(got, from, len);
        CHECK(memcmp(got, from, len) == 0);
    }
    munmap(page, 2 * SK_PAGE);
}

int main(int argc, char **argv) {
    begin(argc, argv, "dict");
    copies();
    hash_well();
    spread_chosen_keys();
    alone();
    opt.millis /= 2;
    together(false);
    together(true);
    return 0;
}
