#include "tests/lib/image.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- A file in memory --- */

static bool fails(unsigned *countdown)
{
    if (*countdown && --*countdown == 0) {
        errno = EIO;
        return true;
    }
    return false;
}

static void record(struct memfile *m, bool sync, uint64_t off, const void *buf, size_t len)
{
    if (!m->record) {
        return;
    }
    if (!(m->nops & (m->nops - 1))) {
        m->ops = realloc(m->ops, (m->nops ? 2 * m->nops : 1) * sizeof *m->ops);
    }
    struct memfile_op op = {.sync = sync, .off = off, .len = len, .data = malloc(len + 1)};
    memcpy(op.data, buf, len);
    m->ops[m->nops++] = op;
}

static bool mem_read(void *ctx, uint64_t off, void *buf, size_t len)
{
    struct memfile *m = ctx;
    if (fails(&m->fail_read) || off > m->len || len > m->len - off) {
        errno = EIO;
        return false;
    }
    memcpy(buf, m->data + off, len);
    return true;
}

static bool mem_write(void *ctx, uint64_t off, const void *buf, size_t len)
{
    struct memfile *m = ctx;
    if (fails(&m->fail_write)) {
        return false;
    }
    if (m->max && off + len > m->max) {
        errno = ENOSPC;
        return false;
    }
    record(m, false, off, buf, len);
    if (off + len > m->len) {
        memfile_resize(m, (size_t)off + len);
    }
    memcpy(m->data + off, buf, len);
    return true;
}

static bool mem_sync(void *ctx)
{
    struct memfile *m = ctx;
    if (fails(&m->fail_sync)) {
        return false;
    }
    record(m, true, 0, "", 0);
    return true;
}

void memfile_resize(struct memfile *m, size_t len)
{
    if (len > m->room) {
        m->room = len + len / 2 + 4096;
        m->data = realloc(m->data, m->room);
        if (!m->data) {
            abort();
        }
    }
    if (len > m->len) {
        memset(m->data + m->len, 0, len - m->len);
    }
    m->len = len;
}

void memfile_init(struct memfile *m, const void *data, size_t len)
{
    *m = (struct memfile){0};
    memfile_resize(m, len ? len : 1);
    memcpy(m->data, data, len);
    m->len = len;
}

void memfile_free(struct memfile *m)
{
    for (unsigned i = 0; i < m->nops; i++) {
        free(m->ops[i].data);
    }
    free(m->ops);
    free(m->data);
    *m = (struct memfile){0};
}

struct blk_file memfile_file(struct memfile *m, bool readonly)
{
    static const struct blk_file_ops ops = {mem_read, mem_write, mem_sync};
    return (struct blk_file){
        .fd = -1, .ops = &ops, .ctx = m, .bytes = m->len, .readonly = readonly};
}

/* --- Files --- */

static char folder[64];

static void remove_folder(void)
{
    image_run("rm -rf '%s'", folder);
}

static void make_folder(void)
{
    if (!folder[0]) {
        snprintf(folder, sizeof folder, "/tmp/doppel-image-XXXXXX");
        if (!mkdtemp(folder)) {
            abort();
        }
        atexit(remove_folder);
    }
}

const char *image_path(const char *name)
{
    static char ring[8][256];
    static unsigned next;
    char *path = ring[next++ % 8];
    make_folder();
    snprintf(path, sizeof ring[0], "%s/%s", folder, name);
    return path;
}

void image_save(const char *path, const void *data, size_t len)
{
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, len, f) != len || fclose(f) != 0) {
        FAIL("%s: %s", path, strerror(errno));
    }
}

bool image_load(struct memfile *m, const char *path)
{
    FILE *f = fopen(path, "rb");
    *m = (struct memfile){0};
    if (!f) {
        FAIL("%s: %s", path, strerror(errno));
        return false;
    }
    fseek(f, 0, SEEK_END);
    long n = ftell(f);
    rewind(f);
    memfile_resize(m, (size_t)n);
    bool ok = fread(m->data, 1, (size_t)n, f) == (size_t)n;
    fclose(f);
    return EXPECT(ok);
}

/* --- QEMU's tools --- */

bool image_have_qemu(void)
{
    return system("qemu-img --version >/dev/null 2>&1 && qemu-io --version >/dev/null 2>&1") == 0;
}

int image_run(const char *fmt, ...)
{
    char text[4096];
    make_folder();
    int n = snprintf(text, sizeof text, "cd '%s' && { ", folder);
    va_list ap;
    va_start(ap, fmt);
    n += vsnprintf(text + n, sizeof text - (size_t)n, fmt, ap);
    va_end(ap);
    snprintf(text + n, sizeof text - (size_t)n, "\n} >log 2>&1");
    int status = system(text);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

/* Its status: 0 fine, 3 leaks only (qemu-img(1)). */
bool image_check(const char *path, bool leaks)
{
    int status = image_run("qemu-img check -f qcow2 '%s'", path);
    if (status == 0 || (status == 3 && leaks)) {
        return true;
    }
    char line[256];
    FILE *f = fopen(image_path("log"), "r");
    while (f && fgets(line, sizeof line, f)) {
        printf("    %s", line);
    }
    if (f) {
        fclose(f);
    }
    return false;
}
