/* Counters: no increment is lost, and a sum that does not fit is refused before another thread sees it. */
#include "harness.h"
#include "structures/sk_counter.h"

#define CREW 4

static uint64_t added[CREW], next_id;

static void *add(void *nothing) {
    (void)nothing;
    sk_segment s;
    uint64_t id = sk_add64_seq_cst(&next_id, 1), random_state = opt.seed + id, until = deadline_in(opt.millis);
    attach(&s);
    uint64_t *word = sk_counter_word(sk_body_of(&s), 0), *own = sk_counter_word(sk_body_of(&s), 1 + id);
    int64_t sum = 0, mine = 0;
    do {
        for (int i = 0; i < 1000; i++) {
            int64_t n = (int64_t)(random_u64(&random_state) % 7) - 2;
            CHECK(sk_counter_add(word, n, &sum) == SK_OK);
            CHECK(sk_counter_add(own, n, &sum) == SK_OK);
            mine += n;
        }
        if (random_u64(&random_state) % 4 == 0) { /* set the counter to 0, and count its value as ours */
            mine -= sk_counter_exchange(word, 0);
        } else if (random_u64(&random_state) % 4 == 0) {
            int64_t seen = sk_counter_value(word);
            if (sk_counter_compare_exchange(word, seen, seen + 5)) mine += 5;
        }
    } while (sk_now_ns() < until);
    added[id] = (uint64_t)mine;
    leave(&s);
    return NULL;
}

static void *push(void *nothing) { /* push against the bounds: no value passes them */
    (void)nothing;
    sk_segment s;
    int64_t sum;
    attach(&s);
    uint64_t *word = sk_counter_word(sk_body_of(&s), 7);
    for (int i = 0; i < 20000; i++) {
        int rc = sk_counter_add(word, 1, &sum);
        CHECK(rc == SK_OK ? sum > INT64_MAX - 2000 : rc == SK_OVERFLOW);
        if (rc == SK_OVERFLOW) CHECK(sk_counter_add(word, -100, &sum) == SK_OK && sum <= INT64_MAX - 100 + 1);
    }
    leave(&s);
    return NULL;
}

int main(int argc, char **argv) {
    begin(argc, argv, "counter");
    sk_plan plan = {.kind = 1, .seats = 16, .body_len = 8 * SK_LINE, .fill = sk_counter_fill, .param = {40}};
    sk_segment s;
    crew c = {.n = 0};
    create(&s, &plan);
    CHECK(sk_counter_refuse(&s, 8) == SK_OK);
    CHECK(opt.shared || sk_counter_refuse(&s, 1 << 20) == SK_CORRUPT);
    uint64_t *word = sk_counter_word(sk_body_of(&s), 0);
    CHECK(sk_counter_value(word) == 40);
    for (int i = 0; i < CREW; i++) hire(&c, add, NULL);
    gather(&c);
    int64_t sum = 40;
    for (int i = 0; i < CREW; i++) sum += (int64_t)added[i];
    CHECK(sk_counter_value(word) == sum);

    uint64_t *bound = sk_counter_word(sk_body_of(&s), 7);
    sk_counter_exchange(bound, INT64_MAX - 50);
    for (int i = 0; i < CREW; i++) hire(&c, push, NULL);
    gather(&c);
    int64_t told = 77;
    sk_counter_exchange(bound, INT64_MIN);
    CHECK(sk_counter_add(bound, -1, &told) == SK_OVERFLOW && sk_counter_value(bound) == INT64_MIN);
    CHECK(sk_counter_add(bound, INT64_MAX, &told) == SK_OK && told == -1);
    leave(&s);
    CHECK(access(path, F_OK) != 0);
    return 0;
}
