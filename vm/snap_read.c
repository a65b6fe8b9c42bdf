/*
 * Reading a snapshot's file: header and index are checked when it is opened, chunks when they are
 * read.
 *
 * The file is read with pread, never mapped: a file that somebody cuts short or overwrites while
 * it is in use gives an error or a wrong checksum, not a signal.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#if HAVE_ZLIB
#include <zlib.h>
#endif

#include "util/bits.h"
#include "vm/snap_priv.h"

#define CHUNK_BYTES (SNAP_CHUNK * PAGE_SIZE)
#define INDEX_MAX   (UINT32_C(1) << 31)
#define VERIFY_STEP (UINT32_C(1) << 18)

struct run {
    uint64_t first;
    uint32_t kind, count, at;
};

struct region {
    char name[SNAP_REGION];
    uint64_t npages;
    struct run *run; /* cover all pages, in order */
    uint32_t nruns;
};

struct chunk {
    uint64_t off, sum;
    uint32_t len, raw;
};

struct snap_file {
    int fd;
    uint8_t *mem; /* instead of fd; ours */
    uint64_t bytes;
    struct snap_info info;
    uint8_t *index;
    struct chunk *chunk; /* 0: the state tables */
    uint32_t nchunks;
    uint64_t npages; /* stored */
    struct region *region;
    uint32_t nregions;
    struct snap_file *parent;
};

static void *must(void *p)
{
    if (!p) {
        abort();
    }
    return p;
}

/* --- Bytes --- */

static bool read_at(const struct snap_file *f, uint64_t off, void *buf, size_t len, struct err *e)
{
    uint8_t *p = buf;
    if (off > f->bytes || len > f->bytes - off) {
        return err_set(e, "cut short");
    }
    if (f->mem) {
        memcpy(p, f->mem + off, len);
        return true;
    }
    while (len) {
        ssize_t n = pread(f->fd, p, len, (off_t)off);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return err_set(e, "%s", n < 0 ? strerror(errno) : "cut short");
        }
        p += n;
        off += (uint64_t)n;
        len -= (size_t)n;
    }
    return true;
}

/* A piece as snap_write.c's pack() made it, checked, as `raw` bytes. */
static bool read_piece(const struct snap_file *f, const struct chunk *c, uint8_t *to, struct err *e)
{
    uint8_t *stored = must(malloc(c->len ? c->len : 1));
    bool ok = read_at(f, c->off, stored, c->len, e) &&
              (st_digest_bytes(ST_DIGEST_INIT, stored, c->len) == c->sum ||
               err_set(e, "damaged: a checksum is wrong"));
    if (ok && c->len == c->raw) {
        memcpy(to, stored, c->raw);
    } else if (ok) {
#if HAVE_ZLIB
        uLongf n = c->raw;
        ok = (uncompress(to, &n, stored, c->len) == Z_OK && n == c->raw) ||
             err_set(e, "damaged: compressed data is not what it says");
#else
        ok = err_set(e, "compressed, and this doppel is built without zlib");
#endif
    }
    free(stored);
    return ok;
}

/* --- The index --- */

static bool take(struct st_src *s, void *to, size_t n)
{
    if (s->len - s->pos < n) {
        return false;
    }
    memcpy(to, s->data + s->pos, n);
    s->pos += n;
    return true;
}

static bool take32(struct st_src *s, uint32_t *v)
{
    uint8_t b[4];
    bool ok = take(s, b, sizeof b);
    *v = ok ? le32_get(b) : 0;
    return ok;
}

static bool take64(struct st_src *s, uint64_t *v)
{
    uint8_t b[8];
    bool ok = take(s, b, sizeof b);
    *v = ok ? le64_get(b) : 0;
    return ok;
}

static bool wrong(struct err *e, const char *what)
{
    return err_set(e, "damaged: the index has %s", what);
}

