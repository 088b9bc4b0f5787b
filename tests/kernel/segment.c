/* The life of a segment: processes that create, attach and leave in a race get a whole segment or a clear refusal, and
 * in any order the last process to leave removes the name. */
#include "harness.h"

#include <sys/stat.h>
#include <sys/wait.h>

#include "core/sk_copy.h"

#define CREW 5

typedef struct life {
    uint64_t inside, entered;
} life;

static uint64_t created, attached, gone, swept, orphaned;

static int fill(sk_segment *s) {
    ((life *)sk_body_of(s))->entered = 1000;
    return SK_OK;
}

static const sk_plan plan = {.kind = 9, .seats = CREW + 1, .body_len = sizeof(life), .fill = fill,
                             .param = {1, 2, 3}, .meta = "what it is", .meta_len = 10};

static _Thread_local uint64_t random_state_of_life;

/* A segment that was created or attached is whole, and keeps its name as long as a process is present. */
static void live_in(sk_segment *s) {
    life *l = sk_body_of(s);
    sk_header h;
    memcpy(&h, s->base, sizeof h);
    CHECK(sk_header_refuse(&h, s->base_len) == SK_OK && h.param[2] == 3);
    CHECK(memcmp(&h, sk_header_of(s), sizeof h) == 0 && memcmp(s->base + h.meta, "what it is", 10) == 0);
    sk_add64_seq_cst(&l->inside, 1);
    CHECK(sk_add64_seq_cst(&l->entered, 1) >= 1000);
    CHECK(sk_segment_is_named(s) && sk_segment_in_use(s));
    if (random_u64(&random_state_of_life) % 2 == 0) {
        sit(s);
        CHECK(sk_lives(s, sk_me(s)));
    }
    sk_add64_seq_cst(&l->inside, (uint64_t)-1);
}

static void *come_and_go(void *number) {
    uint64_t until = deadline_in(opt.millis), random_state = opt.seed * 31 + (uint64_t)(uintptr_t)number;
    while (sk_now_ns() < until || sk_load64_relaxed(&created) == 0 || sk_load64_relaxed(&attached) == 0) {
        sk_segment s;
        bool making = random_u64(&random_state) % 2 == 0;
        int rc = making ? sk_segment_create(&s, FOLDER, path, &plan) : sk_segment_attach(&s, path, SK_TRUST_OWN, true);
        if (rc == SK_OK) {
            sk_add64_relaxed(making ? &created : &attached, 1);
            live_in(&s);
            if (random_u64(&random_state) % 4 == 0) { /* pass it on, as to a child that is being started */
                sk_file there;
                int fd = sk_segment_transit(&s);
                CHECK(fd >= 0);
                sk_segment_abandon(&s);
                CHECK(sk_file_at(path, &there) == 0 && sk_same_file(there.id, s.seats.file));
                sk_segment t;
                CHECK(sk_segment_attach(&t, path, SK_TRUST_OWN, true) == SK_OK);
                sk_file_close(fd);
                live_in(&t);
                sk_segment_abandon(&t);
                continue;
            }
            if (random_u64(&random_state) % 16 == 0) { /* die */
                sk_add64_relaxed(&orphaned, 1);
                die(&s);
                continue;
            }
            sk_segment_abandon(&s);
        } else {
            CHECK(rc == SK_BUSY || rc == (making ? SK_EXISTS : SK_GONE));
            if (rc == SK_GONE) sk_add64_relaxed(&gone, 1);
        }
        if (random_u64(&random_state) % 8 == 0) {
            int removed = sk_segment_sweep(&sk_this_process, path, false);
            CHECK(removed >= 0 || removed == SK_GONE);
            if (removed > 0) sk_add64_relaxed(&swept, 1);
        }
    }
    return NULL;
}

static void refuse(uint64_t offset, uint32_t bits, int with) {
    sk_segment s, t;
    CHECK(sk_segment_create(&s, FOLDER, path, &plan) == SK_OK);
    uint32_t *word = (uint32_t *)(void *)(s.base + offset);
    *word ^= bits;
    CHECK(sk_segment_attach(&t, path, SK_TRUST_OWN, true) == with && t.seats.id == NULL && t.maps == 0);
    *word ^= bits;
    CHECK(sk_segment_attach(&t, path, SK_TRUST_OWN, true) == SK_OK);
    sk_segment_abandon(&t);
    sk_segment_abandon(&s);
}

