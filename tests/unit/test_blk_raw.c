/*
 * Raw images and overlays as block back ends: sizes, ends, write protection, locks, what may be
 * written; and the bounds of drive_read and drive_write.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/blk.h"
#include "tests/t.h"

static char path[64];

/* A file of `len` bytes: byte i of it is i / 512 + 1. */
static void make_file(off_t len)
{
    snprintf(path, sizeof path, "/tmp/doppel-blk-XXXXXX");
    int fd = mkstemp(path);
    uint8_t block[512];
    for (off_t at = 0; at < len; at += 512) {
        size_t n = len - at < 512 ? (size_t)(len - at) : 512;
        memset(block, (int)(at / 512 + 1), sizeof block);
        EXPECT_EQ(write(fd, block, n), n);
    }
    EXPECT_EQ(close(fd), 0);
}

static struct blk *open_how(struct blk_how how)
{
    struct err e = {""};
    how.align = how.align ? how.align : 512;
    struct blk *b = blk_open(path, &how, NULL, &e);
    if (!b) {
        FAIL("%s", e.msg);
    }
    return b;
}

static struct blk *open_raw(void)
{
    return open_how((struct blk_how){.format = BLK_RAW});
}

static void expect_refused(struct blk_how how, const char *text)
{
    struct err e = {""};
    how.align = 512;
    struct blk *b = blk_open(path, &how, NULL, &e);
    EXPECT(b == NULL);
    if (!strstr(e.msg, text)) {
        FAIL("\"%s\" says nothing of \"%s\"", e.msg, text);
    }
    EXPECT(strchr(e.msg, '\n') == NULL);
}

static off_t file_size(void)
{
    struct stat st;
    return stat(path, &st) == 0 ? st.st_size : -1;
}

static void expect_fill(struct blk *b, uint64_t off, size_t len, uint8_t fill)
{
    uint8_t got[8192], want[8192];
    memset(want, fill, len);
    memset(got, ~fill, len);
    EXPECT(b->read(b, off, got, len));
    EXPECT_MEM(got, want, len);
}

TEST(ends)
{
    uint8_t buf[1024];
    make_file(4 * 512);
    struct blk *b = open_raw();
    EXPECT_EQ(b->bytes, 4 * 512);
    expect_fill(b, 0, 512, 1);
    expect_fill(b, 3 * 512, 512, 4);
    memset(buf, 9, sizeof buf);
    EXPECT(b->write(b, 2 * 512, buf, 1024));
    expect_fill(b, 512, 512, 2);
    expect_fill(b, 1024, 1024, 9);
    EXPECT(b->flush(b));
    b->close(b);
    EXPECT_EQ(file_size(), 4 * 512);
    unlink(path);
}

TEST(part_of_a_sector)
{
    uint8_t buf[512];
    make_file(1000);
    struct blk *b = open_raw();
    EXPECT_EQ(b->bytes, 1024);
    EXPECT(b->read(b, 512, buf, 512));
    EXPECT(buf[0] == 2 && buf[487] == 2 && buf[488] == 0 && buf[511] == 0);
    EXPECT_EQ(file_size(), 1000);
    memset(buf, 7, sizeof buf);
    EXPECT(b->write(b, 512, buf, 512)); /* makes it whole */
    EXPECT_EQ(file_size(), 1024);
    expect_fill(b, 512, 512, 7);
    expect_fill(b, 0, 512, 1);
    b->close(b);
    unlink(path);
    make_file(1);
    b = open_raw();
    EXPECT_EQ(b->bytes, 512);
    EXPECT(b->read(b, 0, buf, 512));
    EXPECT(buf[0] == 1 && buf[1] == 0);
    b->close(b);
    b = open_how((struct blk_how){.readonly = true, .align = 2048});
    EXPECT_EQ(b->bytes, 2048); /* a CD-ROM */
    expect_fill(b, 512, 1536, 0);
    b->close(b);
    unlink(path);
}

