/* Waits put aside. Loops that never sleep in a wait have together more waits than the system can sleep on at once; one
 * thread watches the words of all of them; other threads wait as usual. All want the permits of one semaphore. No
 * permit is lost or taken twice, and no wait is forgotten, even if waits are cancelled at any time.
 *
 * Then waits that last: more than several banks hold, for words of their own. Each word is changed once, with a wake-up
 * or without one, and each wait ends. */
#include "harness.h"
#include "structures/sk_semaphore.h"
#include "core/sk_watch.h"

#define LOOPS 2
#define WAITS 80
#define SYNC 2
#define PERMITS 3

typedef struct loop loop;
typedef struct wait {
    sk_watched node;
    sk_aside aside;
    sk_wait_state wait;
    loop *of;
    bool watched;
    uint32_t mail; /* 1: the wait was fired */
} wait;

struct loop {
    uint32_t mail; /* counts the waits that were fired */
    uint64_t got, cancelled, seed;
    wait waits[WAITS];
};

static sk_watch watch;
static loop loops[LOOPS];
static uint32_t held, most;
static uint64_t until, got_by_threads;

static void hold_one(sk_semaphore *p) {
    uint32_t now = sk_add32_seq_cst(&held, 1) + 1;
    CHECK(now <= PERMITS);
    if (now > sk_load32_relaxed(&most)) sk_store32_relaxed(&most, now);
    sk_add32_seq_cst(&held, (uint32_t)-1);
    CHECK(sk_semaphore_give(p, 1) == SK_OK);
}

static void *watcher(void *nothing) {
    (void)nothing;
    for (;;) {
        bool fired = sk_watch_wait(&watch, UINT64_MAX, UINT64_MAX);
        if (!fired) {
            sk_watch_dismiss(&watch);
            return NULL;
        }
        wait *w;
        while ((w = sk_watch_take(&watch)) != NULL) {
            loop *l = w->of;
            sk_store32_release(&w->mail, 1);
            sk_add32_seq_cst(&l->mail, 1);
            sk_wake(&l->mail, 1);
        }
    }
}

/* Try to take a permit, and put the wait aside instead of sleeping. */
static void look(sk_segment *s, sk_semaphore *p, wait *w) {
    int rc;
    do { /* on a busy machine a slice can end before the call would sleep; then no word is to be watched */
        memset(&w->aside, 0, sizeof w->aside);
        sk_waits_aside(&w->aside);
        rc = sk_semaphore_take(s, p, FOR_EVER, &w->wait);
        sk_waits_aside(NULL);
    } while (rc == SK_INTERRUPTED && w->aside.word == NULL);
    if (rc == SK_OK) {
        w->of->got++;
        w->watched = false;
        w->wait.began = w->wait.yielding_since = 0;
        hold_one(p);
        return;
    }
    CHECK(rc == SK_INTERRUPTED);
    w->node.what = w->aside;
    w->node.whose = w;
    w->watched = true;
    sk_store32_release(&w->mail, 0);
    sk_watch_add(&watch, &w->node);
}

static void give_up(sk_segment *s, sk_semaphore *p, wait *w) {
    sk_watch_remove(&watch, &w->node);
    sk_semaphore_cancel(s, p, &w->wait);
    memset(&w->wait, 0, sizeof w->wait);
    w->watched = false;
    w->of->cancelled++;
}

static void *run(void *which) {
    loop *l = which;
    sk_segment s;
    attach(&s);
    sk_semaphore *p = sk_semaphore_of(&s);
    for (int i = 0; i < WAITS; i++) {
        l->waits[i].of = l;
        l->waits[i].wait.thread = (uint32_t)(l - loops) * WAITS + (uint32_t)i + 1 + 0x80000000u;
    }
    while (sk_now_ns() < until) {
        uint32_t seen = sk_load32_acquire(&l->mail);
        bool idle = true;
        for (int i = 0; i < WAITS; i++) {
            wait *w = &l->waits[i];
            uint32_t thread = w->wait.thread;
            if (w->watched && random_u64(&l->seed) % 64 == 0) give_up(&s, p, w);
            w->wait.thread = thread;
            w->wait.aside = &w->aside;
            if (!w->watched || sk_load32_acquire(&w->mail)) {
                if (w->watched) sk_watch_remove(&watch, &w->node);
                look(&s, p, w);
                idle = false;
            }
        }
        if (idle) sk_sleep_on(&l->mail, seen, 20000000);
    }
    for (int i = 0; i < WAITS; i++)
        if (l->waits[i].watched) give_up(&s, p, &l->waits[i]);
    leave(&s);
    return NULL;
}

