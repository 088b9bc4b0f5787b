/* Offsets, views, codes and text that change while a batch reads them: no byte outside of the data is ever touched.
 *
 * The data that offsets may point into lies between two pages without access. The digests and the UTF-8 lie in heap
 * blocks of exactly their size, under AddressSanitizer. So an access one byte too far ends the program.
 *
 * after    each kind of layout is checked, then one word of it is made wrong, then it is hashed: the item is reported
 * during   a thread writes right and wrong words all the time, while batches are hashed on one thread and on three
 * text     as `during`, with UCS-4 text: a thread makes it longer, shorter and impossible
 *
 * Usage: hash_foreign ROUNDS SEED
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sk_foreign.h"
#include "sk_parallel.h"
#include "sk_utf8.h"

#define ITEMS 5000
#define ROOM 65536       /* bytes that offsets may point into: whole pages */
#define WIDTH 24         /* code points of a text */

static uint8_t *data;    /* ROOM bytes between two pages without access */
static uint64_t seed = 1;

static void fail(const char *what, const char *detail) {
    fprintf(stderr, "%s: %s\n", what, detail);
    exit(1);
}

static uint64_t random_u64(uint64_t *state) {
    *state ^= *state << 13, *state ^= *state >> 7, *state ^= *state << 17;
    return *state;
}

static uint8_t *between_guards(size_t size) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *base = mmap(NULL, size + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED || mprotect(base + page, size, PROT_READ | PROT_WRITE) != 0) {
        perror("mmap");
        exit(2);
    }
    return base + page;
}

/* --- layouts ------------------------------------------------------------------------------------------ */

/* One kind of layout: words that may change, and a copy of the right ones. */
typedef struct layout {
    const char *name;
    sk_source source;
    uint8_t *words;          /* the words that the source reads */
    uint8_t *right;          /* the right words */
    size_t size;             /* bytes of both */
    int width;               /* of a word */
} layout;

static const uint8_t *buffers[2];
static int64_t buffer_sizes[2] = {ROOM / 2, ROOM / 4};
static uint8_t rows[251 * SK_DIGEST_MAX];

static void put(layout *l, size_t i, int64_t word) {
    memcpy(l->right + i * (size_t)l->width, &word, (size_t)l->width);       /* little-endian, as all machines of this test */
}

static layout make(const char *name, sk_source_kind kind, int width, size_t words) {
    layout l = {.name = name, .width = width, .size = words * (size_t)width};
    l.words = malloc(l.size), l.right = malloc(l.size);
    l.source = (sk_source){.kind = kind, .count = ITEMS, .data = data, .size = ROOM, .offsets = l.words};
    return l;
}

static layout ready(layout l) {
    memcpy(l.words, l.right, l.size);
    return l;
}

static layout offsets(int width) {
    layout l = make(width == 4 ? "offsets of 32 bits" : "offsets of 64 bits", width == 4 ? SK_OFFSETS_32 : SK_OFFSETS_64, width,
                    ITEMS + 1);
    for (size_t i = 0; i <= ITEMS; i++) put(&l, i, (int64_t)(i * ROOM / ITEMS));
    return ready(l);
}

static layout pairs(void) {
    layout l = make("pairs", SK_PAIRS_64, 8, 2 * ITEMS);
    for (size_t i = 0; i < ITEMS; i++) put(&l, 2 * i, (int64_t)(i * 7)), put(&l, 2 * i + 1, (int64_t)(i * 7 + i % 300));
    return ready(l);
}

static layout views(void) {
    layout l = make("views", SK_VIEWS, 4, 4 * ITEMS);
    for (size_t i = 0; i < ITEMS; i++) {
        put(&l, 4 * i, (int64_t)(i % 40)), put(&l, 4 * i + 1, 0);
        put(&l, 4 * i + 2, (int64_t)(i % 2)), put(&l, 4 * i + 3, (int64_t)i);
    }
    l.source.data = l.words;
    l.source.buffers = buffers, l.source.buffer_sizes = buffer_sizes, l.source.buffer_count = 2;
    return ready(l);
}

static layout codes(int width, bool is_signed) {
    layout l = make(is_signed ? "signed codes" : "codes", SK_CODES, width, ITEMS);
    const size_t values = width == 1 ? 100 : 251;
    for (size_t i = 0; i < ITEMS; i++) put(&l, i, (int64_t)(i % values));
    l.source.data = l.words, l.source.stride = width, l.source.size = values;
    l.source.code_width = is_signed ? -width : width;
    l.source.rows = rows;
    return ready(l);
}

