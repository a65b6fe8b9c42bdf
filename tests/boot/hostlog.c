/*
 * Writes and flushes of one host file; see hostlog.h.
 */
#include "tests/boot/hostlog.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/t.h"

enum { SECTOR = 512 };

/* The one log that is being kept. */
static struct {
    struct host_log *log;
    const size_t *said;
    dev_t dev;
    ino_t ino;
} now;

static void *grow(void *p, size_t n, size_t size)
{
    /* To the next power of two, when n has just reached one. */
    if ((n & (n - 1)) == 0) {
        p = realloc(p, (n ? n * 2 : 1) * size);
        if (!p) {
            abort();
        }
    }
    return p;
}

static void note(int fd, const void *buf, size_t len, off_t off)
{
    struct stat st;
    struct host_log *log = now.log;
    if (!log || fstat(fd, &st) != 0 || st.st_dev != now.dev || st.st_ino != now.ino) {
        return;
    }
    log->op = grow(log->op, log->nops, sizeof *log->op);
    log->op[log->nops++] = (struct host_op){(uint64_t)off, len, log->ndata, *now.said};
    for (size_t i = 0; i < len; i++) {
        log->data = grow(log->data, log->ndata, 1);
        log->data[log->ndata++] = ((const uint8_t *)buf)[i];
    }
}

ssize_t pwrite(int fd, const void *buf, size_t len, off_t off)
{
    note(fd, buf, len, off);
    return syscall(SYS_pwrite64, fd, buf, len, off);
}

int fdatasync(int fd)
{
    note(fd, NULL, 0, 0);
    return (int)syscall(SYS_fdatasync, fd);
}

void hostlog_start(struct host_log *log, const char *path, const size_t *said)
{
    struct stat st;
    *log = (struct host_log){0};
    if (stat(path, &st) != 0) {
        FAIL("%s is not there", path);
        return;
    }
    now.log = log;
    now.said = said;
    now.dev = st.st_dev;
    now.ino = st.st_ino;
}

void hostlog_stop(void)
{
    now.log = NULL;
}

void hostlog_free(struct host_log *log)
{
    free(log->op);
    free(log->data);
    *log = (struct host_log){0};
}

bool hostlog_same(const struct host_log *a, const struct host_log *b)
{
    return a->nops == b->nops && a->ndata == b->ndata && memcmp(a->data, b->data, a->ndata) == 0;
}

uint8_t *hostlog_cut(const struct host_log *log, size_t at, enum hostlog_cut how, struct t_rng *rng,
                     const uint8_t *base, size_t len, size_t *out_len)
{
    size_t flushed = 0, end = len;
    for (size_t i = 0; i < at; i++) {
        const struct host_op *op = &log->op[i];
        flushed = op->len ? flushed : i;
        end = op->off + op->len > end ? op->off + op->len : end;
    }
    uint8_t *out = calloc(1, end);
    if (!out) {
        abort();
    }
    memcpy(out, base, len);
    *out_len = end;
    for (size_t i = 0; i < at; i++) {
        const struct host_op *op = &log->op[i];
        bool safe = i < flushed || how == HOSTLOG_ALL;
        for (size_t k = 0; k < op->len; k += SECTOR) {
            if (safe || (how == HOSTLOG_SOME && (t_rand(rng) & 1))) {
                size_t n = op->len - k < SECTOR ? op->len - k : SECTOR;
                memcpy(out + op->off + k, log->data + op->data + k, n);
            }
        }
    }
    return out;
}