/* --- waits that last ------------------------------------------------------------------------------------- */

#define LASTING 400
#define SLICE_NS 5000000u

static struct lasting {
    wait of;
    uint32_t word;
    uint32_t done;
} lasting[LASTING];
static loop keeper;

static void put_aside(struct lasting *x) {
    uint32_t seen = sk_load32_acquire(&x->word);
    if (seen != 0) {
        sk_store32_release(&x->done, 1);
        return;
    }
    x->of.node.what = (sk_aside){.word = &x->word, .seen = seen, .until = sk_now_ns() + SLICE_NS, .limit = UINT64_MAX};
    x->of.node.whose = &x->of;
    sk_store32_release(&x->of.mail, 0);
    sk_watch_add(&watch, &x->of.node);
}

/* What a loop does: look again at what was fired; now and then also at something else. */
static void *keep(void *nothing) {
    (void)nothing;
    for (int i = 0; i < LASTING; i++) {
        lasting[i].of.of = &keeper;
        put_aside(&lasting[i]);
    }
    for (uint32_t left = LASTING; left > 0;) {
        uint32_t seen = sk_load32_acquire(&keeper.mail);
        left = 0;
        for (int i = 0; i < LASTING; i++) {
            struct lasting *x = &lasting[i];
            if (sk_load32_acquire(&x->done)) continue;
            left++;
            if (!sk_load32_acquire(&x->of.mail) && random_u64(&keeper.seed) % 1024 != 0) continue;
            sk_watch_remove(&watch, &x->of.node);
            put_aside(x);
        }
        if (left > 0) sk_sleep_on(&keeper.mail, seen, 1000000);
    }
    return NULL;
}

static void change_words(uint64_t seed) {
    uint32_t covered = 0;
    while (sk_watch_count(&watch, &covered) < LASTING || covered == 0) sk_nap(1000000);
    for (int i = 0; i < LASTING; i++) {
        sk_store32_seq_cst(&lasting[i].word, 1);
        if (random_u64(&seed) % 2) sk_wake(&lasting[i].word, 1);
        if (random_u64(&seed) % 16 == 0) sk_nap(1000000);
    }
}

static void *take_and_give(void *nothing) {
    (void)nothing;
    sk_segment s;
    attach(&s);
    sk_semaphore *p = sk_semaphore_of(&s);
    while (sk_now_ns() < until) {
        sk_wait_state wait = {.thread = 1};
        int rc;
        while ((rc = sk_semaphore_take(&s, p, until, &wait)) == SK_INTERRUPTED) continue;
        if (rc != SK_OK) break;
        sk_add64_seq_cst(&got_by_threads, 1);
        hold_one(p);
    }
    leave(&s);
    return NULL;
}

int main(int argc, char **argv) {
    begin(argc, argv, "watch");
    sk_plan plan = {.kind = 9, .seats = 16, .body_len = sk_semaphore_body_len(16), .fill = sk_semaphore_fill};
    plan.param[SK_SEMAPHORE_FIRST] = PERMITS;
    sk_segment s;
    crew c = {.n = 0}, eye = {.n = 0};
    create(&s, &plan);
    until = deadline_in(opt.millis);
    sk_watch_init(&watch, opt.polling);
    CHECK(!sk_watch_wait(&watch, sk_now_ns(), UINT64_MAX));
    hire(&eye, watcher, NULL);
    for (int i = 0; i < LOOPS; i++) {
        loops[i].seed = opt.seed + (uint64_t)i;
        hire(&c, run, &loops[i]);
    }
    for (int i = 0; i < SYNC; i++) hire(&c, take_and_give, NULL);
    gather(&c);
    keeper.seed = opt.seed;
    hire(&c, keep, NULL);
    change_words(opt.seed);
    gather(&c);
    sk_watch_end(&watch);
    gather(&eye);
    CHECK(sk_semaphore_value(sk_semaphore_of(&s)) == PERMITS && held == 0);
    CHECK(sk_seat_counts_sum(&s, sk_semaphore_of(&s)->waiters) == 0);
    for (int i = 0; i < LOOPS; i++) CHECK(loops[i].got > 0);
    CHECK(got_by_threads > 0 && watch.count == 0);
    leave(&s);
    return 0;
}
