/*
 * Snapshots of machines with drives: what is written to an image after a snapshot is taken back by
 * a load, in the same process and in the next, with and without snapshot=on.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/blk_journal.h"
#include "tests/lib/robot.h"
#include "tests/t.h"

enum { HD0 = 0xe0, HD1 = 0xf0, KIB = 1024, DISK = 512 * KIB };

struct place {
    char dir[64], image[2][80], drive[2][160], snap[2][80];
    struct doppel_options o;
    struct robot r;
};

static void make_image(const char *path)
{
    uint8_t *data = calloc(1, DISK);
    FILE *f = fopen(path, "wb");
    EXPECT(f && fwrite(data, 1, DISK, f) == DISK && fclose(f) == 0);
    free(data);
}

static void start(struct place *p)
{
    struct doppel_error e = {"", false};
    if (!robot_start(&p->r, &p->o, &e)) {
        FAIL("%s", e.msg);
    }
}

static void again(struct place *p)
{
    robot_stop(&p->r);
    start(p);
}

static void place_start(struct place *p, const char *how)
{
    memset(p, 0, sizeof *p);
    snprintf(p->dir, sizeof p->dir, "/tmp/doppel-drive-XXXXXX");
    EXPECT(mkdtemp(p->dir) != NULL);
    p->o = robot_options();
    for (unsigned i = 0; i < 2; i++) {
        snprintf(p->image[i], sizeof p->image[i], "%s/%u.img", p->dir, i);
        snprintf(p->snap[i], sizeof p->snap[i], "%s/snap%u", p->dir, i);
        make_image(p->image[i]);
        snprintf(p->drive[i], sizeof p->drive[i], "file=%s,format=raw%s", p->image[i], how);
        p->o.drive[p->o.ndrives++] = p->drive[i];
    }
    start(p);
}

static void undo_of(const struct place *p, unsigned i, char out[100])
{
    snprintf(out, 100, "%s.undo", p->image[i]);
}

static void place_end(struct place *p)
{
    char undo[100];
    robot_stop(&p->r);
    for (unsigned i = 0; i < 2; i++) {
        undo_of(p, i, undo);
        unlink(undo);
        unlink(p->image[i]);
        unlink(p->snap[i]);
    }
    EXPECT_EQ(rmdir(p->dir), 0);
}

static void put(struct place *p, uint8_t dev, uint32_t lba, uint8_t fill)
{
    EXPECT_EQ(robot_write(&p->r, dev, lba, fill).status, 0x50);
}

static uint8_t get(struct place *p, unsigned drive, uint32_t lba)
{
    uint8_t s[BLK_SECTOR] = {0};
    struct blk *b = robot_medium(&p->r, drive);
    EXPECT(b->read(b, (uint64_t)lba * BLK_SECTOR, s, sizeof s));
    EXPECT(s[0] == s[511]);
    return s[0];
}

static void save(struct place *p, unsigned i)
{
    struct doppel_error e = {"", false};
    if (!doppel_snapshot_save(p->r.vm, p->snap[i], 0, &e)) {
        FAIL("%s", e.msg);
    }
}

static void load(struct place *p, unsigned i)
{
    struct doppel_error e = {"", false};
    if (!doppel_snapshot_load(p->r.vm, p->snap[i], &e)) {
        FAIL("%s", e.msg);
    }
}

static void refused(struct place *p, unsigned i, const char *why)
{
    struct doppel_error e = {"", false};
    uint64_t was = doppel_digest(p->r.vm);
    EXPECT(!doppel_snapshot_load(p->r.vm, p->snap[i], &e));
    if (!strstr(e.msg, why)) {
        FAIL("\"%s\" does not say \"%s\"", e.msg, why);
    }
    EXPECT_EQ(doppel_digest(p->r.vm), was);
}

/* Both disks as they were at snapshot i. */
static void check_at(struct place *p, unsigned i)
{
    EXPECT_EQ(get(p, 0, 3), 1);
    EXPECT_EQ(get(p, 0, 4), i ? 2 : 0);
    EXPECT_EQ(get(p, 1, 700), i ? 3 : 0);
    EXPECT_EQ(get(p, 0, 900), 0);
}

