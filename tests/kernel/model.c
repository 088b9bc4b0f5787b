/* No schedule of a few participants loses a wake-up, an item or the exclusion: the kernel's own code, every interleaving
 * of its steps with at most so many preemptions (one less where there are four).   model [preemptions] */
#include "model.h"

#include "sk_queue_get.h"
#include "sk_queue_put.h"
#include "sk_queue_state.h"

static sk_segment segment[MOST_PARTICIPANTS];
static uint32_t got[MOST_PARTICIPANTS][4], inside;
static int answer[MOST_PARTICIPANTS];
static uint64_t bound;
static uint32_t unfinished;

static void prepare(void) {
    memset(shared, 0, sizeof shared);
    memset(got, 0, sizeof got);
    memset(answer, 0x55, sizeof answer);
    inside = 0;
    for (int i = 0; i < MOST_PARTICIPANTS; i++) {
        sk_segment *s = &segment[i];
        memset(s, 0, sizeof *s);
        s->seats = (sk_seats){.fd = 9, .count = 4, .me = 1u << SK_SEAT_BITS | (unsigned)i,
                              .table = (sk_seat_entry *)(void *)(shared + SK_SEATS_AT)};
        s->base = s->view = shared; /* patience stays 0: no spinning, which waits for nothing */
        s->base_len = s->view_len = sizeof shared;
        s->header.seats = 4;
        s->header.body = sk_body_at(4, 0);
        s->header.param[SK_QUEUE_MAXSIZE] = bound;
        s->header.param[SK_QUEUE_FLOOR] = sk_queue_floor_for(4);
        s->header.param[SK_QUEUE_LOG2] = SK_RING_LOG2_MIN;
        s->header.param[SK_QUEUE_START] = sk_position(UINT32_MAX, UINT32_MAX);
        s->seats.table[i].epoch = 1;
    }
    sk_queue_fill(&segment[0]);
}

static void put(int i, uint32_t item) {
    sk_part part = {&item, sizeof item};
    segment[i].waiter.patience = 0;
    answer[i] = sk_queue_put(&segment[i], &part, 1, 3, (sk_call){UINT64_MAX, true});
}

static void get(int i, int slot) {
    sk_found found;
    segment[i].waiter.patience = 0;
    answer[i] = sk_queue_get(&segment[i], &got[i][slot], 4, &found, (sk_call){UINT64_MAX, true});
}

static void put_one(int i) { put(i, 10 + (uint32_t)i); }
static void put_two(int i) { put(i, 10), put(i, 20); }
static void get_one(int i) { get(i, 0); }
static void get_two(int i) { get(i, 0), get(i, 1); }
static void get_all(int i) {
    for (int slot = 0; slot < 4; slot++) {
        get(i, slot);
        if (answer[i] != SK_OK) return;
    }
}
static void work_one(int i) {
    get(i, 0);
    sk_queue_task_done(sk_queue_of(&segment[i]), 1);
}
static void put_and_join(int i) {
    put(i, 10);
    answer[i] = sk_queue_join(&segment[i], UINT64_MAX);
    unfinished = sk_queue_unfinished_now(sk_queue_of(&segment[i]));
}
static void end(int i) { answer[i] = sk_queue_shutdown(&segment[i], false, UINT64_MAX); }
static void widen(int i) { sk_queue_set_maxsize(sk_queue_of(&segment[i]), 2); }

static void exclude(int i) {
    uint32_t *word = &sk_queue_of(&segment[i])->put_lock;
    for (int k = 0; k < 2; k++) {
        segment[i].waiter.patience = 0;
        answer[i] = sk_lock_take(&segment[i].seats, &segment[i].waiter, word, UINT64_MAX);
        if (inside++ != 0 || answer[i] != SK_OK) exit(1);
        sk_load32_relaxed(word); /* others may come here */
        inside--;
        sk_lock_give(word);
    }
}

