/* A few threads that live as long as the process and share out the pieces of a job.
 *
 * Threads start when a job first wants them and sleep between jobs; they know nothing of Python and never
 * need the GIL. The caller works too, so a job ends even where no thread can be started. After a fork the
 * child has none of them and starts its own. Several callers may run jobs at once.
 */
#ifndef SK_POOL_H
#define SK_POOL_H

#include <stddef.h>

#define SK_POOL_MAX 64     /* threads, the caller not counted */

typedef void (*sk_pool_work)(void *context, size_t piece);

/* Calls work(context, i) once for each i in [0, pieces), on at most `threads` threads with the caller's; returns
 * when all calls have returned. */
void sk_pool_run(size_t threads, size_t pieces, sk_pool_work work, void *context);

#endif
