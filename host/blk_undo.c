/*
 * The undo file of a writable image: append before the first write, walk forward to go back.
 *
 * The disk as of a mark: of each cluster the first record behind the mark, or what the image has.
 * A set of bits says which clusters have a record behind the last mark; they need no other.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* fallocate */
#endif
#include "host/blk_undo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/blk_priv.h"
#include "util/bits.h"
#include "util/digest.h"
#include "util/os_file.h"

#define CLUSTER BLK_OVERLAY_CLUSTER
#define RECORD  64u
#define SIZE    (RECORD + CLUSTER) /* of a record with data */
#define BATCH   16u                /* records of one write */
#define SAMPLES 64u
#define SEED    UINT64_C(0x6a09e667f3bcc908) /* of all checksums */

enum { R_MARK = 1, R_CLUSTER = 2, R_GIVEN_UP = 3, R_CLOSED = 4 };

static const char magic[8] = {'d', 'o', 'p', 'p', 'e', 'l', 'u', 'n'};

struct mark {
    uint64_t id, sample, at; /* offset of its record */
    char *path;              /* of the snapshot */
};

struct blk_undo {
    struct blk blk; /* first */
    struct blk *under;
    char *image, *path; /* of the undo file */
    int fd;             /* -1: there is none */
    uint64_t end;       /* where the next record goes */
    bool unsynced;
    struct mark *mark; /* in the order of their records */
    unsigned nmarks;
    uint8_t *saved; /* with marks: clusters with a record behind the last one */
};

/* --- The file --- */

static bool put_at(const struct blk_undo *u, const void *data, size_t len, uint64_t off)
{
    return os_pwrite_all(u->fd, data, len, off);
}

static bool get_at(const struct blk_undo *u, void *data, size_t len, uint64_t off)
{
    uint8_t *p = data;
    while (len) {
        ssize_t n = pread(u->fd, p, len, (off_t)off);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            errno = n < 0 ? errno : EIO;
            return false;
        }
        p += n;
        off += (uint64_t)n;
        len -= (size_t)n;
    }
    return true;
}

static uint64_t sum_of(const uint8_t *record, size_t size)
{
    uint64_t h = digest_bytes(SEED, record, RECORD - 8);
    return size > RECORD ? digest_bytes(h, record + RECORD, size - RECORD) : h;
}

/* `size`: RECORD, or SIZE with the data in its place. */
static void make_record(uint8_t *r, uint32_t kind, uint64_t a, uint64_t b, size_t size)
{
    memset(r, 0, RECORD);
    le32_put(r, kind);
    le64_put(r + 8, a);
    le64_put(r + 16, b);
    le64_put(r + 56, sum_of(r, size));
}

/* What was written in part is cut off again, so that records follow each other. */
static bool append(struct blk_undo *u, const uint8_t *data, size_t len)
{
    if (!put_at(u, data, len, u->end)) {
        int why = errno;
        if (ftruncate(u->fd, (off_t)u->end) != 0) {
            /* the next one is written over it */
        }
        errno = why;
        return false;
    }
    u->end += len;
    u->unsynced = true;
    return true;
}

static void put_header(uint8_t *h, uint64_t bytes, uint64_t first)
{
    memset(h, 0, RECORD);
    memcpy(h, magic, sizeof magic);
    le32_put(h + 8, 1);
    le32_put(h + 12, CLUSTER);
    le64_put(h + 16, bytes);
    le64_put(h + 24, first);
}

