/*
 * Drives of a whole machine when the host fails, an image changes below it, or the operator changes
 * the medium: what the guest sees, what the operator is told, and that both go on. The guest is the
 * robot of tests/lib. This file has its own pread, pwrite and fdatasync, so that they can fail.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/blk.h"
#include "tests/lib/robot.h"
#include "tests/t.h"

enum { HD = 0xe0, CD = 0x60, READ = 0x20, FLUSH = 0xe7, KIB = 1024 };

/* --- A host that fails --- */

static int fail_read, fail_write, fail_sync; /* an errno; 0: works */

ssize_t pread(int fd, void *buf, size_t n, off_t off)
{
    if (fail_read) {
        errno = fail_read;
        return -1;
    }
    return syscall(SYS_pread64, fd, buf, n, off);
}

ssize_t pwrite(int fd, const void *buf, size_t n, off_t off)
{
    if (fail_write) {
        errno = fail_write;
        return -1;
    }
    return syscall(SYS_pwrite64, fd, buf, n, off);
}

int fdatasync(int fd)
{
    if (fail_sync) {
        errno = fail_sync;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}

/* --- Images and a machine that has them --- */

struct place {
    char dir[64], image[80], other[80], log[80];
    char drive[2][160];
    struct doppel_options o;
    struct robot r;
};

static void make_image(const char *path, unsigned kib, char fill)
{
    char block[KIB];
    FILE *f = fopen(path, "wb");
    memset(block, fill, sizeof block);
    for (unsigned i = 0; i < kib && f; i++) {
        EXPECT_EQ(fwrite(block, 1, sizeof block, f), sizeof block);
    }
    EXPECT(f && fclose(f) == 0);
}

/* A folder with two images of one size, one in a drive with options `how`; not started. */
static void place_make(struct place *p, unsigned kib, const char *how)
{
    memset(p, 0, sizeof *p);
    fail_read = fail_write = fail_sync = 0;
    snprintf(p->dir, sizeof p->dir, "/tmp/doppel-drive-XXXXXX");
    EXPECT(mkdtemp(p->dir) != NULL);
    snprintf(p->image, sizeof p->image, "%s/a.img", p->dir);
    snprintf(p->other, sizeof p->other, "%s/b.img", p->dir);
    snprintf(p->log, sizeof p->log, "%s/log", p->dir);
    make_image(p->image, kib, 0x11);
    make_image(p->other, kib, 0x22);
    snprintf(p->drive[0], sizeof p->drive[0], "file=%s,%s", p->image, how);
    p->o = robot_options();
    p->o.drive[p->o.ndrives++] = p->drive[0];
    p->o.log_file = p->log;
}

static bool place_start(struct place *p, unsigned kib, const char *how)
{
    struct doppel_error e = {"", false};
    place_make(p, kib, how);
    if (!robot_start(&p->r, &p->o, &e)) {
        FAIL("%s", e.msg);
        return false;
    }
    return true;
}

static void place_end(struct place *p)
{
    fail_read = fail_write = fail_sync = 0;
    if (p->r.vm) {
        robot_stop(&p->r);
    }
    unlink(p->image);
    unlink(p->other);
    unlink(p->log);
    EXPECT_EQ(rmdir(p->dir), 0);
}

/* Lines of the log with `text`. */
static unsigned told(const struct place *p, const char *text)
{
    char line[1024];
    unsigned n = 0;
    FILE *f = fopen(p->log, "r");
    while (f && fgets(line, sizeof line, f)) {
        n += strstr(line, text) != NULL;
    }
    if (f) {
        fclose(f);
    }
    return n;
}

#define EXPECT_ATA(x, st, er)                                                                      \
    do {                                                                                           \
        struct robot_ata ata_ = (x);                                                               \
        EXPECT_EQ(ata_.status, st);                                                                \
        EXPECT_EQ(ata_.error, er);                                                                 \
    } while (0)

static void expect_sector(struct place *p, uint8_t dev, uint32_t lba, uint8_t fill)
{
    struct robot_ata x = robot_ata(&p->r, dev, READ, lba, 1);
    EXPECT_EQ(x.status, 0x50);
    EXPECT_EQ(x.a, fill);
    EXPECT_EQ(x.b, 1);
}

/* --- The host fails --- */

TEST(disk_errors)
{
    struct place p;
    if (!place_start(&p, KIB, "format=raw")) {
        return;
    }
    expect_sector(&p, HD, 2047, 0x11);
    EXPECT_ATA(robot_ata(&p.r, HD, READ, 2048, 1), 0x51, 0x10); /* behind the end: no failure */
    EXPECT_EQ(told(&p, "failed"), 0);
    fail_read = EIO;
    EXPECT_ATA(robot_ata(&p.r, HD, READ, 5, 1), 0x51, 0x40);
    EXPECT_EQ(told(&p, "doppel: ide0-hd0: read of /tmp/doppel-drive-"), 1);
    EXPECT_EQ(told(&p, "a.img failed: Input/output error (1 failed so far)"), 1);
    fail_read = 0;
    expect_sector(&p, HD, 5, 0x11);
    fail_write = ENOSPC;
    EXPECT_ATA(robot_write(&p.r, HD, 5, 0x33), 0x71, 0x04);
    EXPECT_EQ(told(&p, "write of /tmp/doppel-drive-"), 1);
    EXPECT_EQ(told(&p, "No space left on device (2 failed so far)"), 1);
    fail_write = 0;
    expect_sector(&p, HD, 5, 0x11);
    EXPECT_ATA(robot_write(&p.r, HD, 5, 0x33), 0x50, 0);
    expect_sector(&p, HD, 5, 0x33);
    EXPECT_ATA(robot_ata(&p.r, HD, FLUSH, 0, 0), 0x50, 0);
    place_end(&p);
}

/* The host reports once that it lost what was written; doppel remembers. */
TEST(a_failed_flush_is_not_forgotten)
{
    struct place p;
    if (!place_start(&p, KIB, "format=raw")) {
        return;
    }
    EXPECT_ATA(robot_write(&p.r, HD, 7, 0x33), 0x50, 0);
    fail_sync = EIO;
    EXPECT_ATA(robot_ata(&p.r, HD, FLUSH, 0, 0), 0x71, 0x04);
    EXPECT_EQ(told(&p, "flush of /tmp/doppel-drive-"), 1);
    fail_sync = 0;
    EXPECT_ATA(robot_ata(&p.r, HD, FLUSH, 0, 0), 0x71, 0x04);
    expect_sector(&p, HD, 7, 0x33);
    EXPECT_ATA(robot_write(&p.r, HD, 8, 0x44), 0x50, 0);
    robot_stop(&p.r); /* the last flush fails, too, and is told */
    EXPECT_EQ(told(&p, "flush of /tmp/doppel-drive-"), 3);
    place_end(&p);
}

/* A qcow2 image on a full disk: the request fails, what is there stays, and it goes on. */
TEST(qcow2_errors)
{
    struct place p;
    struct doppel_error e = {"", false};
    struct err why = {""};
    struct blk_check found;
    place_make(&p, KIB, "format=qcow2");
    const struct blk_create how = {.format = BLK_QCOW2, .bytes = 4u << 20};
    EXPECT(blk_create(p.image, &how, &why));
    if (!EXPECT(robot_start(&p.r, &p.o, &e))) {
        place_end(&p);
        return;
    }
    EXPECT_ATA(robot_write(&p.r, HD, 5, 0x33), 0x50, 0);
    EXPECT_ATA(robot_ata(&p.r, HD, FLUSH, 0, 0), 0x50, 0);
    fail_write = ENOSPC;
    EXPECT_ATA(robot_write(&p.r, HD, 6, 0x44), 0x71, 0x04);    /* in place */
    EXPECT_ATA(robot_write(&p.r, HD, 4000, 0x44), 0x71, 0x04); /* in a new cluster */
    EXPECT_EQ(told(&p, "No space left on device"), 2);
    expect_sector(&p, HD, 5, 0x33);
    expect_sector(&p, HD, 4000, 0);
    fail_write = 0;
    EXPECT_ATA(robot_write(&p.r, HD, 4000, 0x44), 0x50, 0);
    fail_write = ENOSPC; /* for the tables */
    EXPECT_ATA(robot_ata(&p.r, HD, FLUSH, 0, 0), 0x71, 0x04);
    fail_write = 0;
    EXPECT_ATA(robot_ata(&p.r, HD, FLUSH, 0, 0), 0x50, 0);
    expect_sector(&p, HD, 4000, 0x44);
    fail_read = EIO;
    EXPECT_ATA(robot_ata(&p.r, HD, READ, 4000, 1), 0x51, 0x40);
    fail_read = 0;
    robot_stop(&p.r);
    EXPECT(blk_check(p.image, false, &found, NULL, NULL, &why));
    EXPECT_EQ(found.errors, 0);
    if (EXPECT(robot_start(&p.r, &p.o, &e))) {
        expect_sector(&p, HD, 5, 0x33);
        expect_sector(&p, HD, 6, 0);
        expect_sector(&p, HD, 4000, 0x44);
    }
    place_end(&p);
}

/* A file system of 512 KiB at `dir`, in this process's own name space. */
static bool mount_small(const char *dir)
{
    return unshare(geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS) == 0 &&
           mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("none", dir, "tmpfs", 0, "size=512k") == 0;
}

/* One sector in each 4 KiB until the host's file system is full; which was the first to fail. */
static uint32_t write_till_full(struct place *p)
{
    for (uint32_t lba = 0; lba < 4096; lba += 8) {
        struct robot_ata x = robot_write(&p->r, HD, lba, 0x55);
        if (x.status != 0x50) {
            EXPECT_ATA(x, 0x71, 0x04);
            return lba;
        }
    }
    FAIL("2 MiB fit into 512 KiB");
    return 0;
}

/* The file system is full indeed, and later has room again. */
static void fill_the_host(enum blk_format format, const char *how)
{
    struct place p;
    struct doppel_error e = {"", false};
    struct err why = {""};
    struct blk_check found;
    char small[72], ballast[80];
    place_make(&p, 1, how);
    unlink(p.image);
    snprintf(small, sizeof small, "%s/d", p.dir);
    snprintf(p.image, sizeof p.image, "%s/d/a.img", p.dir);
    snprintf(ballast, sizeof ballast, "%s/d/ballast", p.dir);
    snprintf(p.drive[0], sizeof p.drive[0], "file=%s,%s", p.image, how);
    EXPECT(mkdir(small, 0700) == 0);
    const struct blk_create new_image = {
        .format = format, .bytes = 2u << 20, .cluster_bits = format == BLK_QCOW2 ? 12 : 0};
    if (!mount_small(small)) {
        SKIP("no right to mount a file system");
    } else if (EXPECT(blk_create(p.image, &new_image, &why)) &&
               EXPECT(robot_start(&p.r, &p.o, &e))) {
        make_image(ballast, 192, 0x33);
        uint32_t lba = write_till_full(&p);
        EXPECT_EQ(told(&p, "write of /tmp/doppel-drive-"), 1);
        EXPECT_EQ(told(&p, "No space left on device (1 failed so far)"), 1);
        expect_sector(&p, HD, 0, 0x55);
        expect_sector(&p, HD, lba - 8, 0x55);
        expect_sector(&p, HD, lba, 0);
        EXPECT(unlink(ballast) == 0);
        EXPECT_ATA(robot_write(&p.r, HD, lba, 0x66), 0x50, 0);
        EXPECT_ATA(robot_ata(&p.r, HD, FLUSH, 0, 0), 0x50, 0);
        robot_stop(&p.r);
        EXPECT(format != BLK_QCOW2 || blk_check(p.image, false, &found, NULL, NULL, &why));
        EXPECT(format != BLK_QCOW2 || found.errors == 0);
        EXPECT(robot_start(&p.r, &p.o, &e));
        expect_sector(&p, HD, lba - 8, 0x55);
        expect_sector(&p, HD, lba, 0x66);
        robot_stop(&p.r);
        EXPECT(umount(small) == 0);
    }
    EXPECT(rmdir(small) == 0);
    place_end(&p);
}

TEST(a_file_system_that_is_full)
{
    fill_the_host(BLK_RAW, "format=raw");
}

TEST(a_file_system_that_is_full_below_qcow2)
{
    fill_the_host(BLK_QCOW2, "format=qcow2");
}

TEST(notices_are_few)
{
    struct place p;
    if (!place_start(&p, KIB, "format=raw")) {
        return;
    }
    fail_read = EIO;
    for (unsigned i = 0; i < 12; i++) {
        EXPECT_ATA(robot_ata(&p.r, HD, READ, i, 1), 0x51, 0x40);
    }
    EXPECT_EQ(told(&p, "failed"), 4);
    EXPECT(strstr(robot_command(&p.r, "info block"), " 12 failed") != NULL);
    place_end(&p);
}

TEST(cdrom_errors)
{
    struct place p;
    if (!place_start(&p, KIB, "media=cdrom,index=2")) {
        return;
    }
    robot_packet(&p.r, CD, 0, 0, 0, 0); /* power-on attention */
    struct robot_ata x = robot_packet(&p.r, CD, 0x28, 0, 9, 1);
    EXPECT(x.status == 0x50 && x.a == 0x11);
    fail_read = EIO;
    EXPECT_ATA(robot_packet(&p.r, CD, 0x28, 0, 9, 1), 0x51, 0x34);
    x = robot_packet(&p.r, CD, 0x03, 18, 0, 0); /* REQUEST SENSE: medium error, unrecovered */
    EXPECT(x.a == 3 && x.b == 0x11);
    EXPECT_EQ(told(&p, "ide1-cd0: read of"), 1);
    fail_read = 0;
    EXPECT_ATA(robot_packet(&p.r, CD, 0x28, 0, 9, 1), 0x50, 0);
    place_end(&p);
}

TEST(floppy_errors)
{
    struct place p;
    if (!place_start(&p, 1440, "if=floppy")) {
        return;
    }
    struct robot_ata x = robot_floppy(&p.r, false, 3, 0);
    EXPECT(x.status == 0 && x.error == 0 && x.a == 0 && x.b == 0x11);
    fail_read = EIO;
    x = robot_floppy(&p.r, false, 3, 0);
    EXPECT(x.status == 0x40 && x.error == 0x20 && x.a == 0x20); /* data error, in the data field */
    EXPECT_EQ(told(&p, "floppy0: read of"), 1);
    fail_read = 0;
    fail_write = ENOSPC;
    x = robot_floppy(&p.r, true, 3, 0x33);
    EXPECT(x.status == 0x40 && x.error == 0x20);
    EXPECT_EQ(told(&p, "floppy0: write of"), 1);
    fail_write = 0;
    x = robot_floppy(&p.r, true, 3, 0x33);
    EXPECT(x.status == 0 && x.error == 0);
    x = robot_floppy(&p.r, false, 3, 0);
    EXPECT(x.status == 0 && x.b == 0x33);
    place_end(&p);
}

TEST(write_protected)
{
    struct place p;
    if (!place_start(&p, KIB, "readonly=on")) {
        return;
    }
    EXPECT_ATA(robot_write(&p.r, HD, 5, 0x33), 0x51, 0x44);
    expect_sector(&p, HD, 5, 0x11);
    place_end(&p);
    if (!place_start(&p, 1440, "if=floppy,readonly=on")) {
        return;
    }
    struct robot_ata x = robot_floppy(&p.r, true, 3, 0x33);
    EXPECT(x.status == 0x40 && x.error == 0x02);
    x = robot_floppy(&p.r, false, 3, 0);
    EXPECT(x.status == 0 && x.b == 0x11);
    EXPECT_EQ(told(&p, "floppy0"), 0); /* nothing to tell: so it was asked for */
    place_end(&p);
}

/* A limit on the size of files stands for a full disk. */
TEST(file_size_limit)
{
    struct rlimit was, low;
    struct place p;
    signal(SIGXFSZ, SIG_IGN);
    if (!place_start(&p, KIB, "format=raw")) {
        return;
    }
    getrlimit(RLIMIT_FSIZE, &was);
    low = was;
    low.rlim_cur = 64 * KIB;
    setrlimit(RLIMIT_FSIZE, &low);
    EXPECT_ATA(robot_write(&p.r, HD, 1000, 0x33), 0x71, 0x04);
    EXPECT_ATA(robot_write(&p.r, HD, 1, 0x33), 0x50, 0);
    EXPECT_EQ(told(&p, "File too large"), 1);
    setrlimit(RLIMIT_FSIZE, &was);
    EXPECT_ATA(robot_write(&p.r, HD, 1000, 0x33), 0x50, 0);
    expect_sector(&p, HD, 1000, 0x33);
    place_end(&p);
}

/* --- Somebody else has a hand in the file --- */

TEST(cut_short_while_running)
{
    struct place p;
    if (!place_start(&p, KIB, "format=raw")) {
        return;
    }
    EXPECT_EQ(truncate(p.image, 4096), 0);
    EXPECT_ATA(robot_ata(&p.r, HD, READ, 8, 1), 0x51, 0x40);
    expect_sector(&p, HD, 7, 0x11);
    EXPECT_ATA(robot_write(&p.r, HD, 100, 0x33), 0x71, 0x04);
    EXPECT_EQ(told(&p, "Input/output error"), 2);
    EXPECT_EQ(truncate(p.image, KIB * KIB), 0);
    EXPECT_ATA(robot_write(&p.r, HD, 100, 0x33), 0x50, 0);
    expect_sector(&p, HD, 100, 0x33);
    expect_sector(&p, HD, 8, 0);
    place_end(&p);
}

/* What is written goes away with the process: a flush must not say otherwise. */
TEST(deleted_while_running)
{
    struct place p;
    if (!place_start(&p, KIB, "format=raw")) {
        return;
    }
    EXPECT_ATA(robot_ata(&p.r, HD, FLUSH, 0, 0), 0x50, 0);
    EXPECT_EQ(unlink(p.image), 0);
    EXPECT_ATA(robot_write(&p.r, HD, 5, 0x33), 0x50, 0);
    expect_sector(&p, HD, 5, 0x33);
    EXPECT_ATA(robot_ata(&p.r, HD, FLUSH, 0, 0), 0x71, 0x04);
    EXPECT_EQ(told(&p, "flush of /tmp/doppel-drive-"), 1);
    EXPECT_EQ(told(&p, "No such file or directory"), 1);
    expect_sector(&p, HD, 5, 0x33);
    place_end(&p);
}

TEST(two_machines_of_a_process)
{
    struct place p;
    struct robot other;
    struct doppel_error e = {"", false};
    if (!place_start(&p, KIB, "format=raw")) {
        return;
    }
    struct doppel_options o = p.o;
    char drive[200];
    o.log_file = NULL;
    EXPECT(!robot_start(&other, &o, &e));
    EXPECT(strstr(e.msg, "a.img: in use by another drive, machine or program; snapshot=on"));
    snprintf(drive, sizeof drive, "file=%s,snapshot=on", p.image);
    o.drive[0] = drive;
    EXPECT(!robot_start(&other, &o, &e));
    EXPECT(strstr(e.msg, "that writes to it"));
    robot_stop(&p.r);
    p.o.drive[0] = drive;
    if (EXPECT(robot_start(&p.r, &p.o, &e)) && EXPECT(robot_start(&other, &o, &e))) {
        EXPECT_ATA(robot_write(&p.r, HD, 9, 0x33), 0x50, 0);
        EXPECT_ATA(robot_write(&other, HD, 9, 0x44), 0x50, 0);
        expect_sector(&p, HD, 9, 0x33);
        EXPECT_EQ(robot_ata(&other, HD, READ, 9, 1).a, 0x44);
        robot_stop(&other);
    }
    place_end(&p);
}

/* --- snapshot=on --- */

TEST(overlay_is_saved_with_the_machine)
{
    struct place p;
    struct doppel_error e = {"", false};
    uint8_t *data = NULL;
    size_t len = 0;
    if (!place_start(&p, KIB, "snapshot=on")) {
        return;
    }
    EXPECT_ATA(robot_write(&p.r, HD, 2047, 0x33), 0x50, 0);
    EXPECT(doppel_save(p.r.vm, &data, &len));
    uint64_t want = doppel_digest(p.r.vm);
    robot_stop(&p.r);
    if (EXPECT(robot_start(&p.r, &p.o, &e))) {
        EXPECT(doppel_digest(p.r.vm) != want);
        EXPECT(doppel_load(p.r.vm, data, len, &e));
        EXPECT_EQ(doppel_digest(p.r.vm), want);
        expect_sector(&p, HD, 2047, 0x33);
        expect_sector(&p, HD, 2046, 0x11);
    }
    free(data);
    robot_stop(&p.r);
    p.o.drive[0] = p.drive[1];
    snprintf(p.drive[1], sizeof p.drive[1], "file=%s", p.image);
    if (EXPECT(robot_start(&p.r, &p.o, &e))) {
        expect_sector(&p, HD, 2047, 0x11); /* the image has nothing of it */
    }
    place_end(&p);
}

/* 64 MiB of writes are in memory; the rest is in a file, and that may fail, at writing and at
 * saving. */
TEST(overlay_in_a_file)
{
    enum { MIB = 65 };
    static uint8_t block[1 << 20];
    struct place p;
    struct doppel_error e = {"", false};
    uint8_t *data = NULL;
    size_t len = 0;
    char state[100];
    if (!place_start(&p, 1, "snapshot=on")) {
        return;
    }
    robot_stop(&p.r);
    EXPECT_EQ(truncate(p.image, MIB << 20), 0);
    setenv("TMPDIR", "/nowhere", 1);
    if (EXPECT(robot_start(&p.r, &p.o, &e))) {
        struct blk *b = robot_medium(&p.r, 0);
        memset(block, 0x55, sizeof block);
        for (unsigned i = 0; i < 64; i++) {
            EXPECT(b->write(b, (uint64_t)i << 20, block, sizeof block));
        }
        EXPECT_ATA(robot_write(&p.r, HD, 64 << 11, 0x33), 0x71, 0x04);
        EXPECT_EQ(told(&p, "snapshot=on keeps writes in memory and $TMPDIR"), 1);
        EXPECT_ATA(robot_write(&p.r, HD, 0, 0x33), 0x50, 0);
        setenv("TMPDIR", p.dir, 1);
        EXPECT_ATA(robot_write(&p.r, HD, 64 << 11, 0x33), 0x50, 0);
        expect_sector(&p, HD, 64 << 11, 0x33);
        fail_write = ENOSPC;
        EXPECT_ATA(robot_write(&p.r, HD, (64 << 11) + 8, 0x33), 0x71, 0x04);
        EXPECT_ATA(robot_write(&p.r, HD, 1, 0x44), 0x50, 0);
        fail_write = 0;
        fail_read = EIO;
        EXPECT(!doppel_save(p.r.vm, &data, &len));
        EXPECT(data == NULL && len == 0);
        snprintf(state, sizeof state, "%s/state", p.dir);
        EXPECT(!doppel_save_file(p.r.vm, state, &e));
        EXPECT(strstr(e.msg, "cannot be read back") != NULL);
        EXPECT(access(state, F_OK) != 0);
        fail_read = 0;
        expect_sector(&p, HD, 64 << 11, 0x33);
        expect_sector(&p, HD, 1, 0x44);
    }
    unsetenv("TMPDIR");
    place_end(&p);
}

/* --- Media --- */

static void expect_sense(struct place *p, uint8_t key, uint8_t asc)
{
    EXPECT_ATA(robot_packet(&p->r, CD, 0x00, 0, 0, 0), 0x51, (uint8_t)(key << 4 | 4));
    struct robot_ata x = robot_packet(&p->r, CD, 0x03, 18, 0, 0);
    EXPECT_EQ(x.a, key);
    EXPECT_EQ(x.b, asc);
}

static void expect_block(struct place *p, uint8_t fill)
{
    EXPECT_ATA(robot_packet(&p->r, CD, 0x00, 0, 0, 0), 0x50, 0);
    struct robot_ata x = robot_packet(&p->r, CD, 0x28, 0, 9, 1);
    EXPECT(x.status == 0x50 && x.a == fill);
}

static const char *change(struct place *p, const char *drive, const char *path)
{
    char line[200];
    snprintf(line, sizeof line, "change %s %s", drive, path);
    return robot_command(&p->r, line);
}

TEST(cdrom_change)
{
    struct place p;
    if (!place_start(&p, KIB, "media=cdrom,index=2")) {
        return;
    }
    robot_packet(&p.r, CD, 0, 0, 0, 0);
    expect_block(&p, 0x11);
    EXPECT_STR(change(&p, "ide1-cd0", p.other), "");
    expect_sense(&p, 2, 0x3a); /* gone, */
    expect_sense(&p, 6, 0x28); /* another one came */
    expect_block(&p, 0x22);
    EXPECT_STR(robot_command(&p.r, "eject ide1-cd0"), "");
    expect_sense(&p, 2, 0x3a);
    expect_sense(&p, 2, 0x3a);
    EXPECT(strstr(robot_command(&p.r, "info block"), "ide1-cd0: CD-ROM, empty"));
    EXPECT_STR(change(&p, "ide1-cd0", p.image), "");
    expect_sense(&p, 2, 0x3a);
    expect_sense(&p, 6, 0x28);
    expect_block(&p, 0x11);
    place_end(&p);
}

TEST(cdrom_locked)
{
    struct place p;
    if (!place_start(&p, KIB, "media=cdrom,index=2")) {
        return;
    }
    robot_packet(&p.r, CD, 0, 0, 0, 0);
    EXPECT_ATA(robot_packet(&p.r, CD, 0x1e, 1, 0, 0), 0x50, 0); /* PREVENT */
    EXPECT(strstr(robot_command(&p.r, "eject ide1-cd0"), "locked by the guest"));
    EXPECT(strstr(change(&p, "ide1-cd0", p.other), "locked by the guest"));
    expect_block(&p, 0x11);
    EXPECT_ATA(robot_packet(&p.r, CD, 0x1e, 0, 0, 0), 0x50, 0);
    EXPECT_STR(change(&p, "ide1-cd0", p.other), "");
    expect_sense(&p, 2, 0x3a);
    expect_sense(&p, 6, 0x28);
    EXPECT_ATA(robot_packet(&p.r, CD, 0x1e, 1, 0, 0), 0x50, 0);
    EXPECT_STR(robot_command(&p.r, "eject -f ide1-cd0"), "");
    expect_sense(&p, 2, 0x3a);
    place_end(&p);
}

/* The guest's own tray: out, and in again with what lies in it. */
TEST(cdrom_tray_of_the_guest)
{
    struct place p;
    if (!place_start(&p, KIB, "media=cdrom,index=2")) {
        return;
    }
    robot_packet(&p.r, CD, 0, 0, 0, 0);
    EXPECT_ATA(robot_packet(&p.r, CD, 0x1b, 2, 0, 0), 0x50, 0);
    expect_sense(&p, 2, 0x3a);
    EXPECT(strstr(robot_command(&p.r, "info block"), "tray open"));
    EXPECT_ATA(robot_packet(&p.r, CD, 0x1b, 3, 0, 0), 0x50, 0);
    expect_block(&p, 0x11);
    EXPECT_ATA(robot_packet(&p.r, CD, 0x1b, 2, 0, 0), 0x50, 0);
    EXPECT_STR(change(&p, "ide1-cd0", p.other), ""); /* put into the open tray, which closes */
    expect_sense(&p, 2, 0x3a);
    expect_sense(&p, 6, 0x28);
    expect_block(&p, 0x22);
    place_end(&p);
}

TEST(change_that_fails)
{
    struct place p;
    if (!place_start(&p, KIB, "media=cdrom,index=2")) {
        return;
    }
    robot_packet(&p.r, CD, 0, 0, 0, 0);
    EXPECT_STR(change(&p, "ide1-cd0", "/no/such/file"),
               "ide1-cd0: /no/such/file: No such file or directory\n");
    EXPECT(strstr(change(&p, "ide1-cd0", p.dir), "is a directory"));
    EXPECT(strstr(change(&p, "ide1-cd9", p.other), "no drive \"ide1-cd9\""));
    EXPECT(strstr(robot_command(&p.r, "change ide1-cd0"), "want [-f] DRIVE FILE"));
    expect_block(&p, 0x11); /* no attention, the old medium */
    place_end(&p);
}

/* Saved after a change, the machine wants what was in the drive then. */
TEST(change_and_save)
{
    struct place p;
    struct doppel_error e = {"", false};
    uint8_t *data = NULL;
    size_t len = 0;
    if (!place_start(&p, KIB, "media=cdrom,index=2")) {
        return;
    }
    EXPECT_STR(change(&p, "ide1-cd0", p.other), "");
    EXPECT(doppel_save(p.r.vm, &data, &len));
    uint64_t want = doppel_digest(p.r.vm);
    robot_stop(&p.r);
    if (EXPECT(robot_start(&p.r, &p.o, &e))) {
        char away[200];
        snprintf(away, sizeof away, "%s.away", p.other);
        EXPECT_EQ(rename(p.other, away), 0);
        uint64_t was = doppel_digest(p.r.vm);
        EXPECT(!doppel_load(p.r.vm, data, len, &e));
        EXPECT(strstr(e.msg, "ide1-cd0: ") && strstr(e.msg, "b.img"));
        EXPECT_EQ(doppel_digest(p.r.vm), was);
        EXPECT_EQ(rename(away, p.other), 0);
        EXPECT(doppel_load(p.r.vm, data, len, &e)); /* puts it in again */
        EXPECT_EQ(doppel_digest(p.r.vm), want);
        robot_stop(&p.r);
    }
    snprintf(p.drive[1], sizeof p.drive[1], "file=%s,media=cdrom,index=2", p.other);
    p.o.drive[0] = p.drive[1];
    if (EXPECT(robot_start(&p.r, &p.o, &e)) && EXPECT(doppel_load(p.r.vm, data, len, &e))) {
        EXPECT_EQ(doppel_digest(p.r.vm), want);
        expect_sense(&p, 6, 0x29); /* power-on comes first */
        expect_sense(&p, 2, 0x3a);
        expect_sense(&p, 6, 0x28);
        expect_block(&p, 0x22);
    }
    free(data);
    place_end(&p);
}

/* A disk that is written and exchanged for itself: the lock in the way is its own. */
TEST(change_to_the_same_file)
{
    struct place p;
    if (!place_start(&p, 1440, "if=floppy")) {
        return;
    }
    robot_floppy(&p.r, true, 3, 0x33);
    char quoted[100];
    snprintf(quoted, sizeof quoted, "\"%s\"", p.image);
    EXPECT_STR(change(&p, "floppy0", quoted), "");
    struct robot_ata x = robot_floppy(&p.r, false, 3, 0);
    EXPECT(x.status == 0 && x.b == 0x33);
    place_end(&p);
}

TEST(floppy_change)
{
    struct place p;
    if (!place_start(&p, 1440, "if=floppy")) {
        return;
    }
    struct robot_ata x = robot_floppy(&p.r, false, 3, 0);
    EXPECT_EQ(x.b, 0x11);
    EXPECT_EQ(robot_in(&p.r, 0x3f7) & 0x80, 0);
    EXPECT_STR(change(&p, "floppy0", p.other), "");
    EXPECT_EQ(robot_in(&p.r, 0x3f7) & 0x80, 0x80); /* DSKCHG, until a step */
    x = robot_floppy(&p.r, false, 4, 0);
    EXPECT(x.status == 0 && x.b == 0x22);
    EXPECT_EQ(robot_in(&p.r, 0x3f7) & 0x80, 0);
    EXPECT_STR(robot_command(&p.r, "eject floppy0"), "");
    EXPECT_EQ(robot_in(&p.r, 0x3f7) & 0x80, 0x80);
    /* A command waits for a medium, and finds it. */
    static const char order[8] = {'F', 0, 0, 5, 0, 1};
    EXPECT(!robot_order(&p.r, order));
    EXPECT_STR(change(&p, "floppy0", p.image), "");
    EXPECT(robot_wait(&p.r));
    EXPECT(p.r.answer[0] == 0 && p.r.answer[3] == 0x11);
    place_end(&p);
}

/* A run with a medium change, and the same with what came through the gate given at its instant. */
static uint64_t changed_run(struct place *p, bool replay, uint64_t *at)
{
    struct doppel_error e = {"", false};
    if (!EXPECT(robot_start(&p->r, &p->o, &e))) {
        return 0;
    }
    robot_packet(&p->r, CD, 0, 0, 0, 0);
    if (!replay) {
        *at = doppel_icount(p->r.vm);
        EXPECT_STR(change(p, "ide1-cd0", p->other), "");
    } else {
        uint8_t payload[200] = {2}; /* change, the drive, the path */
        size_t n = 1 + 9 + strlen(p->other) + 1;
        memcpy(payload + 1, "ide1-cd0", 9);
        memcpy(payload + 10, p->other, strlen(p->other));
        EXPECT_EQ(doppel_icount(p->r.vm), *at);
        EXPECT(doppel_post_input(p->r.vm, "block", payload, (uint32_t)n));
    }
    expect_sense(p, 2, 0x3a);
    expect_sense(p, 6, 0x28);
    expect_block(p, 0x22);
    uint64_t digest = doppel_digest(p->r.vm);
    robot_stop(&p->r);
    return digest;
}

TEST(change_replays)
{
    struct place p;
    uint64_t at = 0;
    place_make(&p, KIB, "media=cdrom,index=2");
    uint64_t want = changed_run(&p, false, &at);
    EXPECT_EQ(changed_run(&p, true, &at), want);
    EXPECT_EQ(changed_run(&p, false, &at), want);
    place_end(&p);
}

/* Garbage in a replay's log is no medium change. */
TEST(bad_payloads)
{
    static const struct {
        uint8_t bytes[16];
        uint32_t len;
    } bad[] = {{{2}, 0},
               {{2}, 1},
               {{2, 'x'}, 2},
               {{2, 'i', 'd', 'e', '1', '-', 'c', 'd', '0'}, 9},
               {{2, 'i', 'd', 'e', '1', '-', 'c', 'd', '0', 0}, 10},
               {{2, 0, 0}, 3},
               {{9, 'x', 0, 'y', 0}, 5}};
    struct place p;
    if (!place_start(&p, KIB, "media=cdrom,index=2")) {
        return;
    }
    robot_packet(&p.r, CD, 0, 0, 0, 0);
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        EXPECT(doppel_post_input(p.r.vm, "block", bad[i].bytes, bad[i].len));
    }
    expect_block(&p, 0x11);
    place_end(&p);
}