static bool parse_chunks(struct snap_file *f, struct st_src *s, uint64_t end, struct err *e)
{
    uint64_t off = SNAP_HEADER;
    if (!take32(s, &f->nchunks) || f->nchunks < 1 ||
        (s->len - s->pos) / SNAP_CHUNK_ENTRY < f->nchunks) {
        return wrong(e, "no chunks");
    }
    f->chunk = must(calloc(f->nchunks, sizeof *f->chunk));
    for (uint32_t i = 0; i < f->nchunks; i++) {
        struct chunk *c = &f->chunk[i];
        take32(s, &c->len);
        take32(s, &c->raw);
        take64(s, &c->sum);
        c->off = off;
        off += c->len;
        bool full = c->raw == CHUNK_BYTES ||
                    (i + 1 == f->nchunks && c->raw % PAGE_SIZE == 0 && c->raw < CHUNK_BYTES);
        if (c->len > c->raw || c->len == 0 || (i ? !full : c->raw > SNAP_TABLES_MAX)) {
            return wrong(e, "a chunk of a wrong size");
        }
        f->npages += i ? c->raw / PAGE_SIZE : 0;
    }
    return off == end || wrong(e, "chunks that do not fill the file");
}

static bool parse_runs(struct snap_file *f, struct region *r, struct st_src *s, struct err *e)
{
    uint64_t next = 0;
    r->run = must(calloc(r->nruns ? r->nruns : 1, sizeof *r->run));
    for (uint32_t i = 0; i < r->nruns; i++) {
        struct run *u = &r->run[i];
        if (!take32(s, &u->kind) || !take32(s, &u->count) || !take32(s, &u->at)) {
            return wrong(e, "too few pages");
        }
        u->first = next;
        next += u->count;
        bool stored = u->kind == SNAP_STORED;
        if (u->count == 0 || u->kind > SNAP_STORED || next > r->npages ||
            (u->kind == SNAP_PARENT && !f->info.manifest.parent) ||
            (stored ? u->at > f->npages || u->count > f->npages - u->at : u->at != 0)) {
            return wrong(e, "pages that cannot be");
        }
    }
    return next == r->npages || wrong(e, "too few pages");
}

static bool parse_regions(struct snap_file *f, struct st_src *s, struct err *e)
{
    uint32_t n;
    if (!take32(s, &n) || n > (s->len - s->pos) / (SNAP_REGION + 12)) {
        return wrong(e, "no regions");
    }
    f->region = must(calloc(n ? n : 1, sizeof *f->region));
    for (f->nregions = 0; f->nregions < n;) {
        struct region *r = &f->region[f->nregions];
        if (!take(s, r->name, sizeof r->name) || !take64(s, &r->npages) || !take32(s, &r->nruns) ||
            r->nruns > (s->len - s->pos) / 12 || r->name[sizeof r->name - 1] || !r->name[0] ||
            r->npages > UINT64_MAX / PAGE_SIZE || snap_has_region(f, r->name, r->npages)) {
            return wrong(e, "a region that cannot be");
        }
        f->nregions++; /* its runs are freed from here on */
        if (!parse_runs(f, r, s, e)) {
            return false;
        }
    }
    return s->pos == s->len || wrong(e, "bytes too many");
}

static bool parse_index(struct snap_file *f, size_t len, uint64_t end, struct err *e)
{
    struct st_src s = {f->index, len, 0};
    struct snap_manifest *m = &f->info.manifest;
    uint32_t head;
    if (!st_load(&s, "snapshot", &snap_manifest_desc, m, e)) {
        return false;
    }
    if (m->name[SNAP_NAME - 1] || m->parent_name[SNAP_NAME - 1] || !take32(&s, &head) ||
        head > s.len - s.pos) {
        return wrong(e, "no head");
    }
    f->info.head = f->index + s.pos;
    f->info.head_len = head;
    s.pos += head;
    return parse_chunks(f, &s, end, e) && parse_regions(f, &s, e);
}

