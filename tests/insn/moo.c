/* Reader of single-step states of real chips; see moo.h. */
#include "tests/insn/moo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "util/bits.h"
#if HAVE_ZLIB
#include <zlib.h>
#endif

/* A stream of decompressed bytes: by zlib, or in a build without it (a cross build) by gzip. */
#if HAVE_ZLIB
typedef gzFile stream;
static stream stream_open(const char *path)
{
    return gzopen(path, "rb");
}
static int stream_read(stream in, void *buf, unsigned len)
{
    return gzread(in, buf, len);
}
static void stream_close(stream in)
{
    gzclose(in);
}
#else
typedef FILE *stream;
static stream stream_open(const char *path)
{
    char command[4200];
    snprintf(command, sizeof command, "gzip -dc '%s'", path);
    return popen(command, "r");
}
static int stream_read(stream in, void *buf, unsigned len)
{
    return (int)fread(buf, 1, len, in);
}
static void stream_close(stream in)
{
    pclose(in);
}
#endif

bool moo_open(struct moo_file *f, const char *path)
{
    memset(f, 0, sizeof *f);
    stream in = stream_open(path);
    if (!in) {
        return false;
    }
    uint64_t cap = 0;
    int n = 1;
    while (n > 0) {
        if (cap - f->len < 65536) {
            cap = cap * 2 + 262144;
            f->data = realloc(f->data, cap);
            if (!f->data) {
                abort();
            }
        }
        n = stream_read(in, f->data + f->len, 65536);
        f->len += n > 0 ? (uint64_t)n : 0;
    }
    stream_close(in);
    if (n < 0 || f->len < 8 || memcmp(f->data, "MOO ", 4)) {
        moo_close(f);
        return false;
    }
    return true;
}

void moo_close(struct moo_file *f)
{
    free(f->data);
    memset(f, 0, sizeof *f);
}

/* A chunk: tag, length, body. */
struct chunk {
    const uint8_t *tag, *body;
    uint64_t len;
};

/* The chunk at *p, which moves behind it; false: no whole chunk before `end`. */
static bool chunk_next(const uint8_t **p, const uint8_t *end, struct chunk *c)
{
    if (end - *p < 8) {
        return false;
    }
    c->tag = *p;
    c->len = le32_get(*p + 4);
    c->body = *p + 8;
    if (c->len > (uint64_t)(end - c->body)) {
        return false;
    }
    *p = c->body + c->len;
    return true;
}

static bool is(const struct chunk *c, const char *tag)
{
    return memcmp(c->tag, tag, 4) == 0;
}

static bool read_state(const struct chunk *outer, struct moo_state *s)
{
    const uint8_t *p = outer->body, *end = p + outer->len;
    struct chunk c;
    memset(s, 0, sizeof *s);
    while (chunk_next(&p, end, &c)) {
        if (is(&c, "REGS") && c.len >= 2) {
            s->has = le16_get(c.body);
            uint64_t at = 2;
            for (unsigned r = 0; r < 16; r++) {
                if (s->has >> r & 1) {
                    if (at + 2 > c.len) {
                        return false;
                    }
                    s->reg[r] = le16_get(c.body + at);
                    at += 2;
                }
            }
        } else if (is(&c, "RAM ") && c.len >= 4) {
            uint64_t n = le32_get(c.body);
            if (n > ARRAY_LEN(s->ram) || 4 + 5 * n > c.len) {
                return false;
            }
            s->nram = (unsigned)n;
            for (unsigned k = 0; k < n; k++) {
                s->ram[k].addr = le32_get(c.body + 4 + 5 * k);
                s->ram[k].val = c.body[4 + 5 * k + 4];
            }
        }
    }
    return true;
}

static bool read_test(const struct chunk *outer, struct moo_test *t)
{
    const uint8_t *p = outer->body + 4, *end = outer->body + outer->len;
    struct chunk c;
    memset(t, 0, sizeof *t);
    t->index = le32_get(outer->body);
    while (chunk_next(&p, end, &c)) {
        if (is(&c, "NAME") && c.len > 4) {
            snprintf(t->name, sizeof t->name, "%.*s", (int)(c.len - 4), (const char *)c.body + 4);
        } else if (is(&c, "BYTS") && c.len > 4 && c.len - 4 <= sizeof t->bytes) {
            t->nbytes = (unsigned)(c.len - 4);
            memcpy(t->bytes, c.body + 4, t->nbytes);
        } else if (is(&c, "INIT") || is(&c, "FINA")) {
            if (!read_state(&c, is(&c, "INIT") ? &t->init : &t->fina)) {
                return false;
            }
        } else if (is(&c, "EXCP") && c.len >= 5) {
            t->has_exc = true;
            t->exc_vector = c.body[0];
            t->exc_flags_addr = le32_get(c.body + 1);
        } else if (is(&c, "HASH")) {
            for (unsigned k = 0; k < c.len && k < 20; k++) {
                snprintf(t->hash + 2 * k, 3, "%02x", c.body[k]);
            }
        }
    }
    return p == end;
}

bool moo_next(struct moo_file *f, struct moo_test *t, bool *bad)
{
    const uint8_t *p = f->data + f->pos, *end = f->data + f->len;
    struct chunk c;
    *bad = false;
    while (p < end) {
        if (!chunk_next(&p, end, &c)) {
            *bad = true;
            return false;
        }
        f->pos = (uint64_t)(p - f->data);
        if (is(&c, "TEST")) {
            *bad = c.len < 4 || !read_test(&c, t);
            t->place = f->count++;
            return !*bad;
        }
    }
    return false;
}