static void damaged(void) {
    refuse(0, 1, SK_FOREIGN);
    refuse(offsetof(sk_header, layout), 1, SK_OTHER_LAYOUT);
    for (uint64_t at = offsetof(sk_header, kind); at < sizeof(sk_header); at += 4) refuse(at, 1u << (at % 31), SK_CORRUPT);
    refuse(SK_SEATS_AT + (CREW + 1) * sizeof(sk_seat_entry), 1, SK_CORRUPT); /* the description */
}

/* A copy shows what the segment holds, and what is done to the copy stays there. */
static void copied(void) {
    uint8_t whole[SK_COPY_KINDS], partly[SK_COPY_KINDS];
    char other[SK_PATH];
    memset(whole, SK_COPY_WHOLE, sizeof whole);
    memset(partly, SK_COPY_WHOLE, sizeof partly);
    partly[plan.kind] = 0; /* param[0] is 1, which lies in the header: too little, so all is copied */
    sk_segment s, t, c;
    CHECK(sk_segment_create(&s, FOLDER, path, &plan) == SK_OK);
    sit(&s);
    for (int i = 0; i < 2; i++) {
        CHECK(sk_segment_copy(&c, path, i == 0 ? whole : partly) == SK_OK);
        CHECK(((life *)sk_body_of(&c))->entered == 1000 && memcmp(c.base, s.base, s.base_len) == 0);
        CHECK(sk_me(&c) == 0 && sk_segment_sit(&c) == SK_NO_SEAT && sk_lives(&c, sk_me(&s)) && sk_segment_in_use(&c));
        memset(c.base, 0xff, c.base_len);
        CHECK(((life *)sk_body_of(&s))->entered == 1000);
        unsigned char *at;
        CHECK(sk_segment_reach(&c, c.base_len + 1, &at) == SK_CORRUPT); /* it never maps the file */
        sk_segment_abandon(&c);
    }
    sk_plan long_one = plan;
    long_one.body_len = 64 * SK_PAGE;
    long_one.param[0] = 2 * SK_PAGE;
    snprintf(other, sizeof other, "%s-long", path);
    CHECK(sk_segment_create(&t, FOLDER, other, &long_one) == SK_OK);
    memset(t.base + SK_PAGE, 7, 3 * SK_PAGE);
    CHECK(sk_segment_copy(&c, other, partly) == SK_OK);
    CHECK(c.base[2 * SK_PAGE - 1] == 7 && c.base[2 * SK_PAGE] == 0 && c.base[c.base_len - 1] == 0);
    sk_segment_abandon(&c);
    int fd = open(other, O_RDWR);
    CHECK(fd >= 0 && ftruncate(fd, SK_PAGE) == 0); /* as another user could do: refused, and no bus error */
    close(fd);
    CHECK(sk_segment_copy(&c, other, whole) == SK_CORRUPT && c.maps == 0);
    CHECK(truncate(other, (off_t)(SK_COPY_MOST + 1)) == 0 && sk_segment_copy(&c, other, whole) == SK_TOO_LARGE);
    sk_segment_abandon(&t);
    CHECK(sk_segment_copy(&c, other, whole) == SK_GONE);
    CHECK(chmod(path, 0666) == 0 && sk_segment_attach(&t, path, SK_TRUST_GROUP, true) == SK_UNTRUSTED);
    CHECK(sk_segment_copy(&c, path, whole) == SK_OK); /* a copy may be made of any user's file */
    sk_segment_abandon(&c);
    sk_segment_abandon(&s);
    CHECK(access(path, F_OK) != 0);
}

/* All seats are taken, and one more is asked for: a process that got none asks again, and gets the seat that became
 * free. */