static const int64_t WRONG[] = {-1, INT64_MIN, INT64_MAX, (int64_t)1 << 50, -((int64_t)1 << 40), INT32_MIN, INT32_MAX, ROOM + 1, 255};

static void write_word(layout *l, size_t i, int64_t word) {
    uint8_t *place = l->words + i * (size_t)l->width;
    switch (l->width) {
    case 1: *(volatile int8_t *)place = (int8_t)word; break;
    case 2: *(volatile int16_t *)(void *)place = (int16_t)word; break;
    case 4: *(volatile int32_t *)(void *)place = (int32_t)word; break;
    default: *(volatile int64_t *)(void *)place = word; break;
    }
}

static void restore(layout *l, size_t i) {
    int64_t word = 0;
    memcpy(&word, l->right + i * (size_t)l->width, (size_t)l->width);
    write_word(l, i, word);
}

/* sk_offsets_fit_* and sk_extent_cut agree, also for the largest and smallest numbers. */
static void fit_as_cut(void) {
    const size_t size = 1000;
    const int64_t around[] = {0, (int64_t)size, INT64_MAX, INT64_MIN, INT64_MIN + (int64_t)size, INT32_MAX, INT32_MIN,
                              INT32_MIN + (int64_t)size, 500};
    uint64_t state = 77;
    size_t good = 0;
    for (int round = 0; round < 300000; round++) {
        const size_t count = 1 + random_u64(&state) % 8;
        uint64_t wide[9];
        uint32_t narrow[9];
        for (size_t i = 0; i < 9; i++) {
            const uint64_t roll = random_u64(&state);
            wide[i] = roll % 3 ? roll >> 8 & 1023 : (uint64_t)around[(roll >> 8) % 9] + (roll >> 16) % 5 - 2;
            if (round % 3 == 0 && i && wide[i] < wide[i - 1]) wide[i] = wide[i - 1];
            narrow[i] = (uint32_t)wide[i];
        }
        bool want[2] = {true, true};
        for (size_t i = 0; i < count; i++) {
            sk_span span;
            const sk_extent whole = {data, size};
            if (!sk_extent_cut(whole, (int64_t)wide[i], (int64_t)wide[i + 1], &span)) want[0] = false;
            if (!sk_extent_cut(whole, (int32_t)narrow[i], (int32_t)narrow[i + 1], &span)) want[1] = false;
        }
        if (sk_offsets_fit_64(wide, count, size) != want[0]) fail("sk_offsets_fit_64", "differs from sk_extent_cut");
        if (sk_offsets_fit_32(narrow, count, size) != want[1]) fail("sk_offsets_fit_32", "differs from sk_extent_cut");
        good += want[0];
    }
    if (good < 1000) fail("sk_offsets_fit_64", "hardly ever asked about right offsets");
}

/* --- after the check ---------------------------------------------------------------------------------- */

static bool hash(const layout *l, const char *name, size_t threads, uint8_t *out, sk_bad *bad) {
    const sk_hash_algorithm *algorithm = sk_hash_find(name);
    sk_hash_key key;
    sk_hash_prepare(&key, algorithm, 0, NULL);
    return sk_parallel_hash(&l->source, 1, algorithm, &key, threads, out, bad);
}

static const char *const NAMES[] = {"xxh3_64", "sha256", "blake3", "crc32c"};
#define NAME_COUNT (sizeof NAMES / sizeof *NAMES)

static uint8_t *rows_of(const char *name) { return malloc((size_t)ITEMS * sk_hash_find(name)->digest_size); }

static void after(layout *l) {
    const size_t words = l->size / (size_t)l->width, a_item = words / ITEMS;
    for (size_t n = 0; n < NAME_COUNT; n++)
        for (size_t threads = 1; threads <= 3; threads += 2) {
            uint8_t *out = rows_of(NAMES[n]), *again = rows_of(NAMES[n]);
            sk_bad bad;
            if (!sk_source_check(&l->source, &bad) || !hash(l, NAMES[n], threads, out, &bad)) fail(l->name, "right words refused");
            for (size_t k = 0; k < sizeof WRONG / sizeof *WRONG; k++) {
                const size_t item = (k * 577 + 1500) % ITEMS, word = item * a_item + (a_item == 4 ? 3 : a_item - 1);
                write_word(l, word, WRONG[k]);
                const bool right = sk_source_check(&l->source, &bad);
                const size_t wrong = bad.index;
                if (right != hash(l, NAMES[n], threads, again, &bad)) fail(l->name, "a word changed after the check");
                if (!right && threads == 1 && bad.index != wrong) fail(l->name, "another item is reported");
                if (!right && bad.index + 1 != item && bad.index != item) fail(l->name, "the wrong item is reported");
                restore(l, word);
            }
            if (!hash(l, NAMES[n], threads, again, &bad) || memcmp(out, again, (size_t)ITEMS * sk_hash_find(NAMES[n])->digest_size))
                fail(l->name, "digests differ");
            free(out), free(again);
        }
}

