/*
 * Chunks of a log: packing, writing, reading. docs/replay.md describes the format.
 *
 * A chunk's head, 32 bytes, little-endian: magic; type and codec, a byte each; 16 bits of zero;
 * bytes stored; bytes of the content; number; 32 bits of zero; a digest of those 24 bytes and of
 * what is stored.
 */
#include "vm/inlog.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "util/bits.h"
#include "util/os_file.h"

#if HAVE_ZLIB
#include <zlib.h>
#endif

#define CHUNK_MAGIC 0x6b6e6863u /* "chnk" */
#define HEAD        32u

enum { CODEC_STORED = 0, CODEC_ZLIB = 1 };
enum { AT_MAGIC = 0, AT_TYPE = 4, AT_CODEC = 5, AT_STORED = 8, AT_RAW = 12, AT_NUMBER = 16 };
enum { AT_SUM = 24 };

static const uint8_t magic[8] = {'d', 'o', 'p', 'p', 'e', 'l', 'r', 'l'};

/* --- Numbers --- */

void inlog_put_num(struct st_buf *b, uint64_t v)
{
    uint8_t bytes[10];
    size_t n = 0;
    do {
        bytes[n++] = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
        v >>= 7;
    } while (v);
    st_buf_put(b, bytes, n);
}

bool inlog_get_num(struct st_src *s, uint64_t *v)
{
    *v = 0;
    for (unsigned shift = 0; shift < 64 && s->pos < s->len; shift += 7) {
        uint64_t b = s->data[s->pos++];
        if (shift == 63 && b > 1) {
            return false;
        }
        *v |= (b & 0x7f) << shift;
        if (!(b & 0x80)) {
            return true;
        }
    }
    return false;
}

void inlog_put_text(struct st_buf *b, const char *text)
{
    size_t n = strlen(text);
    inlog_put_num(b, n);
    st_buf_put(b, text, n);
}

bool inlog_get_text(struct st_src *s, char *text, size_t max)
{
    uint64_t n;
    if (!inlog_get_num(s, &n) || n >= max || n > s->len - s->pos) {
        return false;
    }
    memcpy(text, s->data + s->pos, n);
    text[n] = 0;
    s->pos += n;
    return strlen(text) == n;
}

/* --- Packing --- */

static uint64_t sum_of(const uint8_t *chunk, size_t stored)
{
    return st_digest_bytes(st_digest_bytes(ST_DIGEST_INIT, chunk, AT_SUM), chunk + HEAD, stored);
}

/* The content behind the head; its stored size. */
static size_t pack_content(uint8_t *out, size_t room, const void *data, size_t len, bool plain,
                           uint8_t *codec)
{
    *codec = CODEC_STORED;
#if HAVE_ZLIB
    uLongf n = (uLongf)room;
    if (!plain && compress2(out, &n, data, (uLong)len, 1) == Z_OK && n < len) {
        *codec = CODEC_ZLIB;
        return n;
    }
#else
    (void)room;
    (void)plain;
#endif
    memcpy(out, data, len);
    return len;
}

void inlog_pack(struct inlog_chunk *c, enum inlog_type type, const void *data, size_t len,
                bool plain)
{
    assert(len && len <= INLOG_CHUNK_MAX);
    size_t room = len + len / 512 + 64;
    c->type = type;
    c->bytes = malloc(HEAD + room);
    if (!c->bytes) {
        abort();
    }
    memset(c->bytes, 0, HEAD);
    size_t stored = pack_content(c->bytes + HEAD, room, data, len, plain, &c->bytes[AT_CODEC]);
    le32_put(c->bytes + AT_MAGIC, CHUNK_MAGIC);
    c->bytes[AT_TYPE] = (uint8_t)type;
    le32_put(c->bytes + AT_STORED, (uint32_t)stored);
    le32_put(c->bytes + AT_RAW, (uint32_t)len);
    c->len = HEAD + stored;
}

/* --- Writing --- */

bool inlog_create(struct inlog_writer *w, const char *path, struct err *e)
{
    struct stat st;
    uint8_t head[INLOG_HEAD] = {0};
    *w = (struct inlog_writer){.fd = -1};
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        return err_set(e, "%s: is not a file; a recording wants one", path);
    }
    memcpy(head, magic, sizeof magic);
    le32_put(head + 8, INLOG_VERSION);
    w->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (w->fd < 0 || !os_write_all(w->fd, head, sizeof head)) {
        err_set(e, "%s: %s", path, strerror(errno));
        inlog_close(w);
        return false;
    }
    w->end = sizeof head;
    return true;
}

bool inlog_write(struct inlog_writer *w, const struct inlog_chunk *c)
{
    if (w->failed) {
        errno = w->failed;
        return false;
    }
    le32_put(c->bytes + AT_NUMBER, w->number);
    le64_put(c->bytes + AT_SUM, sum_of(c->bytes, c->len - HEAD));
    if (!os_write_all(w->fd, c->bytes, c->len)) {
        w->failed = errno;
        /* What is there of it goes; if it cannot, a reader stops before it. */
        int r = ftruncate(w->fd, (off_t)w->end);
        (void)r;
        errno = w->failed;
        return false;
    }
    w->end += c->len;
    w->number++;
    return true;
}