static void seats(void) {
    sk_segment all[CREW + 2], look;
    for (int i = 0; i < CREW + 2; i++) {
        sk_segment *s = &all[i];
        CHECK((i == 0 ? sk_segment_create(s, FOLDER, path, &plan) : sk_segment_attach(s, path, SK_TRUST_OWN, true)) == SK_OK);
        CHECK(sk_me(s) == 0); /* the segment has not been used yet */
        CHECK(sk_segment_sit(s) == (i <= CREW ? SK_OK : SK_NO_SEAT));
    }
    CHECK(sk_segment_attach(&look, path, SK_TRUST_OWN, false) == SK_OK && sk_segment_sit(&look) == SK_NO_SEAT);
    uint32_t was = sk_me(&all[3]);
    CHECK(sk_lives(&look, was));
    sk_segment_abandon(&all[3]);
    CHECK(!sk_lives(&look, was));
    CHECK(sk_segment_sit(&all[CREW + 1]) == SK_OK);
    CHECK(sk_owner_seat(sk_me(&all[CREW + 1])) == sk_owner_seat(was) && sk_me(&all[CREW + 1]) != was); /* another epoch */
    CHECK(!sk_lives(&look, was));
    for (int i = 0; i <= CREW + 1; i++)
        if (i != 3) sk_segment_abandon(&all[i]);
    CHECK(access(path, F_OK) != 0);
    sk_segment_abandon(&look);
}

/* A seat whose epochs are used up is never taken again. */
static void wrap(void) {
    sk_segment s, t;
    CHECK(sk_segment_create(&s, FOLDER, path, &plan) == SK_OK);
    s.seats.table[0].epoch = SK_EPOCH_LAST - 1;
    sit(&s);
    uint32_t last = sk_me(&s);
    CHECK(sk_owner_epoch(last) == SK_EPOCH_LAST && sk_owner_seat(last) == 0 && sk_lives(&s, last));
    CHECK(sk_segment_attach(&t, path, SK_TRUST_OWN, true) == SK_OK);
    sk_segment_abandon(&s);
    CHECK(!sk_lives(&t, last));
    sit(&t);
    CHECK(sk_owner_seat(sk_me(&t)) == 1 && !sk_lives(&t, last));
    for (uint32_t i = 0; i <= CREW; i++) t.seats.table[i].epoch = SK_EPOCH_LAST;
    CHECK(sk_segment_attach(&s, path, SK_TRUST_OWN, true) == SK_OK && sk_segment_sit(&s) == SK_NO_SEAT);
    sk_segment_abandon(&s);
    sk_segment_abandon(&t);
}

/* No descriptor is needed: a program may close all of them. */
static void without_descriptors(void) {
    sk_segment s, t;
    create(&s, &plan);
    for (int fd = 3; fd < 256; fd++) close(fd);
    CHECK(sk_segment_attach(&t, path, SK_TRUST_OWN, true) == SK_OK);
    CHECK(sk_lives(&t, sk_me(&s)) && sk_segment_in_use(&t));
    sk_segment_abandon(&t);
    CHECK(access(path, F_OK) == 0);
    sk_segment_abandon(&s);
    CHECK(access(path, F_OK) != 0);
}

/* The child of a fork keeps the presence but no seat, whether the C library saw the fork or not; it can take its own
 * seat later. */
static void forked(bool seen) {
    sk_segment s, t;
    int go[2], status;
    CHECK(pipe(go) == 0);
    create(&s, &plan);
    uint32_t mine = sk_me(&s);
    pid_t child = seen ? fork() : (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (child == 0) {
        char c;
        close(go[1]);
        bool ok = sk_me(&s) == 0 && read(go[0], &c, 1) == 1 && !sk_lives(&s, mine);
        ok = ok && sk_segment_sit(&s) == SK_OK && sk_me(&s) != mine;
        sk_segment_abandon(&s);
        _exit(ok ? 0 : 1);
    }
    die(&s);
    CHECK(sk_segment_attach(&t, path, SK_TRUST_OWN, true) == SK_OK && !sk_lives(&t, mine));
    sk_segment_abandon(&t);
    CHECK(access(path, F_OK) == 0 && write(go[1], "x", 1) == 1); /* the child is present */
    CHECK(waitpid(child, &status, 0) == child && status == 0 && access(path, F_OK) != 0);
    close(go[0]), close(go[1]);
}

/* Whether a user-mode emulator runs this program: it was compiled for another machine than the one that runs it. */
static bool is_emulated(void) {
#if defined(__x86_64__)
    return false;
#else
    char text[1 << 14];
    int fd = open("/proc/cpuinfo", O_RDONLY);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0) close(fd);
    text[n > 0 ? n : 0] = 0;
    return strstr(text, "GenuineIntel") != NULL || strstr(text, "AuthenticAMD") != NULL;
#endif
}