static void back_and_forth(const char *how)
{
    struct place p;
    place_start(&p, how);
    put(&p, HD0, 3, 1);
    save(&p, 0);
    put(&p, HD0, 4, 2);
    put(&p, HD1, 700, 3);
    save(&p, 1);
    put(&p, HD0, 3, 4);
    put(&p, HD0, 4, 5);
    put(&p, HD0, 900, 6);
    for (unsigned k = 0; k < 4; k++) {
        if (k == 2) {
            again(&p);
        }
        load(&p, k & 1);
        check_at(&p, k & 1);
        put(&p, HD1, 700, 9);
        put(&p, HD0, 900, 7);
    }
    again(&p);
    load(&p, 0);
    check_at(&p, 0);
    load(&p, 1);
    check_at(&p, 1);
    place_end(&p);
}

TEST(snapshot_puts_written_images_back)
{
    back_and_forth("");
}

TEST(snapshot_of_overlays)
{
    back_and_forth(",snapshot=on");
}

TEST(snapshot_deleted_ends_its_record)
{
    struct place p;
    struct doppel_error e;
    char undo[100];
    place_start(&p, "");
    undo_of(&p, 0, undo);
    save(&p, 0);
    save(&p, 0); /* over the first */
    EXPECT_EQ(access(undo, F_OK), 0);
    EXPECT(doppel_snapshot_delete(p.r.vm, p.snap[0], &e));
    EXPECT(access(undo, F_OK) != 0);
    save(&p, 0);
    robot_stop(&p.r);
    unlink(p.snap[0]);
    start(&p);
    EXPECT(access(undo, F_OK) != 0);
    place_end(&p);
}

TEST(snapshot_of_an_image_that_others_wrote_to)
{
    struct place p;
    place_start(&p, "");
    put(&p, HD0, 3, 1);
    save(&p, 0);
    put(&p, HD1, 4, 2);
    robot_stop(&p.r);
    int fd = open(p.image[1], O_RDWR);
    EXPECT(fd >= 0 && pwrite(fd, "x", 1, 100000) == 1);
    close(fd);
    start(&p);
    refused(&p, 0, "1.img cannot be put back");
    EXPECT_EQ(get(&p, 0, 3), 1);
    EXPECT_EQ(get(&p, 1, 4), 2);
    save(&p, 1); /* from here on it is good again */
    put(&p, HD1, 4, 3);
    load(&p, 1);
    EXPECT_EQ(get(&p, 1, 4), 2);
    place_end(&p);
}

/* Two images, and the second cannot be put back: neither is, nor is anything else. */
TEST(snapshot_load_is_all_or_nothing)
{
    struct place p;
    char undo[100];
    place_start(&p, "");
    save(&p, 0);
    put(&p, HD0, 3, 1);
    put(&p, HD1, 3, 1);
    undo_of(&p, 1, undo);
    int fd = open(undo, O_RDWR); /* the data of its first cluster */
    EXPECT(fd >= 0 && pwrite(fd, "damage", 6, 64 + 4160 + 64) == 6);
    close(fd);
    refused(&p, 0, "damaged");
    EXPECT_EQ(get(&p, 0, 3), 1);
    EXPECT_EQ(get(&p, 1, 3), 1);
    put(&p, HD0, 5, 5);
    place_end(&p);
}

/* --- Killed while saving --- */

/* What the child is about to save: the disks have `fill`, the machine so many instructions. */
struct saving {
    uint64_t icount;
    uint8_t fill;
};

/* Never returns: writes, saves over one of the two names, writes. */
static void save_for_ever(struct place *p, int told, uint8_t from)
{
    start(p);
    load(p, 0);
    for (uint8_t k = from;; k++) {
        uint8_t fill = (uint8_t)(1 + k % 120);
        put(p, HD0, 3, fill);
        put(p, HD1, 700, fill);
        struct saving s = {doppel_icount(p->r.vm), fill};
        if (write(told, &s, sizeof s) != sizeof s) {
            _exit(1);
        }
        save(p, k & 1);
        put(p, HD0, 3, (uint8_t)(fill + 120));
        put(p, HD1, 700, (uint8_t)(fill + 120));
    }
}

/* Snapshot i is of some instant that a child told, and the disks are what they were then. Children
 * that begin with the same snapshot come by the same counts with other bytes. */
static void check_told(struct place *p, unsigned i, const struct saving *told, size_t n)
{
    load(p, i);
    uint64_t icount = doppel_icount(p->r.vm);
    uint8_t fill = get(p, 0, 3);
    size_t k = n;
    while (k && (told[k - 1].icount != icount || told[k - 1].fill != fill)) {
        k--;
    }
    t_context("snapshot %u of %zu that were told", i, n);
    EXPECT(k > 0);
    EXPECT_EQ(get(p, 1, 700), fill);
}