bool inlog_put(struct inlog_writer *w, enum inlog_type type, const void *data, size_t len)
{
    struct inlog_chunk c;
    inlog_pack(&c, type, data, len, w->plain);
    bool ok = inlog_write(w, &c);
    free(c.bytes);
    return ok;
}

void inlog_close(struct inlog_writer *w)
{
    if (w->fd >= 0) {
        close(w->fd);
    }
    w->fd = -1;
}

/* --- Reading --- */

static bool get(struct inlog_reader *r, uint64_t at, uint8_t *to, size_t len)
{
    if (at > r->size || len > r->size - at) {
        return false;
    }
    if (r->fd < 0) {
        memcpy(to, r->mem + at, len);
        return true;
    }
    while (len) {
        ssize_t n = pread(r->fd, to, len, (off_t)at);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        to += n;
        at += (uint64_t)n;
        len -= (size_t)n;
    }
    return true;
}

static bool check_head(struct inlog_reader *r, const char *path, struct err *e)
{
    uint8_t head[INLOG_HEAD];
    if (!get(r, 0, head, sizeof head) || memcmp(head, magic, sizeof magic) != 0) {
        return err_set(e, "%s: not a recording of doppel's", path);
    }
    uint32_t version = le32_get(head + 8);
    if (version < INLOG_OLDEST || version > INLOG_VERSION || le32_get(head + 12)) {
        return err_set(e, "%s: a recording in format %" PRIu32 "; this doppel reads %u to %u", path,
                       version, INLOG_OLDEST, INLOG_VERSION);
    }
    r->raw = malloc(INLOG_CHUNK_MAX);
    r->stored = malloc(HEAD + INLOG_CHUNK_MAX);
    if (!r->raw || !r->stored) {
        abort();
    }
    r->pos = INLOG_HEAD;
    return true;
}

bool inlog_open(struct inlog_reader *r, const char *path, struct err *e)
{
    struct stat st;
    *r = (struct inlog_reader){.fd = open(path, O_RDONLY | O_CLOEXEC)};
    if (r->fd < 0 || fstat(r->fd, &st) != 0) {
        err_set(e, "%s: %s", path, strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        err_set(e, "%s: is not a file", path);
    } else {
        r->size = (uint64_t)st.st_size;
        if (check_head(r, path, e)) {
            return true;
        }
    }
    inlog_reader_close(r);
    return false;
}

bool inlog_open_memory(struct inlog_reader *r, const void *data, size_t len, struct err *e)
{
    *r = (struct inlog_reader){.fd = -1, .mem = data, .size = len};
    if (!check_head(r, "the log", e)) {
        inlog_reader_close(r);
        return false;
    }
    return true;
}

static bool unpack(struct inlog_reader *r, uint8_t codec, size_t stored, size_t raw)
{
    if (codec == CODEC_STORED && stored == raw) {
        memcpy(r->raw, r->stored + HEAD, raw);
        return true;
    }
#if HAVE_ZLIB
    if (codec == CODEC_ZLIB) {
        uLongf n = (uLongf)raw;
        return uncompress(r->raw, &n, r->stored + HEAD, (uLong)stored) == Z_OK && n == raw;
    }
#endif
    return false;
}

static bool stop(struct inlog_reader *r, const char *why)
{
    r->damage = why;
    r->len = 0;
    return false;
}

bool inlog_next(struct inlog_reader *r)
{
    if (r->pos == r->size) {
        r->len = 0;
        return false;
    }
    uint8_t *head = r->stored;
    if (!get(r, r->pos, head, HEAD)) {
        return stop(r, "it is cut short");
    }
    uint32_t stored = le32_get(head + AT_STORED), raw = le32_get(head + AT_RAW);
    if (le32_get(head + AT_MAGIC) != CHUNK_MAGIC || stored > INLOG_CHUNK_MAX ||
        raw > INLOG_CHUNK_MAX || !raw || le32_get(head + AT_NUMBER) != r->number) {
        return stop(r, "it is damaged");
    }
    if (!get(r, r->pos + HEAD, r->stored + HEAD, stored)) {
        return stop(r, "it is cut short");
    }
    if (sum_of(r->stored, stored) != le64_get(head + AT_SUM)) {
        return stop(r, "it is damaged");
    }
    if (!HAVE_ZLIB && head[AT_CODEC] == CODEC_ZLIB) {
        return stop(r, "it is compressed, and this doppel is built without zlib");
    }
    if (!unpack(r, head[AT_CODEC], stored, raw)) {
        return stop(r, "it is damaged");
    }
    r->type = (enum inlog_type)head[AT_TYPE];
    r->len = raw;
    r->pos += HEAD + stored;
    r->number++;
    return true;
}

void inlog_rewind(struct inlog_reader *r)
{
    r->pos = INLOG_HEAD;
    r->number = 0;
    r->damage = NULL;
    r->len = 0;
}

void inlog_reader_close(struct inlog_reader *r)
{
    if (r->fd >= 0) {
        close(r->fd);
    }
    free(r->raw);
    free(r->stored);
    *r = (struct inlog_reader){.fd = -1};
}