TEST(no_images)
{
    const struct blk_how write = {.format = BLK_RAW}, read = {.readonly = true};
    make_file(0);
    expect_refused(write, "the file is empty");
    expect_refused(read, "the file is empty");
    unlink(path);
    expect_refused(write, "No such file");
    EXPECT_EQ(mkdir(path, 0700), 0);
    expect_refused(read, "is a directory");
    rmdir(path);
    EXPECT_EQ(mkfifo(path, 0600), 0);
    expect_refused(write, "is not a file"); /* and does not wait for its other end */
    unlink(path);
    snprintf(path, sizeof path, "/dev/zero");
    expect_refused(write, "is not a file; want a file or block device");
    path[0] = 0;
    expect_refused(write, "a file name is empty");
}

/* As a user who may read the file, or not. */
TEST(permissions)
{
    make_file(2048);
    EXPECT_EQ(chmod(path, 0444), 0);
    bool root = geteuid() == 0;
    if (root && !EXPECT(seteuid(65534) == 0)) {
        return;
    }
    struct blk *b = open_raw();
    EXPECT(b->readonly);
    expect_fill(b, 0, 512, 1);
    b->close(b);
    b = open_how((struct blk_how){.snapshot = true});
    EXPECT(!b->readonly);
    b->close(b);
    EXPECT(!root || seteuid(0) == 0);
    EXPECT_EQ(chmod(path, 0), 0);
    EXPECT(!root || seteuid(65534) == 0);
    expect_refused((struct blk_how){.readonly = true}, "Permission denied");
    EXPECT(!root || seteuid(0) == 0);
    unlink(path);
}

TEST(locks)
{
    const struct blk_how write = {.format = BLK_RAW}, read = {.readonly = true},
                         aside = {.snapshot = true};
    make_file(2048);
    struct blk *b = open_raw();
    expect_refused(write, "in use by another drive, machine or program; snapshot=on");
    expect_refused(read, "that writes to it");
    expect_refused(aside, "that writes to it");
    b->close(b);
    b = open_how(read);
    struct blk *c = open_how(aside), *d = open_how(read);
    expect_refused(write, "in use");
    b->close(b);
    c->close(c);
    expect_refused(write, "in use");
    d->close(d);
    b = open_raw();
    b->close(b);
    unlink(path);
}

/* An image that nobody called raw must not turn into another format. */
TEST(magic_of_another_format)
{
    uint8_t sector[512] = {'Q', 'F', 'I', 0xfb};
    make_file(2048);
    struct blk *b = open_how((struct blk_how){.format = BLK_PROBE});
    errno = 0;
    EXPECT(!b->write(b, 0, sector, sizeof sector));
    EXPECT_EQ(errno, EPERM);
    EXPECT(b->write(b, 512, sector, sizeof sector));
    b->close(b);
    b = open_raw();
    EXPECT(b->write(b, 0, sector, sizeof sector));
    b->close(b);
    b = open_raw(); /* what the option says counts */
    EXPECT_EQ(b->bytes, 2048);
    b->close(b);
    unlink(path);
}

/* --- Overlays --- */

static void count_cluster(void *ctx, uint64_t index, const uint8_t *data)
{
    uint64_t *last = ctx;
    EXPECT(*last == UINT64_MAX || index > *last);
    EXPECT(data != NULL);
    *last = index;
}

