/*
 * Undo files: an image put back to marks, in one process and in the next, after a kill, and when
 * somebody else wrote to it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/blk.h"
#include "host/blk_undo.h"
#include "tests/t.h"

#define BYTES   (300u * 4096 + 512) /* the last cluster is cut */
#define SECTORS (BYTES / BLK_SECTOR)

struct place {
    char dir[64], image[100], undo[110], snap[8][100];
};

static void place_new(struct place *p)
{
    snprintf(p->dir, sizeof p->dir, "undo-test-XXXXXX");
    EXPECT(mkdtemp(p->dir) != NULL);
    snprintf(p->image, sizeof p->image, "%s/disk.img", p->dir);
    snprintf(p->undo, sizeof p->undo, "%s/disk.img.undo", p->dir);
    int fd = open(p->image, O_CREAT | O_RDWR, 0666);
    EXPECT(fd >= 0 && ftruncate(fd, BYTES) == 0);
    close(fd);
    for (unsigned i = 0; i < 8; i++) {
        char name[100];
        snprintf(name, sizeof name, "%s/s%u", p->dir, i);
        fd = open(name, O_CREAT | O_RDWR, 0666);
        close(fd);
        char *full = realpath(name, NULL);
        snprintf(p->snap[i], sizeof p->snap[i], "%s", full);
        free(full);
    }
}

static void place_end(struct place *p)
{
    unlink(p->image);
    unlink(p->undo);
    for (unsigned i = 0; i < 8; i++) {
        unlink(p->snap[i]);
    }
    EXPECT_EQ(rmdir(p->dir), 0);
}

static struct blk *open_disk(struct place *p)
{
    struct blk_how how = {.format = BLK_RAW, .align = BLK_SECTOR};
    struct err e = {""};
    struct blk *b = blk_open(p->image, &how, NULL, &e);
    b = b ? blk_undo_new(b, p->image, &e) : NULL;
    if (!b) {
        FAIL("%s", e.msg);
    }
    return b;
}

static uint8_t *content(struct blk *b)
{
    uint8_t *p = malloc(BYTES);
    EXPECT(b->read(b, 0, p, BYTES));
    return p;
}

static void scribble(struct blk *b, struct t_rng *rng, unsigned times)
{
    static uint8_t data[64 * BLK_SECTOR];
    while (times--) {
        unsigned at = (unsigned)t_rand_below(rng, SECTORS), n = 1 + (unsigned)t_rand_below(rng, 64);
        n = n < SECTORS - at ? n : SECTORS - at;
        for (unsigned i = 0; i < n * BLK_SECTOR; i++) {
            data[i] = (uint8_t)t_rand(rng);
        }
        EXPECT(b->write(b, (uint64_t)at * BLK_SECTOR, data, n * BLK_SECTOR));
    }
}

static void go(struct blk *b, uint64_t id, const uint8_t *want)
{
    struct err e = {""};
    struct blk_undo *u = blk_undo_of(b);
    EXPECT(blk_undo_check(u, id, &e));
    EXPECT(blk_undo_go(u, id, &e));
    EXPECT_STR(e.msg, "");
    uint8_t *have = content(b);
    EXPECT(memcmp(have, want, BYTES) == 0);
    free(have);
}

TEST(undo_goes_to_any_mark_in_any_process)
{
    struct t_rng rng = {t_seed()};
    struct err e;
    for (uint64_t round = t_amount(3, 20, 2000); round; round--) {
        struct place p;
        uint8_t *then[6];
        place_new(&p);
        struct blk *b = open_disk(&p);
        scribble(b, &rng, 10);
        EXPECT(access(p.undo, F_OK) != 0);
        for (unsigned i = 0; i < 6; i++) {
            then[i] = content(b);
            EXPECT(blk_undo_mark(blk_undo_of(b), 100 + i, p.snap[i], &e));
            scribble(b, &rng, (unsigned)t_rand_below(&rng, 8));
            if (t_rand_below(&rng, 3) == 0) {
                b->close(b);
                b = open_disk(&p);
            }
        }
        for (unsigned k = 0; k < 12; k++) {
            unsigned i = (unsigned)t_rand_below(&rng, 6);
            go(b, 100 + i, then[i]);
            scribble(b, &rng, (unsigned)t_rand_below(&rng, 4));
            if (t_rand_below(&rng, 3) == 0) {
                b->close(b);
                b = open_disk(&p);
            }
        }
        blk_undo_forget(blk_undo_of(b), p.snap[0], 0);
        blk_undo_forget(blk_undo_of(b), p.snap[3], 0);
        EXPECT(!blk_undo_check(blk_undo_of(b), 103, &e));
        b->close(b);
        b = open_disk(&p);
        go(b, 104, then[4]);
        go(b, 102, then[2]);
        unlink(p.snap[1]); /* their snapshots are deleted */
        unlink(p.snap[2]);
        unlink(p.snap[4]);
        b->close(b);
        b = open_disk(&p);
        EXPECT(!blk_undo_has(blk_undo_of(b), 102) && blk_undo_has(blk_undo_of(b), 105));
        go(b, 105, then[5]);
        blk_undo_forget(blk_undo_of(b), p.snap[5], 0);
        EXPECT(access(p.undo, F_OK) != 0);
        b->close(b);
        for (unsigned i = 0; i < 6; i++) {
            free(then[i]);
        }
        place_end(&p);
    }
}

