/* One list of jobs under one mutex. Threads take the pieces of a job by an atomic counter. */
#include "sk_pool.h"

#include <pthread.h>
#include <signal.h>

typedef struct job {
    struct job *next;
    sk_pool_work work;
    void *context;
    size_t pieces;
    size_t taken;        /* atomic: the next piece */
    size_t wanted;       /* helpers that may still join; on the list while not 0 */
    size_t helpers;      /* threads at work beside the caller */
} job;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t offered = PTHREAD_COND_INITIALIZER, finished = PTHREAD_COND_INITIALIZER;
static pthread_once_t prepared = PTHREAD_ONCE_INIT;
static job *jobs;
static size_t alive;     /* threads started */

/* The child of a fork has only the thread that forked: no helper, and perhaps a lock that will never be released. */
static void after_fork(void) {
    lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    offered = finished = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
    jobs = NULL;
    alive = 0;
}

static void prepare(void) { pthread_atfork(NULL, NULL, after_fork); }

static void take_pieces(job *j) {
    for (size_t i; (i = __atomic_fetch_add(&j->taken, 1, __ATOMIC_RELAXED)) < j->pieces;) j->work(j->context, i);
}

static void withdraw(job *j) {
    for (job **place = &jobs; *place; place = &(*place)->next)
        if (*place == j) {
            *place = j->next;
            return;
        }
}

static void *helper(void *unused) {
    (void)unused;
    pthread_mutex_lock(&lock);
    for (;;) {
        while (!jobs) pthread_cond_wait(&offered, &lock);
        job *j = jobs;
        j->helpers++;
        if (--j->wanted == 0) withdraw(j);
        pthread_mutex_unlock(&lock);
        take_pieces(j);
        pthread_mutex_lock(&lock);
        if (--j->helpers == 0) pthread_cond_broadcast(&finished);
    }
    return NULL;
}

/* With the lock held: start threads until there are `wanted`, or the system refuses. They block all signals. */
static void start(size_t wanted) {
    sigset_t all, before;
    pthread_attr_t detached;
    if (alive >= wanted) return;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    for (pthread_t thread; alive < wanted && pthread_create(&thread, &detached, helper, NULL) == 0;) alive++;
    pthread_attr_destroy(&detached);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void sk_pool_run(size_t threads, size_t pieces, sk_pool_work work, void *context) {
    if (threads > pieces) threads = pieces;
    if (threads > SK_POOL_MAX + 1) threads = SK_POOL_MAX + 1;
    job own = {.work = work, .context = context, .pieces = pieces, .wanted = threads > 1 ? threads - 1 : 0};
    if (own.wanted) {
        pthread_once(&prepared, prepare);
        pthread_mutex_lock(&lock);
        start(own.wanted);
        own.next = jobs;
        jobs = &own;
        pthread_cond_broadcast(&offered);
        pthread_mutex_unlock(&lock);
    }
    take_pieces(&own);
    if (threads > 1) {
        pthread_mutex_lock(&lock);
        withdraw(&own);
        while (own.helpers) pthread_cond_wait(&finished, &lock);
        pthread_mutex_unlock(&lock);
    }
}