static bool parse(struct snap_file *f, struct err *e)
{
    uint8_t h[SNAP_HEADER];
    if (f->bytes >= 12 && !read_at(f, 0, h, 12, e)) {
        return false;
    }
    if (f->bytes < 12 || memcmp(h, snap_magic, 8) != 0) {
        return err_set(e, "not a saved machine of doppel's");
    }
    uint32_t version = le32_get(h + 8);
    if (version != SNAP_VERSION) {
        return err_set(e, "saved in format %" PRIu32 "; this doppel reads format %u", version,
                       SNAP_VERSION);
    }
    if (!read_at(f, 0, h, sizeof h, e)) {
        return false;
    }
    uint64_t bytes = le64_get(h + 16);
    struct chunk index = {le64_get(h + 24), le64_get(h + 40), le32_get(h + 32), le32_get(h + 36)};
    if (st_digest_bytes(ST_DIGEST_INIT, h, 56) != le64_get(h + 56)) {
        return err_set(e, "damaged: the header's checksum is wrong");
    }
    if (bytes != f->bytes) {
        return err_set(e, "cut short: %" PRIu64 " of %" PRIu64 " bytes", f->bytes, bytes);
    }
    if (le32_get(h + 12) || le64_get(h + 48) || index.off < SNAP_HEADER || index.off > bytes ||
        bytes - index.off != index.len || index.raw > INDEX_MAX || index.len > index.raw ||
        index.raw / 2000 > index.len) {
        return err_set(e, "damaged: the header is wrong");
    }
    f->info.id = index.sum;
    f->info.bytes = bytes;
    f->index = must(malloc(index.raw ? index.raw : 1));
    return read_piece(f, &index, f->index, e) && parse_index(f, index.raw, index.off, e);
}

struct snap_file *snap_open(const char *path, struct err *e)
{
    struct stat st;
    if (stat(path, &st) != 0) { /* before open: a FIFO would wait for its other end */
        return (void)err_set(e, "%s", strerror(errno)), NULL;
    }
    if (!S_ISREG(st.st_mode)) {
        err_set(e, "%s; want a file", S_ISDIR(st.st_mode) ? "is a directory" : "is not a file");
        return NULL;
    }
    struct snap_file *f = must(calloc(1, sizeof *f));
    f->fd = open(path, O_RDONLY | O_CLOEXEC);
    bool ok = f->fd >= 0 && fstat(f->fd, &st) == 0;
    if (!ok) {
        err_set(e, "%s", strerror(errno));
    }
    f->bytes = ok ? (uint64_t)st.st_size : 0;
    if (!ok || !parse(f, e)) {
        snap_close(f);
        return NULL;
    }
    return f;
}

struct snap_file *snap_open_bytes(const uint8_t *data, size_t len, struct err *e)
{
    struct snap_file *f = must(calloc(1, sizeof *f));
    f->fd = -1;
    f->mem = must(malloc(len ? len : 1));
    f->bytes = len;
    if (len) {
        memcpy(f->mem, data, len);
    }
    if (!parse(f, e)) {
        snap_close(f);
        return NULL;
    }
    return f;
}

void snap_close(struct snap_file *f)
{
    while (f) {
        struct snap_file *parent = f->parent;
        for (uint32_t i = 0; i < f->nregions; i++) {
            free(f->region[i].run);
        }
        if (f->fd >= 0) {
            close(f->fd);
        }
        free(f->region);
        free(f->chunk);
        free(f->index);
        free(f->mem);
        free(f);
        f = parent;
    }
}

const struct snap_info *snap_info_of(const struct snap_file *f)
{
    return &f->info;
}

bool snap_set_parent(struct snap_file *f, struct snap_file *parent)
{
    if (!f->info.manifest.parent || f->info.manifest.parent != parent->info.id || f->parent) {
        return false;
    }
    f->parent = parent;
    return true;
}

/* --- Contents --- */

static bool verify_one(const struct snap_file *f, uint8_t *buf, struct err *e)
{
    /* Many chunks by one read; a digest each. */
    uint64_t have = 0, from = 0;
    for (uint32_t i = 0; i < f->nchunks; i++) {
        const struct chunk *c = &f->chunk[i];
        const uint8_t *p = buf + (c->off - from);
        uint8_t *big = NULL;
        if (c->len > VERIFY_STEP) {
            p = big = must(malloc(c->len));
            if (!read_at(f, c->off, big, c->len, e)) {
                free(big);
                return false;
            }
        } else if (c->off + c->len > from + have) {
            uint64_t left = f->bytes - c->off;
            have = left < VERIFY_STEP ? left : VERIFY_STEP;
            from = c->off;
            p = buf;
            if (!read_at(f, from, buf, have, e)) {
                return false;
            }
        }
        bool same = st_digest_bytes(ST_DIGEST_INIT, p, c->len) == c->sum;
        free(big);
        if (!same) {
            return err_set(e, "damaged: a checksum is wrong");
        }
    }
    return true;
}