static void persistent(void) {
    sk_segment s, t;
    sk_plan stays = plan;
    stays.flags = SK_PERSIST;
    CHECK(sk_segment_create(&s, FOLDER, path, &stays) == SK_OK);
    sk_segment_abandon(&s);
    CHECK(sk_segment_sweep(&sk_this_process, path, false) == 0);
    CHECK(sk_segment_attach(&s, path, SK_TRUST_OWN, true) == SK_OK);
    live_in(&s);
    sit(&s);
    uint64_t other[2] = {0, 0};
    CHECK(sk_segment_unname(&sk_this_process, path, other) == -ENOENT && sk_segment_is_named(&s));
    CHECK(sk_segment_unname(&sk_this_process, path, s.seats.file) == 0); /* attached processes go on; none can attach */
    char hidden[SK_PATH];
    sk_hidden_path(hidden, path, s.seats.file);
    CHECK(access(hidden, F_OK) == 0 && sk_lives(&s, sk_me(&s)) && sk_segment_in_use(&s));
    CHECK(sk_add64_seq_cst(&((life *)sk_body_of(&s))->entered, 1) > 1000);
    CHECK(sk_segment_attach(&t, path, SK_TRUST_OWN, true) == SK_GONE);
    CHECK(sk_segment_create(&t, FOLDER, path, &plan) == SK_OK); /* another segment with that name */
    CHECK(sk_segment_sweep(&sk_this_process, hidden, true) == 0);
    sk_segment_abandon(&s);
    CHECK(access(hidden, F_OK) != 0 && access(path, F_OK) == 0);
    sk_segment_abandon(&t);
}

/* Permissions: a file that others may write is not opened; one that its group may write, only with SK_TRUST_GROUP. */
static void trusted(void) {
    sk_segment s, t;
    sk_plan ours = plan;
    ours.mode = 0660;
    ours.gid = (uint32_t)getegid();
    CHECK(sk_segment_create(&s, FOLDER, path, &ours) == SK_OK);
    CHECK(sk_segment_attach(&t, path, SK_TRUST_OWN, true) == SK_UNTRUSTED);
    CHECK(sk_segment_attach(&t, path, SK_TRUST_GROUP, true) == SK_OK);
    sk_segment_abandon(&t);
    CHECK(chmod(path, 0602) == 0 && sk_segment_attach(&t, path, SK_TRUST_GROUP, true) == SK_UNTRUSTED);
    sk_segment_abandon(&s);
    CHECK(symlink("/dev/null", path) == 0 && sk_segment_attach(&t, path, SK_TRUST_OWN, true) == SK_UNTRUSTED);
    CHECK(unlink(path) == 0 && mkfifo(path, 0600) == 0);
    CHECK(sk_segment_attach(&t, path, SK_TRUST_OWN, true) == SK_UNTRUSTED && unlink(path) == 0);
}

int main(int argc, char **argv) {
    begin(argc, argv, "segment");
    damaged();
    copied();
    seats();
    wrap();
    without_descriptors();
    if (!is_emulated()) { /* qemu-user ignores MADV_DONTFORK and MADV_WIPEONFORK */
        forked(true);
        forked(false);
    }
    persistent();
    trusted();
    crew c = {.n = 0};
    for (uintptr_t i = 0; i < CREW; i++) hire(&c, come_and_go, (void *)i);
    gather(&c);
    sk_segment_sweep(&sk_this_process, path, false); /* the last death may have left an orphan */
    CHECK(access(path, F_OK) != 0);
    CHECK(created > 0 && attached > 0);
    printf("%llu created, %llu attached, %llu refused, %llu died, %llu swept\n", (unsigned long long)created,
           (unsigned long long)attached, (unsigned long long)gone, (unsigned long long)orphaned, (unsigned long long)swept);
    return 0;
}