/* Killed at any moment of saving: each name is a whole snapshot, old or new, and the images can be
 * put back to both. */
TEST(snapshot_killed_while_images_are_written)
{
    enum { MOST = 4000 };
    static struct saving told[MOST];
    struct t_rng rng = {t_seed()};
    struct place p;
    place_start(&p, "");
    put(&p, HD0, 3, 1);
    put(&p, HD1, 700, 1);
    size_t n = 0;
    for (unsigned i = 0; i < 2; i++) {
        doppel_run(p.r.vm, doppel_icount(p.r.vm) + 1000);
        told[n++] = (struct saving){doppel_icount(p.r.vm), 1};
        save(&p, i);
    }
    for (uint64_t i = t_amount(5, 25, 1000); i; i--) {
        int fds[2];
        robot_stop(&p.r);
        EXPECT_EQ(pipe(fds), 0);
        pid_t pid = fork();
        if (pid == 0) {
            close(fds[0]);
            save_for_ever(&p, fds[1], (uint8_t)i);
        }
        close(fds[1]);
        EXPECT_EQ(read(fds[0], &told[n], sizeof told[0]), sizeof told[0]);
        n++;
        usleep((useconds_t)t_rand_below(&rng, 20000));
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        while (n < MOST && read(fds[0], &told[n], sizeof told[0]) == sizeof told[0]) {
            n++;
        }
        close(fds[0]);
        start(&p);
        check_told(&p, 0, told, n);
        check_told(&p, 1, told, n);
        check_told(&p, 0, told, n);
        /* What the two snapshots are of is told again; older ones cannot be met any more. */
        struct saving last[2];
        for (unsigned k = 0; k < 2; k++) {
            load(&p, k);
            last[k] = (struct saving){doppel_icount(p.r.vm), get(&p, 0, 3)};
        }
        memcpy(told, last, sizeof last);
        n = 2;
    }
    for (unsigned i = 0; i < 2; i++) {
        char fresh[100];
        snprintf(fresh, sizeof fresh, "%s.new", p.snap[i]);
        unlink(fresh);
    }
    place_end(&p);
}

/* In the past of a disk nothing is saved that refers to its present. */
TEST(snapshot_in_the_past)
{
    struct place p;
    struct doppel_error e;
    place_start(&p, "");
    struct blk_journal *j = blk_journal_of(robot_medium(&p.r, 0));
    uint64_t mark = blk_journal_mark(j);
    put(&p, HD0, 3, 1);
    EXPECT(blk_journal_enter(j, mark));
    EXPECT(!doppel_snapshot_save(p.r.vm, p.snap[0], 0, &e));
    EXPECT(strstr(e.msg, "in its past"));
    EXPECT(access(p.snap[0], F_OK) != 0);
    EXPECT(blk_journal_commit(j));
    save(&p, 0);
    put(&p, HD0, 3, 2);
    load(&p, 0);
    EXPECT_EQ(get(&p, 0, 3), 0);
    place_end(&p);
}

TEST(snapshot_in_the_past_of_an_overlay)
{
    struct place p;
    place_start(&p, ",snapshot=on");
    struct blk_journal *j = blk_journal_of(robot_medium(&p.r, 0));
    put(&p, HD0, 3, 1);
    uint64_t mark = blk_journal_mark(j), was = doppel_digest(p.r.vm);
    put(&p, HD0, 3, 2);
    put(&p, HD0, 80, 2);
    uint64_t now = doppel_digest(p.r.vm);
    EXPECT(blk_journal_enter(j, mark));
    EXPECT(doppel_digest(p.r.vm) != now && doppel_digest(p.r.vm) != was); /* time went on */
    save(&p, 0);
    uint64_t past = doppel_digest(p.r.vm);
    blk_journal_leave(j);
    load(&p, 0);
    EXPECT_EQ(get(&p, 0, 3), 1);
    EXPECT_EQ(get(&p, 0, 80), 0);
    EXPECT_EQ(doppel_digest(p.r.vm), past);
    again(&p);
    load(&p, 0);
    EXPECT_EQ(doppel_digest(p.r.vm), past);
    place_end(&p);
}
