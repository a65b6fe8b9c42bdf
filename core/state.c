/*
 * State tables at work: save, load, digest, diff and listing, all driven by struct st_desc.
 *
 * A section of the stream, every number little-endian:
 *
 *     str  instance      u8 length, bytes
 *     str  table name
 *     table:
 *         u32 version, u16 number of fields, then for each field
 *         str name, u8 kind, u32 count, count elements
 *
 * An element is 1, 2, 4 or 8 bytes as its kind says; a nested state struct is again `table`. No
 * lengths are stored: kind and count give them, and both must be what the table says.
 *
 * What always holds: a load works on a copy and commits it only when the whole section was good, so
 * a hostile stream changes nothing. Fields may come in any order, each at most once.
 */
#include "core/state.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/bits.h"
#include "util/digest.h"

enum {
    MAX_FIELDS = 512, /* of one table; asserted */
    MAX_DEPTH = 8,    /* of nested tables; asserted */
    PATH_MAX_LEN = 256,
};

/* Bytes of one element in the stream; 0 for a nested table. */
static unsigned kind_size(enum st_kind kind)
{
    switch (kind) {
    case ST_U8:
    case ST_I8:
    case ST_BOOL:
        return 1;
    case ST_U16:
    case ST_I16:
        return 2;
    case ST_U32:
    case ST_I32:
        return 4;
    case ST_U64:
    case ST_I64:
    case ST_TIMER:
        return 8;
    case ST_SUB:
        break;
    }
    return 0;
}

/* The element at `p` as 64 bits; signed kinds are sign-extended. */
static uint64_t elem_get(enum st_kind kind, const void *p)
{
    switch (kind) {
    case ST_U8:
        return *(const uint8_t *)p;
    case ST_U16:
        return *(const uint16_t *)p;
    case ST_U32:
        return *(const uint32_t *)p;
    case ST_U64:
        return *(const uint64_t *)p;
    case ST_I8:
        return (uint64_t) * (const int8_t *)p;
    case ST_I16:
        return (uint64_t) * (const int16_t *)p;
    case ST_I32:
        return (uint64_t) * (const int32_t *)p;
    case ST_I64:
        return (uint64_t) * (const int64_t *)p;
    case ST_BOOL:
        return *(const bool *)p;
    case ST_TIMER:
        return ((const struct vtimer *)p)->deadline;
    case ST_SUB:
        break;
    }
    return 0;
}

/* Store the low bytes of v. False: not a value of this kind. */
static bool elem_put(enum st_kind kind, void *p, uint64_t v)
{
    switch (kind) {
    case ST_U8:
    case ST_I8:
        *(uint8_t *)p = (uint8_t)v;
        return true;
    case ST_U16:
    case ST_I16:
        *(uint16_t *)p = (uint16_t)v;
        return true;
    case ST_U32:
    case ST_I32:
        *(uint32_t *)p = (uint32_t)v;
        return true;
    case ST_U64:
    case ST_I64:
        *(uint64_t *)p = v;
        return true;
    case ST_BOOL:
        *(bool *)p = v != 0;
        return v <= 1;
    case ST_TIMER:
        ((struct vtimer *)p)->deadline = v;
        return true;
    case ST_SUB:
        break;
    }
    return false;
}

static const char *elem_at(const struct st_field *f, const void *state, uint32_t i)
{
    return (const char *)state + f->off + (size_t)i * f->size;
}

/* --- Save --- */

void st_buf_put(struct st_buf *b, const void *data, size_t len)
{
    if (len > b->cap - b->len) {
        size_t cap = b->cap ? b->cap : 256;
        while (cap - b->len < len) {
            cap *= 2;
        }
        b->data = realloc(b->data, cap);
        if (!b->data) {
            abort();
        }
        b->cap = cap;
    }
    if (len) {
        memcpy(b->data + b->len, data, len);
    }
    b->len += len;
}

void st_buf_free(struct st_buf *b)
{
    free(b->data);
    *b = (struct st_buf){0};
}

static void put_num(struct st_buf *b, unsigned size, uint64_t v)
{
    uint8_t bytes[8];
    le_put(bytes, size, v);
    st_buf_put(b, bytes, size);
}

static void put_str(struct st_buf *b, const char *s)
{
    size_t n = strlen(s);
    assert(n < 256);
    put_num(b, 1, n);
    st_buf_put(b, s, n);
}