/* Killed while it writes: all that was written can be taken back. */
TEST(undo_after_kill)
{
    struct t_rng rng = {t_seed()};
    struct err e;
    for (uint64_t round = t_amount(4, 20, 500); round; round--) {
        struct place p;
        int fds[2];
        place_new(&p);
        struct blk *b = open_disk(&p);
        scribble(b, &rng, 20);
        uint8_t *then = content(b);
        EXPECT(blk_undo_mark(blk_undo_of(b), 7, p.snap[0], &e));
        EXPECT_EQ(pipe(fds), 0);
        b->close(b);
        pid_t pid = fork();
        if (pid == 0) {
            b = open_disk(&p);
            (void)!write(fds[1], "x", 1);
            for (;;) {
                scribble(b, &rng, 1);
            }
        }
        char x;
        EXPECT_EQ(read(fds[0], &x, 1), 1);
        usleep((useconds_t)t_rand_below(&rng, 20000));
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        b = open_disk(&p);
        go(b, 7, then);
        b->close(b);
        close(fds[0]);
        close(fds[1]);
        free(then);
        place_end(&p);
    }
}

static void overwrite(const char *path, long off, const char *text)
{
    int fd = open(path, O_RDWR);
    EXPECT(fd >= 0 && pwrite(fd, text, strlen(text), off) == (ssize_t)strlen(text));
    close(fd);
}

TEST(undo_refuses_what_others_changed)
{
    struct t_rng rng = {t_seed()};
    struct place p;
    struct err e;
    place_new(&p);
    struct blk *b = open_disk(&p);
    EXPECT(blk_undo_mark(blk_undo_of(b), 7, p.snap[0], &e));
    scribble(b, &rng, 5);
    b->close(b);
    overwrite(p.image, 5000, "someone else");
    b = open_disk(&p);
    EXPECT(!blk_undo_check(blk_undo_of(b), 7, &e));
    EXPECT(strstr(e.msg, "another program"));
    EXPECT(access(p.undo, F_OK) != 0);
    /* While it is open, or after a kill, only the sample tells. */
    EXPECT(blk_undo_mark(blk_undo_of(b), 8, p.snap[0], &e));
    overwrite(p.image, 0, "someone else");
    EXPECT(!blk_undo_check(blk_undo_of(b), 8, &e));
    EXPECT(strstr(e.msg, "changed by another program"));
    b->close(b);
    place_end(&p);
}

TEST(undo_file_that_is_damaged_or_foreign)
{
    struct t_rng rng = {t_seed()};
    struct place p;
    struct err e;
    struct stat st;
    struct blk_how how = {.format = BLK_RAW, .align = BLK_SECTOR};
    place_new(&p);
    struct blk *b = open_disk(&p);
    EXPECT(blk_undo_mark(blk_undo_of(b), 7, p.snap[0], &e));
    scribble(b, &rng, 60);
    uint8_t *now = content(b);
    overwrite(p.undo, 64 + 4160 + 100, "damage"); /* in the first cluster's data */
    EXPECT(!blk_undo_check(blk_undo_of(b), 7, &e));
    EXPECT(strstr(e.msg, "damaged"));
    EXPECT(!blk_undo_go(blk_undo_of(b), 7, &e));
    uint8_t *same = content(b);
    EXPECT(memcmp(now, same, BYTES) == 0);
    b->close(b);
    overwrite(p.undo, 64 + 4160, "\x09"); /* a record that is none */
    b = blk_open(p.image, &how, NULL, &e);
    EXPECT(blk_undo_new(b, p.image, &e) == NULL);
    EXPECT(strstr(e.msg, "damaged; delete it"));
    EXPECT(stat(p.undo, &st) == 0);
    overwrite(p.undo, 0, "not ours");
    b = blk_open(p.image, &how, NULL, &e);
    EXPECT(blk_undo_new(b, p.image, &e) == NULL);
    EXPECT(strstr(e.msg, "not an undo file"));
    free(now);
    free(same);
    place_end(&p);
}

/* A disk that fills up while an image is put back: it is as it was. */
TEST(undo_on_a_full_disk)
{
    struct t_rng rng = {t_seed()};
    struct place p;
    struct err e = {""};
    struct rlimit was, small;
    struct stat st;
    uint8_t block[4096] = {1};
    place_new(&p);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &was);
    struct blk *b = open_disk(&p);
    uint8_t *then = content(b);
    EXPECT(blk_undo_mark(blk_undo_of(b), 7, p.snap[0], &e));
    scribble(b, &rng, 60);
    EXPECT(blk_undo_mark(blk_undo_of(b), 8, p.snap[1], &e));
    uint8_t *now = content(b);
    EXPECT_EQ(stat(p.undo, &st), 0);
    small = was;
    small.rlim_cur = (rlim_t)st.st_size + 50 * 4160;
    setrlimit(RLIMIT_FSIZE, &small);
    EXPECT(!blk_undo_go(blk_undo_of(b), 7, &e));
    EXPECT(strstr(e.msg, "disk.img: File too large"));
    uint8_t *have = content(b);
    EXPECT(memcmp(have, now, BYTES) == 0);
    /* A guest's write that cannot be recorded is not done. */
    bool ok = true;
    for (unsigned i = 0; i < 300 && ok; i++) {
        ok = b->write(b, (uint64_t)i * 4096, block, sizeof block);
    }
    EXPECT(!ok && errno == EFBIG);
    setrlimit(RLIMIT_FSIZE, &was);
    go(b, 8, now);
    go(b, 7, then);
    b->close(b);
    free(then);
    free(now);
    free(have);
    place_end(&p);
}