/* --- during the hashing ------------------------------------------------------------------------------- */

static int stop;         /* atomic */

static bool stopped(void) { return __atomic_load_n(&stop, __ATOMIC_RELAXED); }

static void *change_words(void *context) {
    layout *l = context;
    uint64_t state = seed * 2654435761u + 1;
    const size_t words = l->size / (size_t)l->width;
    while (!stopped()) {
        const uint64_t roll = random_u64(&state);
        const size_t i = (roll >> 8) % words;
        write_word(l, i, WRONG[roll % (sizeof WRONG / sizeof *WRONG)]);
        restore(l, i);
    }
    return NULL;
}

static void with_thread(void *(*change)(void *), void *context, void (*run)(void *, size_t), size_t rounds) {
    pthread_t thread;
    __atomic_store_n(&stop, 0, __ATOMIC_RELAXED);
    if (pthread_create(&thread, NULL, change, context) != 0) fail("pthread_create", "no thread");
    run(context, rounds);
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
}

static void during(void *context, size_t rounds) {
    layout *l = context;
    size_t fine = 0, refused = 0;
    for (size_t round = 0; round < rounds; round++) {
        const char *name = NAMES[round % NAME_COUNT];
        uint8_t *out = rows_of(name);
        sk_bad bad;
        /* Mostly without sk_source_check before: the hashing must be safe without it. */
        if ((round % 4 || sk_source_check(&l->source, &bad)) && hash(l, name, 1 + round % 2 * 2, out, &bad)) fine++;
        else if (bad.index >= ITEMS) fail(l->name, "an item that is none is reported");
        else refused++;
        if (sk_source_bytes(&l->source, 0, ITEMS) > (size_t)ITEMS * ROOM) fail(l->name, "more bytes than there are");
        free(out);
    }
    printf("%s of %d bytes: %zu batches hashed, %zu refused\n", l->name, l->width, fine, refused);
}

/* --- text --------------------------------------------------------------------------------------------- */

static const uint32_t POINTS[] = {'a', 0, 0xe9, 0x20ac, 0x10ffff, 0x1f600, 'z', 'b', 0xd800, 0x110000, 0xffffffff};

typedef struct text {
    uint32_t *points;        /* ITEMS texts of WIDTH code points, right before a page without access */
    size_t last_point;       /* how far into POINTS the changes go */
} text;

static void *change_text(void *context) {
    text *t = context;
    uint64_t state = seed * 2654435761u + 3;
    while (!stopped()) {
        const uint64_t roll = random_u64(&state);
        *(volatile uint32_t *)&t->points[(roll >> 16) % ((size_t)ITEMS * WIDTH)] = POINTS[(roll & 0xffff) % t->last_point];
    }
    return NULL;
}

/* Write columns piece by piece, each piece into a block of exactly its room. */
static void write_texts(void *context, size_t rounds) {
    text *t = context;
    size_t written = 0, refused = 0, blocks = 0;
    for (size_t round = 0; round < rounds; round++) {
        sk_span *spans = malloc(ITEMS * sizeof *spans);
        uint8_t *held[ITEMS];
        size_t used = 0;
        sk_ucs4_column column = {(const uint8_t *)t->points, 4 * WIDTH, WIDTH, ITEMS, 0, NULL, 0};
        bool fine = true;
        while (fine && column.next < column.count) {
            const size_t before = column.next;
            column.room = 4 * WIDTH + random_u64(&seed) % 4096;
            column.at = held[used++] = malloc(column.room);
            fine = sk_ucs4_write(&column, spans);
            if (fine && column.next == before) fail("text", "an item does not fit into four bytes a code point");
        }
        for (size_t i = 0; i < column.next; i++)
            for (size_t k = 0; k < spans[i].size; k++) written += spans[i].data[k] != 0;
        if (!fine) refused++;
        blocks += used;
        while (used) free(held[--used]);
        free(spans);
    }
    printf("text: %zu columns, %zu refused, %zu blocks, %zu bytes\n", rounds, refused, blocks, written);
    if (t->last_point <= 8 && refused) fail("text", "right code points are refused");
}