/* Every item that was put was taken once. */
static bool sums_to(uint32_t sum) {
    uint32_t all = 0;
    for (int i = 0; i < MOST_PARTICIPANTS; i++)
        for (int slot = 0; slot < 4; slot++) all += got[i][slot];
    return all == sum;
}
static bool always(void) { return true; }
static bool one_item(void) { return sums_to(10); }
static bool two_items(void) { return sums_to(10 + 11); }
static bool both_in_order(void) { return sums_to(30) && got[1][0] == 10 && got[1][1] == 20; }
static bool ten_and_twenty(void) { return sums_to(30); }
static bool joined(void) { return sums_to(10) && unfinished == 0; }
static bool both_in(void) { return sk_queue_count(sk_queue_of(&segment[0])) == 2; }
static bool in_or_refused(void) { /* an item is taken if its put was not refused */
    return answer[1] == SK_SHUTDOWN && sums_to(answer[0] == SK_OK ? 10 : 0);
}
static bool nothing_more(void) { return answer[1] == SK_SHUTDOWN && sums_to(0); }
static bool one_in(void) { return answer[0] == SK_SHUTDOWN && sk_queue_count(sk_queue_of(&segment[0])) <= 1; }

/* The scheme that was replaced by events, to show that this enumeration finds what is wrong with it: the waker lowers
 * the flag although somebody who has just raised it is not asleep yet, or while another waker looks. */
static uint32_t *const condition = (uint32_t *)(void *)shared, *const flag = (uint32_t *)(void *)(shared + 64);

static void old_wait(int i) {
    for (;;) {
        uint32_t seen = sk_load32_acquire(condition);
        while (seen > 0)
            if (sk_cas32_acquire(condition, &seen, seen - 1)) return;
        sk_store32_seq_cst(flag, 1);
        segment[i].waiter.patience = 0;
        sk_park_slice(&segment[i].waiter, condition, seen, SK_PARK_SLICE_NS, UINT64_MAX);
    }
}
static void old_wake(int i) {
    (void)i;
    sk_add32_seq_cst(condition, 1);
    if (sk_load32_relaxed(flag) == 0) return;
    sk_store32_seq_cst(flag, 0);
    if (sk_wake(condition, 1) > 0) sk_store32_seq_cst(flag, 1);
}

typedef struct scenario {
    const char *name;
    uint64_t bound;
    void (*work[MOST_PARTICIPANTS])(int);
    bool (*right)(void);
    bool faulty;
} scenario;

static const scenario all[] = {
    {"a put wakes the one that waits", 0, {put_one, get_one}, one_item, false},
    {"two puts wake two that wait", 0, {put_one, put_one, get_one, get_one}, two_items, false},
    {"one that takes two", 0, {put_two, get_two}, both_in_order, false},
    {"two that take from one", 0, {put_two, get_one, get_one}, ten_and_twenty, false},
    {"a full queue: room wakes", 1, {put_two, get_two}, both_in_order, false},
    {"a full queue: two that put", 1, {put_one, put_one, get_two}, two_items, false},
    {"a larger bound wakes", 1, {put_two, widen}, both_in, false},
    {"join ends with the last task", 0, {put_and_join, work_one}, joined, false},
    {"shutdown ends a wait for items", 0, {put_one, get_all, end}, in_or_refused, false},
    {"shutdown after the last put", 0, {end, get_all}, nothing_more, false},
    {"shutdown ends a wait for room", 1, {put_two, end}, one_in, false},
    {"the lock excludes and wakes", 0, {exclude, exclude, exclude}, always, false},
    {"flags instead of events", 0, {old_wake, old_wake, old_wait, old_wait}, always, true},
};

int main(int argc, char **argv) {
    int most = argc > 1 ? atoi(argv[1]) : 2, failed = 0;
    for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++) {
        const scenario *it = &all[i];
        bound = it->bound;
        for (model.n = 0; model.n < MOST_PARTICIPANTS && it->work[model.n] != NULL; model.n++)
            model.who[model.n].work = it->work[model.n];
        model.preemptions = most - (model.n == MOST_PARTICIPANTS);
        uint64_t stuck = stuck_in_any(prepare, it->right);
        bool good = (stuck > 0) == it->faulty;
        printf("%-34s %9llu schedules, %llu stuck%s\n", it->name, (unsigned long long)model.schedules,
               (unsigned long long)stuck, good ? "" : "   <- wrong");
        failed |= !good;
    }
    return failed;
}