static void put_table(struct st_buf *b, const struct st_desc *d, const void *state)
{
    put_num(b, 4, d->version);
    put_num(b, 2, d->nfields);
    for (unsigned k = 0; k < d->nfields; k++) {
        const struct st_field *f = &d->fields[k];
        put_str(b, f->name);
        put_num(b, 1, f->kind);
        put_num(b, 4, f->count);
        if (f->kind == ST_U8) { /* long ones: sectors, fonts */
            st_buf_put(b, elem_at(f, state, 0), f->count);
            continue;
        }
        for (uint32_t i = 0; i < f->count; i++) {
            if (f->kind == ST_SUB) {
                put_table(b, f->sub, elem_at(f, state, i));
            } else {
                put_num(b, kind_size(f->kind), elem_get(f->kind, elem_at(f, state, i)));
            }
        }
    }
}

void st_save(struct st_buf *b, const char *instance, const struct st_desc *d, const void *state)
{
    put_str(b, instance);
    put_str(b, d->name);
    put_table(b, d, state);
}

/* --- Load --- */

static bool get_num(struct st_src *src, unsigned size, uint64_t *v)
{
    if (src->len - src->pos < size) {
        return false;
    }
    *v = le_get(src->data + src->pos, size);
    src->pos += size;
    return true;
}

/* A string into a buffer of 256 bytes. */
static bool get_str(struct st_src *src, char *s)
{
    uint64_t n;
    if (!get_num(src, 1, &n) || src->len - src->pos < n) {
        return false;
    }
    memcpy(s, src->data + src->pos, n);
    s[n] = '\0';
    src->pos += n;
    return strlen(s) == n;
}

static const struct st_field *find_field(const struct st_desc *d, const char *name)
{
    for (unsigned k = 0; k < d->nfields; k++) {
        if (strcmp(d->fields[k].name, name) == 0) {
            return &d->fields[k];
        }
    }
    return NULL;
}

static bool get_table(struct st_src *src, const struct st_desc *d, void *state, unsigned depth,
                      struct err *e);

static bool get_field(struct st_src *src, const struct st_desc *d, const struct st_field *f,
                      void *state, unsigned depth, struct err *e)
{
    uint64_t kind, count;
    if (!get_num(src, 1, &kind) || !get_num(src, 4, &count)) {
        return err_set(e, "%s.%s: the stream ends here", d->name, f->name);
    }
    if (kind != f->kind || count != f->count) {
        return err_set(
            e, "%s.%s: kind %" PRIu64 ", %" PRIu64 " elements; want kind %d, %" PRIu32 " elements",
            d->name, f->name, kind, count, (int)f->kind, f->count);
    }
    if (kind == ST_U8 && src->len - src->pos >= count) {
        memcpy((char *)state + f->off, src->data + src->pos, (size_t)count);
        src->pos += (size_t)count;
        return true;
    }
    for (uint32_t i = 0; i < f->count; i++) {
        char *p = (char *)state + f->off + (size_t)i * f->size;
        if (f->kind == ST_SUB) {
            if (!get_table(src, f->sub, p, depth + 1, e)) {
                return err_prefix(e, "%s.%s[%" PRIu32 "]", d->name, f->name, i);
            }
            continue;
        }
        uint64_t v;
        if (!get_num(src, kind_size(f->kind), &v)) {
            return err_set(e, "%s.%s: the stream ends here", d->name, f->name);
        }
        if (!elem_put(f->kind, p, v)) {
            return err_set(e, "%s.%s: %" PRIu64 " is neither 0 nor 1", d->name, f->name, v);
        }
    }
    return true;
}

static bool get_table(struct st_src *src, const struct st_desc *d, void *state, unsigned depth,
                      struct err *e)
{
    assert(depth < MAX_DEPTH && d->nfields <= MAX_FIELDS);
    uint64_t version, nfields;
    bool seen[MAX_FIELDS] = {false};
    if (!get_num(src, 4, &version) || !get_num(src, 2, &nfields)) {
        return err_set(e, "%s: the stream ends here", d->name);
    }
    if (version > d->version) {
        return err_set(e, "%s: version %" PRIu64 "; this doppel knows up to %u", d->name, version,
                       d->version);
    }
    for (uint64_t n = 0; n < nfields; n++) {
        char name[256];
        if (!get_str(src, name)) {
            return err_set(e, "%s: the stream ends here", d->name);
        }
        const struct st_field *f = find_field(d, name);
        if (!f || f->since > version) {
            return err_set(e, "%s: unknown field \"%s\" in version %" PRIu64, d->name, name,
                           version);
        }
        if (seen[f - d->fields]) {
            return err_set(e, "%s: field \"%s\" twice", d->name, name);
        }
        seen[f - d->fields] = true;
        if (!get_field(src, d, f, state, depth, e)) {
            return false;
        }
    }
    for (unsigned k = 0; k < d->nfields; k++) {
        if (!seen[k] && d->fields[k].since <= version) {
            return err_set(e, "%s: field \"%s\" is missing", d->name, d->fields[k].name);
        }
    }
    return true;
}

