/* A pool of threads that live as long as the process and divide the pieces of a job among them.
 *
 * Threads start when a job first needs them and sleep between jobs. They do not use Python and never need the
 * GIL. The caller works too, so a job ends even if no thread can be started. The child of a fork has none of
 * the threads and starts its own. Several callers may run jobs at once.
 */
#ifndef SK_POOL_H
#define SK_POOL_H

#include <stddef.h>

#define SK_POOL_MAX 64     /* threads, without the caller */

typedef void (*sk_pool_work)(void *context, size_t piece);

/* Calls work(context, i) once for each i in [0, pieces), on at most `threads` threads including the caller's;
 * returns when all calls have returned. */
void sk_pool_run(size_t threads, size_t pieces, sk_pool_work work, void *context);

#endif