TEST(overlay)
{
    uint8_t buf[8192];
    make_file(10 * 512 + 100); /* ends within the second cluster */
    struct blk *b = open_how((struct blk_how){.snapshot = true});
    struct blk_overlay *o = blk_overlay_of(b);
    EXPECT(o != NULL && b->bytes == 11 * 512 && !b->readonly);
    EXPECT_EQ(blk_overlay_count(o), 0);
    memset(buf, 0x99, sizeof buf);
    EXPECT(b->write(b, 7 * 512, buf, 1024)); /* over a cluster's end */
    EXPECT_EQ(blk_overlay_count(o), 2);
    expect_fill(b, 6 * 512, 512, 7);
    expect_fill(b, 7 * 512, 1024, 0x99);
    expect_fill(b, 9 * 512, 512, 10);
    EXPECT(b->write(b, 10 * 512, buf, 512));
    expect_fill(b, 10 * 512, 512, 0x99);
    EXPECT(b->flush(b));
    uint64_t last = UINT64_MAX;
    EXPECT(blk_overlay_each(o, count_cluster, &last));
    EXPECT_EQ(last, 1);
    EXPECT(!blk_overlay_put(o, 1, buf)); /* is there already */
    EXPECT(!blk_overlay_put(o, 2, buf)); /* behind the end */
    EXPECT(!blk_overlay_put(o, UINT64_MAX, buf));
    blk_overlay_clear(o);
    expect_fill(b, 7 * 512, 512, 8);
    EXPECT(blk_overlay_put(o, 1, buf));
    expect_fill(b, 7 * 512, 512, 8);
    expect_fill(b, 8 * 512, 512, 0x99);
    b->close(b);
    EXPECT_EQ(file_size(), 10 * 512 + 100);
    b = open_raw();
    EXPECT(blk_overlay_of(b) == NULL && blk_overlay_of(NULL) == NULL);
    expect_fill(b, 7 * 512, 512, 8);
    b->close(b);
    unlink(path);
}

/* A huge disk costs what is written, and its far end works. */
TEST(overlay_of_a_large_disk)
{
    uint8_t buf[512];
    const uint64_t size = UINT64_C(2) << 40;
    make_file(512);
    if (truncate(path, (off_t)size) != 0) {
        SKIP("no large files here");
        unlink(path);
        return;
    }
    struct blk *b = open_how((struct blk_how){.snapshot = true});
    memset(buf, 0x99, sizeof buf);
    EXPECT(b->write(b, size - 512, buf, sizeof buf));
    expect_fill(b, size - 512, 512, 0x99);
    expect_fill(b, size - 1024, 512, 0);
    EXPECT_EQ(blk_overlay_count(blk_overlay_of(b)), 1);
    b->close(b);
    unlink(path);
}

/* --- Bounds --- */

static unsigned failures;

static void on_failed(struct drive *d, const char *what)
{
    (void)d;
    (void)what;
    failures++;
}

TEST(drive_bounds)
{
    uint8_t buf[1024];
    struct drive d = {.failed = on_failed};
    failures = 0;
    EXPECT(!drive_read(&d, 0, buf, 1) && !drive_write(&d, 0, buf, 1) && drive_flush(&d));
    EXPECT_EQ(drive_sectors(&d), 0);
    make_file(4 * 512);
    d.blk = open_raw();
    EXPECT(drive_read(&d, 3, buf, 1));
    EXPECT(!drive_read(&d, 3, buf, 2) && !drive_read(&d, 4, buf, 1));
    EXPECT(!drive_read(&d, UINT64_MAX, buf, 2) && !drive_write(&d, UINT64_MAX, buf, 2));
    EXPECT(!drive_read(&d, UINT64_MAX / 512, buf, 1) && !drive_write(&d, 4, buf, 1));
    EXPECT(drive_write(&d, 2, buf, 2));
    d.blk->readonly = true;
    EXPECT(!drive_write(&d, 2, buf, 2));
    EXPECT_EQ(failures, 0); /* none of the host's */
    EXPECT(d.stats.errors == 0 && d.stats.reads == 1 && d.stats.writes == 1);
    EXPECT(d.stats.read_bytes == 512 && d.stats.write_bytes == 1024);
    EXPECT_EQ(truncate(path, 512), 0);
    EXPECT(!drive_read(&d, 1, buf, 1));
    EXPECT(failures == 1 && d.stats.errors == 1);
    EXPECT(drive_read(&d, 0, buf, 1));
    d.blk->close(d.blk);
    unlink(path);
}
