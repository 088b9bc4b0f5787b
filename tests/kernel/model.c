/* No schedule of a few participants loses a wake-up, a notification, an item or the exclusion. The program runs the
 * real code of the C core in every interleaving of its steps with at most `preemptions` preemptions (with four
 * participants, one less): with a memory that is sequentially consistent, and again, with one preemption, with a memory
 * that reorders (memory.h). It also removes each kind of order, to show that it is needed: then some schedule goes
 * wrong.
 *
 * Usage: model [preemptions] */
#include "model.h"

#include "structures/sk_condition.h"
#include "structures/sk_mutex.h"
#include "structures/sk_bounded.h"
#include "structures/sk_queue_get.h"
#include "structures/sk_queue_put.h"
#include "structures/sk_queue_state.h"
#include "structures/sk_rwlock.h"
#include "structures/sk_semaphore.h"

_Static_assert(NAP_NS == SK_WAIT_STATE_STEP_NS, "who steps back naps");

static sk_segment segment[MOST_PARTICIPANTS];
static sk_identity identity[MOST_PARTICIPANTS];
static uint32_t got[MOST_PARTICIPANTS][4], inside, reading, writing;
static int answer[MOST_PARTICIPANTS];
static uint64_t bound;
static uint32_t unfinished;
static int (*fill)(sk_segment *);

static void prepare(void) {
    memset(shared, 0, sizeof shared);
    memset(got, 0, sizeof got);
    memset(answer, 0x55, sizeof answer);
    inside = reading = writing = 0;
    for (int i = 0; i < MOST_PARTICIPANTS; i++) {
        sk_segment *s = &segment[i];
        memset(s, 0, sizeof *s);
        identity[i] = (sk_identity){.me = 1u << SK_SEAT_BITS | (unsigned)i};
        s->seats = (sk_seats){.process = &sk_this_process, .id = &identity[i], .count = 4,
                              .table = (sk_seat_entry *)(void *)(shared + SK_SEATS_AT)};
        s->base = s->view = shared; /* patience stays 0: no spinning, which has no effect here */
        s->base_len = s->view_len = sizeof shared;
        s->maps = 1; /* not a private segment */
        s->header.seats = 4;
        s->header.body = sk_body_at(4, 0);
        s->header.param[SK_QUEUE_MAXSIZE] = bound;
        s->header.param[SK_QUEUE_FLOOR] = sk_queue_floor_for(4);
        s->header.param[SK_QUEUE_LOG2] = 8; /* one page */
        s->header.param[SK_QUEUE_START] = sk_position(UINT32_MAX, UINT32_MAX);
        s->seats.table[i].epoch = 1;
    }
    if (fill != NULL) fill(&segment[0]);
    if (fill == sk_queue_fill) { /* so that the second put moves the origin on */
        sk_queue *q = sk_queue_of(&segment[0]);
        q->geometry = sk_geometry(256, sk_units(q->tail) - 510);
    }
}

static void put(int i, uint32_t item) {
    sk_part part = {&item, sizeof item};
    segment[i].waiter.patience = 0;
    answer[i] = sk_queue_put(&segment[i], &part, 1, 3, (sk_call){.until = UINT64_MAX, .willing = true});
}