/* Measure a text and then write it into exactly that room, as a caller would that does not expect changes. */
static void write_measured(void *context, size_t rounds) {
    const text *t = context;
    size_t full = 0, fine = 0, bad = 0;
    for (size_t i = 0; i < rounds * 200; i++)
        for (int width = 1; width <= 4; width *= 2) {
            const uint8_t *item = (const uint8_t *)(t->points + i % (ITEMS - 1) * WIDTH);
            const size_t room = sk_utf8_size(item, width, 2 * WIDTH);
            if (room == SK_UTF8_BAD) {
                bad++;
                continue;
            }
            uint8_t *out = malloc(room);
            const size_t size = sk_utf8_write(item, width, 2 * WIDTH, out, room);
            if (size == SK_UTF8_FULL) full++;
            else if (size == SK_UTF8_BAD) bad++;
            else if (size > room) fail("text", "more is written than there is room");
            else fine++;
            free(out);
        }
    printf("measured text: %zu fit, %zu outgrew their room, %zu have no UTF-8\n", fine, full, bad);
}

/* Compare the writer with a simple definition of UTF-8, also with every room that is too small. */
static void utf8_in_every_room(void) {
    uint32_t points[40];
    for (size_t length = 0; length <= 40; length++)
        for (size_t kind = 0; kind < 8; kind++) {
            uint8_t want[160];
            size_t size = 0;
            for (size_t i = 0; i < length; i++) {
                const uint32_t c = points[i] = kind < 4 && i != kind * 9 ? 'a' + (uint32_t)i : POINTS[(i + kind) % 8];
                if (c < 0x80) want[size++] = (uint8_t)c;
                else {
                    const int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
                    static const uint8_t LEAD[] = {0, 0xc0, 0xe0, 0xf0};
                    want[size++] = (uint8_t)(LEAD[more] | c >> 6 * more);
                    for (int k = more - 1; k >= 0; k--) want[size++] = (uint8_t)(0x80 | (c >> 6 * k & 0x3f));
                }
            }
            if (sk_utf8_size(points, 4, length) != size) fail("utf-8", "another size");
            for (size_t room = 0; room <= size + 20; room++) {
                uint8_t *out = malloc(room);
                const size_t got = sk_utf8_write(points, 4, length, out, room);
                if (got != (room < size ? SK_UTF8_FULL : size)) fail("utf-8", "another size written");
                if (room >= size && memcmp(out, want, size) != 0) fail("utf-8", "other bytes written");
                free(out);
            }
        }
}

int main(int count, char **arguments) {
    const size_t rounds = count > 1 ? strtoul(arguments[1], NULL, 10) : 100;
    if (count > 2) seed = strtoul(arguments[2], NULL, 10) | 1;
    data = between_guards(ROOM);
    for (size_t i = 0; i < ROOM; i++) data[i] = (uint8_t)(i * 31 + i / 251);
    buffers[0] = data, buffers[1] = data + ROOM - ROOM / 4;

    fit_as_cut();

    layout all[] = {offsets(4), offsets(8), pairs(), views(), codes(1, false), codes(1, true), codes(2, false),
                    codes(2, true), codes(4, false), codes(4, true), codes(8, true)};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        after(&all[i]);
        with_thread(change_words, &all[i], during, rounds);
        free(all[i].words), free(all[i].right);
    }
    utf8_in_every_room();
    const size_t bytes = (size_t)ITEMS * WIDTH * 4, page = (size_t)sysconf(_SC_PAGESIZE), whole = (bytes + page - 1) / page * page;
    text t = {(uint32_t *)(void *)(between_guards(whole) + whole - bytes), 8};
    for (size_t i = 0; i < (size_t)ITEMS * WIDTH; i++) t.points[i] = 'a';
    with_thread(change_text, &t, write_texts, rounds);
    with_thread(change_text, &t, write_measured, rounds);
    t.last_point = sizeof POINTS / sizeof *POINTS;
    with_thread(change_text, &t, write_texts, rounds);
    with_thread(change_text, &t, write_measured, rounds);
    puts("nothing outside of the data was touched");
    return 0;
}