bool st_load(struct st_src *src, const char *instance, const struct st_desc *d, void *state,
             struct err *e)
{
    char name[256], table[256];
    if (!get_str(src, name) || !get_str(src, table)) {
        return err_set(e, "the stream ends where \"%s\" should begin", instance);
    }
    if (strcmp(name, instance) != 0 || strcmp(table, d->name) != 0) {
        return err_set(e, "found \"%s\" (%s); want \"%s\" (%s)", name, table, instance, d->name);
    }
    void *copy = malloc(d->size);
    if (!copy) {
        abort();
    }
    memcpy(copy, state, d->size);
    bool ok = get_table(src, d, copy, 0, e);
    if (ok) {
        memcpy(state, copy, d->size);
    } else {
        err_prefix(e, "\"%s\"", instance);
    }
    free(copy);
    return ok;
}

/* --- Digest --- */

uint64_t st_digest(uint64_t h, const struct st_desc *d, const void *state)
{
    for (unsigned k = 0; k < d->nfields; k++) {
        const struct st_field *f = &d->fields[k];
        if (f->kind == ST_U8) {
            h = st_digest_bytes(h, elem_at(f, state, 0), f->count);
            continue;
        }
        for (uint32_t i = 0; i < f->count; i++) {
            const void *p = elem_at(f, state, i);
            h = f->kind == ST_SUB ? st_digest(h, f->sub, p) : digest_mix(h, elem_get(f->kind, p));
        }
    }
    return h;
}

/* --- Listing and diff --- */

/* Writes "prefix.name[i]" to `out` (PATH_MAX_LEN bytes). */
static void make_path(char *out, const char *prefix, const struct st_field *f, uint32_t i)
{
    const char *dot = *prefix ? "." : "";
    if (f->count > 1 || f->kind == ST_SUB) {
        snprintf(out, PATH_MAX_LEN, "%s%s%s[%" PRIu32 "]", prefix, dot, f->name, i);
    } else {
        snprintf(out, PATH_MAX_LEN, "%s%s%s", prefix, dot, f->name);
    }
}

typedef void st_diff_fn(void *ctx, const char *path, uint64_t va, uint64_t vb);
typedef void st_each_fn(void *ctx, const char *path, enum st_kind kind, uint64_t val);

static unsigned diff_at(const char *prefix, const struct st_desc *d, const void *a, const void *b,
                        st_diff_fn *fn, void *ctx)
{
    unsigned n = 0;
    for (unsigned k = 0; k < d->nfields; k++) {
        const struct st_field *f = &d->fields[k];
        for (uint32_t i = 0; i < f->count; i++) {
            char path[PATH_MAX_LEN];
            const void *pa = elem_at(f, a, i), *pb = elem_at(f, b, i);
            if (f->kind == ST_SUB) {
                make_path(path, prefix, f, i);
                n += diff_at(path, f->sub, pa, pb, fn, ctx);
                continue;
            }
            uint64_t va = elem_get(f->kind, pa), vb = elem_get(f->kind, pb);
            if (va != vb) {
                n++;
                if (fn) {
                    make_path(path, prefix, f, i);
                    fn(ctx, path, va, vb);
                }
            }
        }
    }
    return n;
}

unsigned st_diff(const struct st_desc *d, const void *a, const void *b, st_diff_fn *fn, void *ctx)
{
    return diff_at("", d, a, b, fn, ctx);
}

static void each_at(const char *prefix, const struct st_desc *d, const void *state, st_each_fn *fn,
                    void *ctx)
{
    for (unsigned k = 0; k < d->nfields; k++) {
        const struct st_field *f = &d->fields[k];
        for (uint32_t i = 0; i < f->count; i++) {
            char path[PATH_MAX_LEN];
            const void *p = elem_at(f, state, i);
            make_path(path, prefix, f, i);
            if (f->kind == ST_SUB) {
                each_at(path, f->sub, p, fn, ctx);
            } else {
                fn(ctx, path, f->kind, elem_get(f->kind, p));
            }
        }
    }
}

void st_each(const struct st_desc *d, const void *state, st_each_fn *fn, void *ctx)
{
    each_at("", d, state, fn, ctx);
}
