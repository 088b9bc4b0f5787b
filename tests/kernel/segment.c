/* Life of a segment: who creates, attaches and leaves in a race gets a whole segment or a clear refusal, and the last
 * one out leaves no name, in whatever order. */
#include "harness.h"

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

/* A segment that was let in is whole, and has its name for as long as anybody is in. */
static void live_in(sk_segment *s) {
    life *l = sk_body_of(s);
    sk_header h;
    CHECK(sk_header_take(&h, s->base, s->base_len) == SK_OK && h.param[2] == 3);
    CHECK(memcmp(&h, sk_header_of(s), sizeof h) == 0 && memcmp(s->base + h.meta, "what it is", 10) == 0);
    sk_add64_seq_cst(&l->inside, 1);
    CHECK(sk_add64_seq_cst(&l->entered, 1) >= 1000);
    CHECK(sk_file_is_at(s->seats.fd, path));
    CHECK(sk_lives(s, sk_me(s)) && sk_seat_taken(&s->seats, sk_owner_seat(sk_me(s))));
    sk_add64_seq_cst(&l->inside, (uint64_t)-1);
}

static void *come_and_go(void *number) {
    uint64_t until = deadline_in(opt.millis), dices = opt.seed * 31 + (uint64_t)(uintptr_t)number;
    while (sk_now_ns() < until) {
        sk_segment s;
        bool making = dice(&dices) % 2 == 0;
        int rc = making ? sk_segment_create(&s, FOLDER, path, &plan) : sk_segment_attach(&s, path, true);
        if (rc == SK_OK) {
            sk_add64_relaxed(making ? &created : &attached, 1);
            live_in(&s);
            if (dice(&dices) % 4 == 0) { /* hand it over, as to a child that is being started */
                int fd = sk_segment_transit(&s, dice(&dices));
                CHECK(fd >= 0);
                sk_segment_leave(&s);
                CHECK(sk_file_is_at(fd, path));
                sk_segment t;
                int came = sk_segment_attach(&t, path, true);
                CHECK(came == SK_OK || came == SK_BUSY);
                sk_file_close(fd);
                if (came == SK_OK) {
                    live_in(&t);
                    sk_segment_abandon(&t);
                } else sk_segment_sweep(path);
            }
            if (dice(&dices) % 16 == 0) { /* die */
                if (s.seats.fd >= 0) sk_file_close(s.seats.fd);
                s.seats.fd = -1;
                sk_add64_relaxed(&orphaned, 1);
            }
            sk_segment_abandon(&s);
        } else {
            CHECK(rc == SK_BUSY || rc == (making ? SK_EXISTS : SK_GONE));
            if (rc == SK_GONE) sk_add64_relaxed(&gone, 1);
        }
        if (dice(&dices) % 8 == 0) {
            int removed = sk_segment_sweep(path);
            CHECK(removed >= 0 || removed == -ENOENT);
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
    CHECK(sk_segment_attach(&t, path, true) == with && t.seats.fd == -1);
    *word ^= bits;
    CHECK(sk_segment_attach(&t, path, true) == SK_OK);
    sk_segment_abandon(&t);
    sk_segment_abandon(&s);
}

static void step_by_step(void) {
    sk_segment s, t, all[CREW + 1];
    refuse(0, 1, SK_FOREIGN);
    refuse(offsetof(sk_header, layout), 2, SK_FOREIGN);
    for (uint64_t at = offsetof(sk_header, kind); at < sizeof(sk_header); at += 4) refuse(at, 1u << (at % 31), SK_CORRUPT);

    for (int i = 0; i <= CREW; i++) /* every seat, and one more */
        CHECK((i == 0 ? sk_segment_create(&all[0], FOLDER, path, &plan) : sk_segment_attach(&all[i], path, true)) == SK_OK);
    CHECK(sk_segment_attach(&t, path, true) == SK_NO_SEAT);
    CHECK(sk_segment_attach(&t, path, false) == SK_OK && sk_me(&t) == 0); /* a look takes none */
    CHECK(sk_lives(&t, sk_me(&all[3])));
    uint32_t was = sk_me(&all[3]);
    sk_segment_abandon(&all[3]);
    CHECK(!sk_lives(&t, was));
    CHECK(sk_segment_attach(&all[3], path, true) == SK_OK);
    CHECK(sk_me(&all[3]) != was && !sk_lives(&t, was)); /* the same seat, another epoch */
    for (int i = 0; i <= CREW; i++) sk_segment_abandon(&all[i]);
    CHECK(access(path, F_OK) != 0);
    sk_segment_abandon(&t);

    sk_plan stays = plan;
    stays.flags = SK_PERSIST;
    CHECK(sk_segment_create(&s, FOLDER, path, &stays) == SK_OK);
    sk_segment_abandon(&s);
    CHECK(sk_segment_sweep(path) == 0 && sk_segment_attach(&s, path, true) == SK_OK);
    live_in(&s);
    CHECK(unlink(path) == 0); /* who is in goes on, nobody else comes in */
    CHECK(sk_add64_seq_cst(&((life *)sk_body_of(&s))->entered, 1) > 1000);
    CHECK(sk_segment_attach(&t, path, true) == SK_GONE);
    sk_segment_abandon(&s);
}

int main(int argc, char **argv) {
    begin(argc, argv, "segment");
    step_by_step();
    crew c = {.n = 0};
    for (uintptr_t i = 0; i < CREW; i++) hire(&c, come_and_go, (void *)i);
    gather(&c);
    sk_segment_sweep(path); /* what the last death may have left */
    CHECK(access(path, F_OK) != 0);
    CHECK(created > 0 && attached > 0);
    printf("%llu created, %llu attached, %llu refused, %llu died, %llu swept\n", (unsigned long long)created,
           (unsigned long long)attached, (unsigned long long)gone, (unsigned long long)orphaned, (unsigned long long)swept);
    return 0;
}