bool snap_verify(struct snap_file *f, struct err *e)
{
    uint8_t *buf = must(malloc(VERIFY_STEP));
    bool ok = true;
    for (; ok && f; f = f->parent) {
        ok = verify_one(f, buf, e);
#if !HAVE_ZLIB
        for (uint32_t i = 0; ok && i < f->nchunks; i++) {
            ok = f->chunk[i].len == f->chunk[i].raw ||
                 err_set(e, "compressed, and this doppel is built without zlib");
        }
#endif
        if (ok && f->info.manifest.parent && !f->parent) {
            ok = err_set(e, "its parent %s is not there", f->info.manifest.parent_name);
        }
    }
    free(buf);
    return ok;
}

bool snap_tables(struct snap_file *f, uint8_t **data, size_t *len, struct err *e)
{
    *len = f->chunk[0].raw;
    *data = must(malloc(*len ? *len : 1));
    if (!read_piece(f, &f->chunk[0], *data, e)) {
        free(*data);
        return false;
    }
    return true;
}

bool snap_read_chunk(const struct snap_file *f, uint32_t chunk, uint8_t *to, struct err *e)
{
    return read_piece(f, &f->chunk[chunk], to, e);
}

static const struct region *region_of(const struct snap_file *f, const char *name)
{
    for (uint32_t i = 0; i < f->nregions; i++) {
        if (strcmp(f->region[i].name, name) == 0) {
            return &f->region[i];
        }
    }
    return NULL;
}

bool snap_has_region(const struct snap_file *f, const char *name, uint64_t npages)
{
    const struct region *r = region_of(f, name);
    return r && r->npages == npages;
}

const char *snap_region_name(const struct snap_file *f, unsigned i)
{
    return i < f->nregions ? f->region[i].name : NULL;
}

uint64_t snap_region_pages(const struct snap_file *f, const char *region)
{
    const struct region *r = region_of(f, region);
    return r ? r->npages : 0;
}

/* The run that holds page `index` (inside the region). */
static const struct run *find_run(const struct region *r, uint64_t index)
{
    uint32_t lo = 0, hi = r->nruns;
    while (hi - lo > 1) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (r->run[mid].first <= index) {
            lo = mid;
        } else {
            hi = mid;
        }
    }
    return &r->run[lo];
}

bool snap_resolve(const struct snap_file *f, const char *region, uint64_t index,
                  struct snap_chunk_ref *ref, enum snap_kind *kind)
{
    for (; f; f = f->parent) {
        const struct region *r = region_of(f, region);
        if (!r || index >= r->npages) {
            break; /* a parent that has less: nothing was there */
        }
        const struct run *u = find_run(r, index);
        if (u->kind == SNAP_PARENT) {
            continue;
        }
        *kind = (enum snap_kind)u->kind;
        if (u->kind == SNAP_STORED) {
            uint64_t at = u->at + (index - u->first);
            *ref = (struct snap_chunk_ref){f, 1 + (uint32_t)(at / SNAP_CHUNK), at % SNAP_CHUNK};
        }
        return u->kind == SNAP_STORED;
    }
    *kind = SNAP_ABSENT;
    return false;
}

uint64_t snap_next(const struct snap_file *f, const char *region, uint64_t index)
{
    const struct region *r = region_of(f, region);
    while (r && index < r->npages) {
        const struct run *u = find_run(r, index);
        uint64_t end = u->first + u->count;
        if (u->kind == SNAP_PARENT && f->parent) {
            uint64_t next = snap_next(f->parent, region, index);
            if (next < end && next < snap_region_pages(f->parent, region)) {
                return next;
            }
        } else if (u->kind == SNAP_ZERO || u->kind == SNAP_STORED) {
            return index;
        }
        index = end;
    }
    return r ? r->npages : 0;
}
