/* The platform contract: every system call of the C core, and the one place that chooses the platform.
 *
 * A platform is one file that defines these functions. No other C header makes system calls:
 *
 *   time        sk_now_ns, sk_wall_ns, sk_wall_coarse_ns, sk_relax, sk_yield, sk_nap
 *   waiting     sk_sleep_on, sk_wake               (a 32-bit word in memory shared by processes)
 *               sk_readable                         (whether a descriptor has something to read, or has ended)
 *               sk_words, sk_words_clear, sk_words_add, sk_words_is, sk_sleep_on_any    (many of them at once)
 *   threads     sk_private, sk_private_init, sk_private_lock, sk_private_unlock         (a mutex within one process)
 *               sk_thread                           (identifies the calling thread)
 *               sk_thread_start, sk_thread_join     (a thread of the C core, which runs no handler of a signal)
 *   process     sk_before_fork                      (handlers around every fork() of the C library)
 *               sk_wiped                            (memory that reads as zero in the child of any fork)
 *               sk_with_descriptors                 (call a function that opens files when no descriptor is free)
 *               sk_leave_descriptors                (give the calling thread a table of descriptors of its own)
 *               sk_uid, sk_in_group, sk_pid, sk_start_time
 *   liveness    sk_file_lock, sk_file_share, sk_file_unlock, sk_file_holder, sk_file_held_alone
 *               (byte-range locks that belong to an open file: the system frees them when the last descriptor and the
 *               last mapping of that open file are gone; a process can ask about a lock without taking it)
 *               sk_closings_open, sk_closings_add, sk_closings_read      (notices that such an open file is gone)
 *   memory      sk_file_reserve, sk_file_discard, sk_file_peek, sk_map, sk_map_over, sk_map_pin, sk_unmap
 *   files       sk_file_anonymous, sk_file_admit, sk_file_publish, sk_file_open, sk_file_open_to_read, sk_file_look,
 *               sk_file_at, sk_file_room, sk_file_rename, sk_file_remove, sk_file_close
 *
 * Functions that can fail return 0 or a negative errno. Only Linux is written and tested. */
#ifndef SK_PLATFORM_H
#define SK_PLATFORM_H

#if defined(__linux__)
#include "platform/sk_platform_linux.h"
#else
#error "sharedkit has no platform file for this system yet: see ext/include/platform/sk_platform.h"
#endif

#endif