static void get(int i, int slot) {
    sk_found found;
    sk_call call = {.until = UINT64_MAX, .willing = true};
    do { /* SK_INTERRUPTED is also the result when an item has come */
        segment[i].waiter.patience = 0;
        answer[i] = sk_queue_get(&segment[i], &got[i][slot], 4, &found, call);
    } while (answer[i] == SK_INTERRUPTED);
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

static void *const guarded = shared + sizeof shared - 16; /* bytes that a lock guards */

static void exclude(int i) {
    uint32_t *word = &sk_queue_of(&segment[i])->put_lock;
    for (int k = 0; k < 2; k++) {
        segment[i].waiter.patience = 0;
        answer[i] = sk_lock_take(&segment[i], word, UINT64_MAX);
        if (inside++ != 0 || answer[i] != SK_OK) exit(1);
        sk_load32_relaxed(word); /* others may come here */
        model_touch(guarded);
        inside--;
        sk_lock_give(word);
    }
}

/* At most `most` participants are inside. A wait that began at 1 has waited long: it takes the token when it parks. A
 * wait that looks waits until the thing is free, as a thread of Python does without the GIL, and takes it afterwards. */
static void wait_and_go(int i, uint32_t most, sk_wait_state first, int (*in)(sk_segment *, sk_wait_state *),
                        int (*out)(sk_segment *)) {
    for (int k = 0; k < 2; k++) {
        sk_wait_state wait = first;
        do {
            segment[i].waiter.patience = 0;
            answer[i] = in(&segment[i], &wait);
            wait.look = first.look && answer[i] != SK_FREE;
        } while (sk_wait_state_goes_on(answer[i]));
        if (inside++ == most || answer[i] != SK_OK) exit(1);
        sk_load32_relaxed(sk_body_of(&segment[i])); /* others may come here */
        if (most == 1) model_touch(guarded);
        inside--;
        if (out(&segment[i]) != SK_OK) exit(1);
    }
}
static void go_in_and_out(int i, uint32_t most, uint64_t began, int (*in)(sk_segment *, sk_wait_state *),
                          int (*out)(sk_segment *)) {
    wait_and_go(i, most, (sk_wait_state){.thread = 1, .began = began}, in, out);
}
static void look_and_go(int i, uint32_t most, uint64_t began, int (*in)(sk_segment *, sk_wait_state *),
                        int (*out)(sk_segment *)) {
    wait_and_go(i, most, (sk_wait_state){.thread = 1, .began = began, .look = true}, in, out);
}
static int in_mutex(sk_segment *s, sk_wait_state *wait) { return sk_mutex_take(s, sk_body_of(s), UINT64_MAX, wait); }
static int out_of_mutex(sk_segment *s) { return sk_mutex_give(s, sk_body_of(s)); }
static int in_semaphore(sk_segment *s, sk_wait_state *wait) {
    return sk_semaphore_take(s, sk_semaphore_of(s), UINT64_MAX, wait);
}
static int out_of_semaphore(sk_segment *s) { return sk_semaphore_give(sk_semaphore_of(s), 1); }
static int in_permits(sk_segment *s, sk_wait_state *wait) { return sk_bounded_take(s, true, UINT64_MAX, wait); }
static int out_of_permits(sk_segment *s) { return sk_bounded_give(s, 1, UINT64_MAX); }

static void mutex(int i) { go_in_and_out(i, 1, 0, in_mutex, out_of_mutex); }
static void mutex_late(int i) { go_in_and_out(i, 1, 1, in_mutex, out_of_mutex); }
static void semaphore(int i) { go_in_and_out(i, (uint32_t)bound, 0, in_semaphore, out_of_semaphore); }
static void semaphore_late(int i) { go_in_and_out(i, (uint32_t)bound, 1, in_semaphore, out_of_semaphore); }
static void permits(int i) { go_in_and_out(i, (uint32_t)bound, 0, in_permits, out_of_permits); }
static void permits_late(int i) { go_in_and_out(i, (uint32_t)bound, 1, in_permits, out_of_permits); }
static void mutex_look(int i) { look_and_go(i, 1, 0, in_mutex, out_of_mutex); }
static void mutex_look_late(int i) { look_and_go(i, 1, 1, in_mutex, out_of_mutex); }
static void semaphore_look(int i) { look_and_go(i, (uint32_t)bound, 0, in_semaphore, out_of_semaphore); }
static void semaphore_look_late(int i) { look_and_go(i, (uint32_t)bound, 1, in_semaphore, out_of_semaphore); }
static void permits_look(int i) { look_and_go(i, (uint32_t)bound, 0, in_permits, out_of_permits); }
static void wait_once(int i) {
    sk_wait_state wait = {.thread = 1};
    segment[i].waiter.patience = 0;
    answer[i] = in_semaphore(&segment[i], &wait);
}
static void give_two(int i) { answer[i] = sk_semaphore_give(sk_semaphore_of(&segment[i]), 2); }

/* Readers and writers. A reader whose wait began at 1 has waited long: it takes the token when it parks. */
static void read_side(int i, uint64_t began) {
    sk_segment *s = &segment[i];
    sk_rw_wait w = {0};
    sk_wait_state wait = {.thread = 1, .began = began};
    do segment[i].waiter.patience = 0;
    while ((answer[i] = sk_rw_read(s, &w, UINT64_MAX, &wait)) == SK_INTERRUPTED);
    if (writing != 0 || answer[i] != SK_OK) model.wrong = true;
    reading++;
    sk_load32_relaxed(sk_body_of(s)); /* others may come here */
    reading--;
    if (sk_rw_end_read(s) != SK_OK) exit(1);
}
static void write_with(int i, bool look) {
    sk_segment *s = &segment[i];
    sk_rw_wait w = {0};
    sk_wait_state wait = {.thread = 1};
    answer[i] = look ? sk_rw_try_write(s, &w) : SK_BUSY;
    while (answer[i] == SK_BUSY || sk_wait_state_goes_on(answer[i])) {
        segment[i].waiter.patience = 0;
        wait.look = look && answer[i] != SK_FREE;
        answer[i] = sk_rw_write(s, &w, UINT64_MAX, &wait);
    }
    if (writing++ != 0 || reading != 0 || answer[i] != SK_OK) model.wrong = true;
    sk_load32_relaxed(sk_body_of(s)); /* others may come here */
    model_touch(guarded);
    writing--;
    if (sk_rw_end_write(s) != SK_OK) exit(1);
}
static void write_side(int i) { write_with(i, false); }
static void write_look(int i) { write_with(i, true); }
static void reader(int i) { read_side(i, 0); }
static void reader_late(int i) { read_side(i, 1); }
/* Begin with a stopped process that wants to write. */
static int fill_wanted(sk_segment *s) {
    (void)s;
    sk_rw_wait w = {0};
    sk_rw_announce(&segment[3], &w);
    return SK_OK;
}

/* Two notifications for two waiters, one of which dies. The slots belong to X, Z and Y. X was notified before Y came,
 * and died. Participant 0 notifies; participant 1 is Y, which passes on the notification of X; participant 2 is Z,
 * which dies. */
static sk_condition_waiter *waiter(int slot) { return &sk_condition_of(&segment[0])->slot[slot]; }
static void have_slots(void) {
    for (int i = 0; i < MOST_PARTICIPANTS; i++) segment[i].header.param[SK_CONDITION_SLOTS] = SK_CONDITION_WAITERS;
}
static int fill_told(sk_segment *s) {
    sk_condition *c = sk_condition_of(s);
    have_slots();
    c->next = c->high = 3;
    *waiter(0) = (sk_condition_waiter){.word = sk_me(&segment[3]) | SK_NOTIFIED, .ticket = 0, .before = 2};
    *waiter(1) = (sk_condition_waiter){.word = sk_me(&segment[2]), .ticket = 1};
    *waiter(2) = (sk_condition_waiter){.word = sk_me(&segment[1]), .ticket = 2};
    s->seats.table[3].epoch = 2;
    return SK_OK;
}
static void notify_one(int i) { sk_condition_notify(&segment[i], sk_condition_of(&segment[i]), 1); }
static void pass_it_on(int i) { sk_condition_pass_on(&segment[i], sk_condition_of(&segment[i])); }
static void perish(int i) { sk_store32_release(&segment[i].seats.table[i].epoch, 2); }
static bool the_living_is_told(void) {
    pass_it_on(1);
    pass_it_on(1);
    return waiter(2)->word == (sk_me(&segment[1]) | SK_NOTIFIED);
}

/* One waiter, and a participant that notifies it. */
static int fill_asleep(sk_segment *s) {
    sk_condition *c = sk_condition_of(s);
    have_slots();
    c->next = c->high = 1;
    *waiter(0) = (sk_condition_waiter){.word = sk_me(&segment[1]), .ticket = 0};
    return SK_OK;
}
static void await_notification(int i) {
    sk_segment *s = &segment[i];
    s->waiter.patience = 0;
    answer[i] = sk_condition_wait(s, sk_condition_of(s), waiter(0), sk_me(s), UINT64_MAX);
}
static bool told(void) { return answer[1] == SK_OK; }

/* A process takes a seat and then a lock; another asks whether the owner that it finds in the word lives. */
static int fill_unseated(sk_segment *s) {
    s->seats.table[0].epoch = 0;
    return sk_queue_fill(s);
}
static void sit_and_take(int i) {
    sk_store32_release(&segment[i].seats.table[i].epoch, 1);
    answer[i] = sk_lock_take(&segment[i], &sk_queue_of(&segment[i])->put_lock, UINT64_MAX);
}
static void inherit(int i) {
    uint32_t *word = &sk_queue_of(&segment[i])->put_lock, seen = sk_load32_relaxed(word);
    if (seen != 0 && sk_lock_inherit(&segment[i], word, seen)) model.wrong = true;
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
static bool nobody_waits(void) {
    const sk_mutex *m = sk_body_of(&segment[0]);
    return m->word == 0 && m->token == 0 && sk_seat_counts_sum(&segment[0], m->waiters) == 0;
}
static bool all_free(void) {
    const sk_semaphore *p = sk_semaphore_of(&segment[0]);
    return p->value == bound && p->token == 0 && sk_seat_counts_sum(&segment[0], p->waiters) == 0;
}
static bool all_permitted(void) {
    const sk_bounded *p = sk_bounded_of(&segment[0]);
    return p->free == bound && p->lock == 0 && p->token == 0 && sk_bounded_value(&segment[0]) == bound;
}
static bool nobody_reads(void) {
    const sk_rwlock *l = sk_rw_of(&segment[0]);
    return sk_rw_writer(&segment[0])->word == 0 && l->token == 0 && !sk_rw_read_now(&segment[0]) &&
           sk_seat_counts_sum(&segment[0], sk_rw_waiting(&segment[0])) == 0;
}
static bool one_in(void) { return answer[0] == SK_SHUTDOWN && sk_queue_count(sk_queue_of(&segment[0])) <= 1; }

/* The scheme before eventcounts, to show that this enumeration finds its error: the waker clears the flag although a
 * waiter that has just set it is not asleep yet, or while another waker reads it. */
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

/* A former way to pass on the notification of a dead waiter: it stored `before` even if the swap failed. */
static void old_pass_on(int i) {
    sk_condition *c = sk_condition_of(&segment[i]);
    uint64_t before = sk_load64_relaxed(&waiter(0)->before);
    uint32_t owner = 0;
    sk_condition_waiter *z;
    while ((z = sk_condition_oldest(&segment[i], c, before, &owner)) != NULL) {
        if (!sk_lives(&segment[i], owner)) sk_cas32_seq_cst(&z->word, &owner, 0);
        else {
            sk_store64_relaxed(&z->before, before);
            if (sk_cas32_seq_cst(&z->word, &owner, owner | SK_NOTIFIED)) break;
        }
    }
    sk_store32_relaxed(&waiter(0)->word, 0);
}

typedef struct scenario {
    const char *name;
    uint64_t bound;
    void (*work[MOST_PARTICIPANTS])(int);
    bool (*right)(void);
    bool faulty;
    int (*fill)(sk_segment *);
} scenario;

static const scenario all[] = {
    {"a put wakes the one that waits", 0, {put_one, get_one}, one_item, false, sk_queue_fill},
    {"two puts wake two that wait", 0, {put_one, put_one, get_one, get_one}, two_items, false, sk_queue_fill},
    {"one consumer takes two", 0, {put_two, get_two}, both_in_order, false, sk_queue_fill},
    {"two consumers", 0, {put_two, get_one, get_one}, ten_and_twenty, false, sk_queue_fill},
    {"a full queue: room wakes", 1, {put_two, get_two}, both_in_order, false, sk_queue_fill},
    {"a full queue: two producers", 1, {put_one, put_one, get_two}, two_items, false, sk_queue_fill},
    {"a larger bound wakes", 1, {put_two, widen}, both_in, false, sk_queue_fill},
    {"join ends with the last task", 0, {put_and_join, work_one}, joined, false, sk_queue_fill},
    {"shutdown ends a wait for items", 0, {put_one, get_all, end}, in_or_refused, false, sk_queue_fill},
    {"shutdown after the last put", 0, {end, get_all}, nothing_more, false, sk_queue_fill},
    {"shutdown ends a wait for room", 1, {put_two, end}, one_in, false, sk_queue_fill},
    {"the lock excludes and wakes", 0, {exclude, exclude, exclude}, always, false, sk_queue_fill},
    {"the mutex excludes and wakes", 0, {mutex, mutex, mutex}, nobody_waits, false, NULL},
    {"the mutex with a token", 0, {mutex_late, mutex_late, mutex}, nobody_waits, false, NULL},
    {"the mutex, looking first", 0, {mutex_look, mutex_look, mutex}, nobody_waits, false, NULL},
    {"looking first, with a token", 0, {mutex_look_late, mutex_look_late, mutex_look}, nobody_waits, false, NULL},
    {"the semaphore lets one in", 1, {semaphore, semaphore, semaphore}, all_free, false, sk_semaphore_fill},
    {"the semaphore lets two in", 2, {semaphore, semaphore, semaphore}, all_free, false, sk_semaphore_fill},
    {"the semaphore with a token", 1, {semaphore_late, semaphore_late, semaphore}, all_free, false, sk_semaphore_fill},
    {"the semaphore, looking first", 1, {semaphore_look, semaphore_look, semaphore}, all_free, false, sk_semaphore_fill},
    {"the semaphore, with a token", 1, {semaphore_look_late, semaphore_look}, all_free, false, sk_semaphore_fill},
    {"two permits wake two that wait", 0, {wait_once, wait_once, give_two}, all_free, false, sk_semaphore_fill},
    {"the bounded semaphore lets one in", 1, {permits, permits}, all_permitted, false, sk_bounded_fill},
    {"the bounded semaphore with a token", 1, {permits_late, permits_late}, all_permitted, false, sk_bounded_fill},
    {"the bounded semaphore, looking first", 1, {permits_look, permits_look}, all_permitted, false, sk_bounded_fill},
    {"readers and a writer", 0, {reader, reader, write_side}, nobody_reads, false, NULL},
    {"a reader among writers", 0, {reader_late, write_side, write_side}, nobody_reads, false, NULL},
    {"readers and a writer that looks", 0, {reader, reader, write_look}, nobody_reads, false, NULL},
    {"a reader among writers that look", 0, {reader_late, write_look, write_look}, nobody_reads, false, NULL},
    {"a reader past a stopped writer", 0, {reader_late, write_side}, nobody_reads, false, fill_wanted},
    {"a notification wakes", 0, {notify_one, await_notification}, told, false, fill_asleep},
    {"two deaths lose no notification", 0, {notify_one, pass_it_on, perish}, the_living_is_told, false, fill_told},
    {"a holder that lives keeps its lock", 0, {sit_and_take, inherit, inherit}, always, false, fill_unseated},
    {"flags instead of eventcounts", 0, {old_wake, old_wake, old_wait, old_wait}, always, true, sk_queue_fill},
    {"a store before a failed swap", 0, {notify_one, old_pass_on, perish}, the_living_is_told, true, fill_told},
};

/* For each kind of order, a scenario that must go wrong without it. */
static const struct {
    const char *name, *scenario;
    unsigned without;
} missing[] = {
    {"fences of eventcounts: room", "a full queue: room wakes", FENCES},
    {"fences of eventcounts: permits", "the bounded semaphore lets one in", FENCES},
    {"fences of eventcounts: semaphore", "the semaphore lets one in", FENCES},
    {"fences of eventcounts: join", "join ends with the last task", FENCES},
    {"fences of eventcounts: readers", "readers and a writer", FENCES},
    {"fence of a writer that looks", "readers and a writer that looks", FENCES},
    {"fence of a notifier", "a notification wakes", FENCES},
    {"fence before the token: mutex", "the mutex with a token", FENCES},
    {"fence before the token: semaphore", "the semaphore with a token", FENCES},
    {"release of a commit", "one consumer takes two", RELEASE_STORES},
    {"acquire of a commit", "one consumer takes two", ACQUIRE_LOADS},
    {"acquire of a lock", "the lock excludes and wakes", TAKING},
    {"release of a lock", "the lock excludes and wakes", GIVING},
    {"acquire of a mutex", "the mutex excludes and wakes", TAKING},
    {"release of a mutex", "the mutex excludes and wakes", GIVING},
    {"release of an owner word", "a holder that lives keeps its lock", PUBLISHING},
    {"acquire of an owner word", "a holder that lives keeps its lock", ACQUIRE_FENCES},
};

static verdicts enumerate(const scenario *it, int preemptions) {
    bound = it->bound;
    fill = it->fill;
    for (model.n = 0; model.n < MOST_PARTICIPANTS && it->work[model.n] != NULL; model.n++)
        model.who[model.n].work = it->work[model.n];
    model.preemptions = preemptions - (model.n == MOST_PARTICIPANTS && preemptions > 1);
    return run_all(prepare, it->right);
}

static bool print(const char *name, verdicts v, bool faulty) {
    bool good = (v.stuck + v.raced + v.wrong > 0) == faulty;
    printf("%-38s %9llu schedules, %llu stuck, %llu raced, %llu wrong%s\n", name, (unsigned long long)model.schedules,
           (unsigned long long)v.stuck, (unsigned long long)v.raced, (unsigned long long)v.wrong, good ? "" : "   <- !");
    fflush(stdout);
    return good;
}

int main(int argc, char **argv) {
    int most = argc > 1 ? atoi(argv[1]) : 2;
    bool good = true;
    const unsigned n = sizeof all / sizeof all[0];
    for (unsigned i = 0; i < n; i++) good &= print(all[i].name, enumerate(&all[i], most), all[i].faulty);
    puts("with a memory that reorders:");
    memory.stale = most - 1;
    for (unsigned i = 0; i < n; i++)
        if (!all[i].faulty) good &= print(all[i].name, enumerate(&all[i], 1), false);
    puts("without one kind of order:");
    for (unsigned k = 0; k < sizeof missing / sizeof missing[0]; k++)
        for (unsigned i = 0; i < n; i++)
            if (strcmp(all[i].name, missing[k].scenario) == 0) {
                memory.without = missing[k].without;
                good &= print(missing[k].name, enumerate(&all[i], 1), true);
            }
    return good ? 0 : 1;
}