static bool make_file(struct blk_undo *u, struct err *e)
{
    uint8_t h[RECORD];
    struct stat st;
    if (stat(u->image, &st) != 0 || !S_ISREG(st.st_mode)) {
        return err_set(e,
                       "%s: not a file, so no undo file can be beside it; snapshot=on keeps "
                       "writes in the snapshot",
                       u->image);
    }
    u->fd = open(u->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    put_header(h, u->blk.bytes, RECORD);
    if (u->fd < 0 || !put_at(u, h, sizeof h, 0)) {
        return err_set(e, "%s: %s", u->path, strerror(errno));
    }
    u->end = RECORD;
    return true;
}

static void drop_file(struct blk_undo *u)
{
    if (u->fd >= 0) {
        close(u->fd);
        unlink(u->path);
    }
    u->fd = -1;
    u->unsynced = false;
    while (u->nmarks) {
        free(u->mark[--u->nmarks].path);
    }
    free(u->saved);
    u->saved = NULL;
}

/* --- Marks --- */

static bool add_mark(struct blk_undo *u, uint64_t id, uint64_t sample, uint64_t at,
                     const char *path)
{
    struct mark *m = realloc(u->mark, (u->nmarks + 1) * sizeof *m);
    size_t bits = blk_overlay_marks_size(u->blk.bytes);
    char *copy = strdup(path);
    u->mark = m ? m : u->mark;
    u->saved = u->saved ? u->saved : calloc(bits, 1);
    if (!m || !copy || !u->saved) {
        free(copy);
        errno = ENOMEM;
        return false;
    }
    memset(u->saved, 0, bits);
    u->mark[u->nmarks++] = (struct mark){id, sample, at, copy};
    return true;
}

static const struct mark *find(const struct blk_undo *u, uint64_t id)
{
    for (unsigned i = 0; i < u->nmarks; i++) {
        if (u->mark[i].id == id) {
            return &u->mark[i];
        }
    }
    return NULL;
}

bool blk_undo_has(const struct blk_undo *u, uint64_t id)
{
    return find(u, id) != NULL;
}

/* Sector i of the sample. */
static uint64_t sample_sector(const struct blk_undo *u, unsigned i)
{
    uint64_t n = u->blk.bytes / BLK_SECTOR;
    return n / SAMPLES * i + n % SAMPLES * i / SAMPLES;
}

static bool take_sample(struct blk_undo *u, uint8_t sector[SAMPLES][BLK_SECTOR], const bool *have,
                        uint64_t *h)
{
    *h = SEED;
    for (unsigned i = 0; i < SAMPLES; i++) {
        if (!have[i] &&
            !u->under->read(u->under, sample_sector(u, i) * BLK_SECTOR, sector[i], BLK_SECTOR)) {
            return false;
        }
        *h = digest_bytes(*h, sector[i], BLK_SECTOR);
    }
    return true;
}

bool blk_undo_mark(struct blk_undo *u, uint64_t id, const char *path, struct err *e)
{
    uint8_t record[SIZE] = {0}, sector[SAMPLES][BLK_SECTOR];
    bool have[SAMPLES] = {false};
    uint64_t sample, at;
    if (strlen(path) >= CLUSTER) {
        return err_set(e, "%.100s...: the name is too long", path);
    }
    if (u->fd < 0 && !make_file(u, e)) {
        drop_file(u);
        return false;
    }
    if (!take_sample(u, sector, have, &sample)) {
        return err_set(e, "%s: %s", u->image, strerror(errno));
    }
    memcpy(record + RECORD, path, strlen(path));
    make_record(record, R_MARK, id, sample, SIZE);
    at = u->end;
    bool ok = append(u, record, sizeof record) && fdatasync(u->fd) == 0 &&
              add_mark(u, id, sample, at, path);
    return ok || err_set(e, "%s: %s", u->path, strerror(errno));
}

/* What is in front of the first mark is of no use. */
static void cut_front(struct blk_undo *u)
{
    uint8_t first[8];
    le64_put(first, u->mark[0].at);
    if (put_at(u, first, sizeof first, 24) && fdatasync(u->fd) == 0 && u->mark[0].at > RECORD) {
#ifdef FALLOC_FL_PUNCH_HOLE
        int r = fallocate(u->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, RECORD,
                          (off_t)(u->mark[0].at - RECORD));
        (void)r; /* a file system without holes keeps it */
#endif
    }
}

static void give_up(struct blk_undo *u, unsigned i)
{
    uint8_t record[RECORD];
    make_record(record, R_GIVEN_UP, u->mark[i].id, 0, RECORD);
    append(u, record, sizeof record); /* if not: it is found to be gone when the image is opened */
    free(u->mark[i].path);
    memmove(&u->mark[i], &u->mark[i + 1], (u->nmarks - i - 1) * sizeof u->mark[0]);
    if (--u->nmarks == 0) {
        drop_file(u);
    } else if (i == 0) {
        cut_front(u);
    }
}

void blk_undo_forget(struct blk_undo *u, const char *path, uint64_t except)
{
    for (unsigned i = u->nmarks; i-- > 0;) {
        if (strcmp(u->mark[i].path, path) == 0 && u->mark[i].id != except) {
            give_up(u, i);
        }
    }
}

void blk_undo_forget_id(struct blk_undo *u, uint64_t id)
{
    for (unsigned i = u->nmarks; i-- > 0;) {
        if (u->mark[i].id == id) {
            give_up(u, i);
        }
    }
}

/* --- Opening --- */

/* The bytes of a record by its first 64; 0: it is none. */
static size_t record_size(const struct blk_undo *u, const uint8_t *r)
{
    uint64_t n = le64_get(r + 8);
    switch (le32_get(r)) {
    case R_MARK:
        return n ? SIZE : 0;
    case R_CLUSTER:
        return n <= (u->blk.bytes - 1) / CLUSTER ? SIZE : 0;
    case R_GIVEN_UP:
    case R_CLOSED:
        return RECORD;
    default:
        return 0;
    }
}

static bool was_changed(const struct blk_undo *u, const uint8_t *closed)
{
    struct stat st;
    return stat(u->image, &st) != 0 || (uint64_t)st.st_size != le64_get(closed + 8) ||
           (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec !=
               le64_get(closed + 16);
}

/* One record; false: e. */
static bool replay(struct blk_undo *u, const uint8_t *r, uint64_t at, bool *closed, struct err *e)
{
    uint64_t n = le64_get(r + 8);
    char path[CLUSTER];
    *closed = le32_get(r) == R_CLOSED;
    switch (le32_get(r)) {
    case R_MARK:
        if (!get_at(u, path, sizeof path, at + RECORD) || path[CLUSTER - 1] ||
            !add_mark(u, n, le64_get(r + 16), at, path)) {
            return err_set(e, "%s: damaged", u->path);
        }
        break;
    case R_CLUSTER:
        if (u->saved) {
            u->saved[n / 8] |= (uint8_t)(1u << n % 8);
        }
        break;
    case R_GIVEN_UP:
        for (unsigned i = u->nmarks; i-- > 0;) {
            if (u->mark[i].id == n) {
                free(u->mark[i].path);
                memmove(&u->mark[i], &u->mark[i + 1], (u->nmarks - i - 1) * sizeof u->mark[0]);
                u->nmarks--;
            }
        }
        break;
    default:
        break;
    }
    return true;
}

static bool read_records(struct blk_undo *u, uint64_t first, uint64_t size, struct err *e)
{
    uint8_t r[RECORD], last[RECORD] = {0};
    bool closed = false;
    for (u->end = first; u->end < size;) {
        size_t n =
            size - u->end >= RECORD && get_at(u, r, sizeof r, u->end) ? record_size(u, r) : 0;
        if (!n || n > size - u->end) {
            if (size - u->end > BATCH * SIZE) {
                return err_set(e,
                               "%s: damaged; delete it to go on without the snapshots that need it",
                               u->path);
            }
            break; /* it was being written when doppel was killed */
        }
        if (!replay(u, r, u->end, &closed, e)) {
            return false;
        }
        memcpy(last, r, sizeof last);
        u->end += n;
    }
    u->end -= closed ? RECORD : 0; /* it is open again */
    if (closed && was_changed(u, last)) {
        drop_file(u);
    } else if (ftruncate(u->fd, (off_t)u->end) != 0) {
        return err_set(e, "%s: %s", u->path, strerror(errno));
    }
    return true;
}

/* The snapshot was deleted, and not the disk it was on taken away. */
static bool is_gone(const char *path)
{
    char folder[CLUSTER];
    if (!*path) {
        return true; /* a way back from a load that did not end */
    }
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash) {
        *slash = 0;
    }
    return access(path, F_OK) != 0 && errno == ENOENT && slash && access(folder, F_OK) == 0;
}

static bool open_file(struct blk_undo *u, struct err *e)
{
    uint8_t h[RECORD];
    struct stat st;
    u->fd = open(u->path, O_RDWR | O_CLOEXEC);
    if (u->fd < 0) {
        return errno == ENOENT || err_set(e, "%s: %s", u->path, strerror(errno));
    }
    if (fstat(u->fd, &st) != 0 || !S_ISREG(st.st_mode) || !get_at(u, h, sizeof h, 0) ||
        memcmp(h, magic, sizeof magic) != 0) {
        return err_set(e, "%s: not an undo file of doppel's, which wants this name for one",
                       u->path);
    }
    uint64_t first = le64_get(h + 24);
    if (le32_get(h + 8) != 1 || le32_get(h + 12) != CLUSTER || first < RECORD ||
        first > (uint64_t)st.st_size) {
        return err_set(e, "%s: of another version of doppel, or damaged", u->path);
    }
    if (le64_get(h + 16) != u->blk.bytes) { /* the image was made anew or resized */
        drop_file(u);
        return true;
    }
    if (!read_records(u, first, (uint64_t)st.st_size, e)) {
        return false;
    }
    for (unsigned i = u->nmarks; i-- > 0;) {
        if (is_gone(u->mark[i].path)) {
            give_up(u, i);
        }
    }
    if (u->nmarks == 0) {
        drop_file(u);
    }
    return true;
}

/* --- As a block back end --- */

static bool undo_read(struct blk *b, uint64_t off, void *buf, size_t len)
{
    struct blk_undo *u = (struct blk_undo *)b;
    return u->under->read(u->under, off, buf, len);
}

/* Append what n clusters from `first` on are. */
static bool save(struct blk_undo *u, uint64_t first, unsigned n)
{
    uint8_t data[BATCH * CLUSTER], record[BATCH * SIZE];
    uint64_t left = u->blk.bytes - first * CLUSTER;
    size_t len = left < n * CLUSTER ? (size_t)left : n * CLUSTER;
    memset(data + len, 0, n * CLUSTER - len);
    if (!u->under->read(u->under, first * CLUSTER, data, len)) {
        return false;
    }
    for (unsigned i = 0; i < n; i++) {
        uint8_t *r = record + i * SIZE;
        memcpy(r + RECORD, data + i * CLUSTER, CLUSTER);
        make_record(r, R_CLUSTER, first + i, 0, SIZE);
    }
    if (!append(u, record, n * SIZE)) {
        return false;
    }
    for (uint64_t i = first; i < first + n; i++) {
        u->saved[i / 8] |= (uint8_t)(1u << i % 8);
    }
    return true;
}

static bool is_saved(const struct blk_undo *u, uint64_t i)
{
    return u->saved[i / 8] >> i % 8 & 1;
}

static bool undo_write(struct blk *b, uint64_t off, const void *buf, size_t len)
{
    struct blk_undo *u = (struct blk_undo *)b;
    for (uint64_t i = off / CLUSTER; u->nmarks && len && i <= (off + len - 1) / CLUSTER;) {
        unsigned n = 0;
        while (n < BATCH && i + n <= (off + len - 1) / CLUSTER && !is_saved(u, i + n)) {
            n++;
        }
        if (n && !save(u, i, n)) {
            return false;
        }
        i += n ? n : 1;
    }
    return u->under->write(u->under, off, buf, len);
}

static bool undo_flush(struct blk *b)
{
    struct blk_undo *u = (struct blk_undo *)b;
    if (u->unsynced && fdatasync(u->fd) != 0) {
        return false;
    }
    u->unsynced = false;
    return u->under->flush(u->under);
}

static void undo_close(struct blk *b)
{
    struct blk_undo *u = (struct blk_undo *)b;
    struct stat st;
    uint8_t record[RECORD];
    u->under->close(u->under); /* it may write */
    if (u->fd >= 0 && stat(u->image, &st) == 0) {
        make_record(record, R_CLOSED, (uint64_t)st.st_size,
                    (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec,
                    RECORD);
        append(u, record, sizeof record);
    }
    if (u->fd >= 0) {
        close(u->fd);
        u->fd = -1;
    }
    drop_file(u);
    free(u->mark);
    free(u->image);
    free(u->path);
    free(u);
}

struct blk *blk_undo_new(struct blk *under, const char *path, struct err *e)
{
    struct blk_undo *u = calloc(1, sizeof *u);
    char *image = realpath(path, NULL);
    size_t n = image ? strlen(image) + sizeof ".undo" : 1;
    char *name = malloc(n);
    if (!u || !image || !name) {
        free(u);
        free(image);
        free(name);
        under->close(under);
        err_set(e, "%s: %s", path, strerror(errno));
        return NULL;
    }
    snprintf(name, n, "%s.undo", image);
    u->blk = (struct blk){.bytes = under->bytes,
                          .readonly = under->readonly,
                          .read = undo_read,
                          .write = undo_write,
                          .flush = undo_flush,
                          .close = undo_close};
    u->under = under;
    u->image = image;
    u->path = name;
    if (open_file(u, e)) {
        return &u->blk;
    }
    if (u->fd >= 0) {
        close(u->fd); /* it stays, as it is */
        u->fd = -1;
    }
    undo_close(&u->blk);
    return NULL;
}

struct blk_undo *blk_undo_of(struct blk *b)
{
    return b && b->close == undo_close ? (struct blk_undo *)b : NULL;
}

/* --- Going back --- */

/* Call fn for each cluster's first record behind a mark. False: e, or fn failed. */
static bool each_record(struct blk_undo *u, const struct mark *m,
                        bool (*fn)(void *ctx, uint64_t index, const uint8_t *data), void *ctx,
                        struct err *e)
{
    uint8_t r[SIZE], *seen = calloc(blk_overlay_marks_size(u->blk.bytes), 1);
    bool ok = seen != NULL;
    for (uint64_t at = m->at; ok && at < u->end;) {
        ok = get_at(u, r, RECORD, at);
        size_t n = ok ? record_size(u, r) : 0;
        ok = n && n <= u->end - at && (n == RECORD || get_at(u, r + RECORD, CLUSTER, at + RECORD));
        if (!ok || sum_of(r, n) != le64_get(r + 56)) {
            err_set(e, "%s: damaged; what was in the image then is not known", u->path);
            ok = false;
            break;
        }
        uint64_t i = le64_get(r + 8);
        if (le32_get(r) == R_CLUSTER && !(seen[i / 8] >> i % 8 & 1)) {
            seen[i / 8] |= (uint8_t)(1u << i % 8);
            ok = fn(ctx, i, r + RECORD);
        }
        at += n;
    }
    free(seen);
    return ok;
}

struct then {
    const struct blk_undo *u;
    uint8_t sector[SAMPLES][BLK_SECTOR];
    bool have[SAMPLES];
};

static bool sample_then(void *ctx, uint64_t index, const uint8_t *data)
{
    struct then *t = ctx;
    for (unsigned i = 0; i < SAMPLES; i++) {
        uint64_t off = sample_sector(t->u, i) * BLK_SECTOR;
        if (off / CLUSTER == index) {
            memcpy(t->sector[i], data + off % CLUSTER, BLK_SECTOR);
            t->have[i] = true;
        }
    }
    return true;
}

bool blk_undo_check(struct blk_undo *u, uint64_t id, struct err *e)
{
    const struct mark *m = find(u, id);
    if (!m) {
        return err_set(e,
                       "%s cannot be put back: there is no record of all that was written to it "
                       "since (another program wrote to it, or %s was deleted)",
                       u->image, u->path);
    }
    struct then *t = calloc(1, sizeof *t);
    uint64_t sample = 0;
    if (!t) {
        return err_set(e, "no host memory");
    }
    t->u = u;
    bool ok = each_record(u, m, sample_then, t, e);
    if (ok && (!take_sample(u, t->sector, t->have, &sample) || sample != m->sample)) {
        ok = err_set(e, "%s cannot be put back: it was changed by another program", u->image);
    }
    free(t);
    return ok;
}

struct go {
    struct blk_undo *u;
    struct blk_overlay *was; /* what it was before each write */
};

static bool go_one(void *ctx, uint64_t index, const uint8_t *data)
{
    struct go *g = ctx;
    uint64_t off = index * CLUSTER, left = g->u->blk.bytes - off;
    size_t n = left < CLUSTER ? (size_t)left : CLUSTER;
    uint8_t now[CLUSTER] = {0};
    if (!undo_read(&g->u->blk, off, now, n)) {
        return false;
    }
    return memcmp(now, data, n) == 0 ||
           (blk_overlay_put(g->was, index, now) && undo_write(&g->u->blk, off, data, n));
}

static void go_back(void *ctx, uint64_t index, const uint8_t *data)
{
    struct blk_undo *u = ctx;
    uint64_t off = index * CLUSTER, left = u->blk.bytes - off;
    u->under->write(u->under, off, data, left < CLUSTER ? (size_t)left : CLUSTER);
}

bool blk_undo_go(struct blk_undo *u, uint64_t id, struct err *e)
{
    const struct mark *m = find(u, id);
    if (!m) {
        return blk_undo_check(u, id, e);
    }
    /* Records that are appended on the way are of clusters that have one already. */
    struct mark from = *m;
    struct go g = {u, blk_overlay_store(u->blk.bytes)};
    e->msg[0] = 0;
    errno = 0;
    bool ok = g.was && each_record(u, &from, go_one, &g, e) && undo_flush(&u->blk);
    int why = errno;
    if (!ok && g.was) {
        blk_overlay_each(g.was, go_back, u);
    }
    blk_overlay_free(g.was);
    if (!ok && !e->msg[0]) {
        err_set(e, "%s: %s", u->image, strerror(why ? why : EIO));
    }
    return ok;
}
