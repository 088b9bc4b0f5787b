/* Step one operation of another process instruction by instruction, and kill it between two of them.
 *
 * The victim is a forked child of the process that loads this library, so both have the same code at the same addresses. It calls
 * step_begin, does its operation, and calls step_end; each stops it with SIGSTOP. An instruction is *counted* when
 * it lies in a span of kind OWN (our compiled modules), or in one of kind CALLED (libc, vdso) that was entered from there.
 * What the interpreter does in between is stepped over and not counted.
 *
 * x86-64 Linux only: the breakpoint is an INT3, and instructions are told apart by their first bytes. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OWN = 1, CALLED = 2 };
enum { CHANGED = 1, LOCKED = 2, SYSCALL = 4, IN_OWN = 8 };
enum { FAILED = -1, ENDED = -2, EXITED = -3 };

typedef struct {
    uint64_t from, to;
    uint64_t kind;
} span;

typedef struct {
    uint64_t at;
    uint64_t flags;
} step;

typedef struct {
    const span *spans;
    int n;
    bool inside; /* the last instruction was counted */
} counter;

int step_begin(void) {
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) return -errno;
    return raise(SIGSTOP);
}

void step_end(void) { raise(SIGSTOP); }

static int kind_of(const counter *c, uint64_t at) {
    for (int i = 0; i < c->n; i++)
        if (at >= c->spans[i].from && at < c->spans[i].to) return (int)c->spans[i].kind;
    return 0;
}

/* Whether the instruction at `at`, which comes next, counts. */
static bool counts(counter *c, uint64_t at) {
    int kind = kind_of(c, at);
    c->inside = kind == OWN || (kind == CALLED && c->inside);
    return c->inside;
}

/* Wait until the victim stops: 0 for a trap, ENDED for its own SIGSTOP, EXITED when it is gone. Other signals go on to it. */
static int stopped(pid_t victim, int how) {
    int status;
    for (;;) {
        if (waitpid(victim, &status, 0) != victim) return FAILED;
        if (!WIFSTOPPED(status)) return EXITED;
        if (WSTOPSIG(status) == SIGTRAP) return 0;
        if (WSTOPSIG(status) == SIGSTOP) return ENDED;
        if (ptrace(how, victim, NULL, (void *)(long)WSTOPSIG(status)) != 0) return FAILED;
    }
}

static int go(pid_t victim, int how) {
    if (ptrace(how, victim, NULL, NULL) != 0) return FAILED;
    return stopped(victim, how);
}

static uint64_t next_of(pid_t victim) {
    return (uint64_t)ptrace(PTRACE_PEEKUSER, victim, (void *)offsetof(struct user_regs_struct, rip), NULL);
}

/* Wait for step_begin's stop; 0, or FAILED when the victim went away. */
int step_arrive(pid_t victim) {
    int rc = stopped(victim, PTRACE_CONT);
    if (rc != ENDED) return FAILED;
    return ptrace(PTRACE_SETOPTIONS, victim, NULL, (void *)PTRACE_O_EXITKILL) == 0 ? 0 : FAILED;
}

static uint64_t flags_of(const unsigned char *code) {
    uint64_t flags = 0;
    if (code[0] == 0x0f && code[1] == 0x05) flags |= SYSCALL;
    int at = 0;
    while (code[at] == 0x66 || code[at] == 0xf2 || code[at] == 0xf3) at++;
    if (code[at] == 0xf0) flags |= LOCKED;
    if ((code[at] & 0xf0) == 0x40) at++; /* REX */
    if ((code[at] == 0x86 || code[at] == 0x87) && (code[at + 1] & 0xc0) != 0xc0) flags |= LOCKED; /* xchg with memory */
    return flags;
}

/* Step from step_begin to step_end and write down every counted instruction. `watch` is memory that the victim shares with us:
 * instructions that change it are marked. Answers how many; ENDED is the regular end. */
long step_trace(pid_t victim, const span *spans, int n, const void *watch, size_t watched, void *copy, step *out,
                long room) {
    counter c = {spans, n, false};
    long done = 0;
    if (watched > 0) memcpy(copy, watch, watched);
    for (;;) {
        uint64_t at = next_of(victim);
        bool counted = counts(&c, at);
        if (counted) {
            if (done == room) return FAILED;
            out[done].at = at;
            out[done].flags = flags_of((const unsigned char *)(uintptr_t)at) | (kind_of(&c, at) == OWN ? IN_OWN : 0);
        }
        int rc = go(victim, PTRACE_SINGLESTEP);
        if (rc == ENDED) return done;
        if (rc != 0) return rc;
        if (counted) {
            if (watched > 0 && memcmp(copy, watch, watched) != 0) {
                out[done].flags |= CHANGED;
                memcpy(copy, watch, watched);
            }
            done++;
        }
    }
}

static int run_to(pid_t victim, uint64_t at) {
    errno = 0;
    long code = ptrace(PTRACE_PEEKTEXT, victim, (void *)at, NULL);
    if (errno != 0) return FAILED;
    long trap = (code & ~0xffL) | 0xcc;
    if (ptrace(PTRACE_POKETEXT, victim, (void *)at, (void *)trap) != 0) return FAILED;
    int rc = go(victim, PTRACE_CONT);
    if (rc != 0) return rc;
    struct user_regs_struct regs;
    if (ptrace(PTRACE_GETREGS, victim, NULL, &regs) != 0 || regs.rip != at + 1) return FAILED;
    regs.rip = at;
    if (ptrace(PTRACE_SETREGS, victim, NULL, &regs) != 0) return FAILED;
    return ptrace(PTRACE_POKETEXT, victim, (void *)at, (void *)code) == 0 ? 0 : FAILED;
}

/* Let the victim run to the instruction `from`, then `counted` counted instructions further; it is stopped there and *at is the
 * next one. ENDED: it came to step_end before. */
int step_to(pid_t victim, const span *spans, int n, uint64_t from, long counted, uint64_t *at) {
    counter c = {spans, n, false};
    int rc = run_to(victim, from);
    while (rc == 0 && counted > 0) {
        if (counts(&c, next_of(victim))) counted--;
        rc = go(victim, PTRACE_SINGLESTEP);
    }
    *at = rc == 0 ? next_of(victim) : 0;
    return rc;
}

/* Let go of a stopped victim: it runs on, and dies with nobody. */
int step_release(pid_t victim) { return ptrace(PTRACE_DETACH, victim, NULL, NULL) == 0 ? 0 : FAILED; }

/* SIGKILL, and wait until the victim is gone. */
int step_kill(pid_t victim) {
    int status = 0;
    if (kill(victim, SIGKILL) != 0) return FAILED;
    while (waitpid(victim, &status, 0) == victim)
        if (!WIFSTOPPED(status)) return status;
    return FAILED;
}
