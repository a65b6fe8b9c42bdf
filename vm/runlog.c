/*
 * Records: encoding and decoding. docs/replay.md has the table of them.
 */
#include "vm/runlog.h"

#include <stdlib.h>
#include <string.h>

#include "util/bits.h"

/* --- Encoding --- */

static void put_instant(struct runlog_writer *w, enum runlog_type type,
                        const struct run_instant *at)
{
    inlog_put_num(&w->out, type);
    inlog_put_num(&w->out, at->when - w->last.when);
    inlog_put_num(&w->out, at->order - w->last.order);
    inlog_put_num(&w->out, at->icount - w->last.icount);
    w->last = *at;
}

/* The number of a name; the first time it gets one. */
static unsigned name_id(struct runlog_writer *w, const char *name)
{
    struct runlog_names *t = &w->names;
    for (unsigned i = 0; i < t->n; i++) {
        if (strcmp(t->name[i], name) == 0) {
            return i;
        }
    }
    if (t->n == RUNLOG_NAMES || strlen(name) >= sizeof t->name[0]) {
        abort(); /* boards and options bound both far below */
    }
    memcpy(t->name[t->n], name, strlen(name) + 1);
    inlog_put_num(&w->out, RUN_NAME);
    inlog_put_text(&w->out, name);
    return t->n++;
}

void runlog_begin(struct runlog_writer *w, const struct run_instant *at)
{
    w->last = (struct run_instant){0, 0, 0};
    w->names.n = 0;
    w->check.len = 0;
    put_instant(w, RUN_BEGIN, at);
}

void runlog_input(struct runlog_writer *w, const struct run_instant *at,
                  const struct gate_event *ev)
{
    unsigned id = name_id(w, ev->source);
    put_instant(w, RUN_INPUT, at);
    inlog_put_num(&w->out, id);
    inlog_put_num(&w->out, ev->len);
    st_buf_put(&w->out, ev->payload, ev->len);
}

void runlog_tick(struct runlog_writer *w, const struct run_instant *at)
{
    put_instant(w, RUN_TICK, at);
}

void runlog_check(struct runlog_writer *w, const struct run_instant *at, const struct st_buf *now)
{
    struct st_buf *old = &w->check;
    bool same_size = old->len == now->len;
    put_instant(w, RUN_CHECK, at);
    inlog_put_num(&w->out, now->len);
    inlog_put_num(&w->out, same_size);
    size_t start = w->out.len;
    st_buf_put(&w->out, now->data, now->len);
    if (same_size) {
        uint8_t *p = w->out.data + start;
        for (size_t i = 0; i < now->len; i++) {
            p[i] = (uint8_t)(p[i] ^ old->data[i]);
        }
    }
    old->len = 0;
    st_buf_put(old, now->data, now->len);
}

void runlog_fault(struct runlog_writer *w, const char *drive, uint64_t transfer)
{
    unsigned id = name_id(w, drive);
    inlog_put_num(&w->out, RUN_FAULT);
    inlog_put_num(&w->out, id);
    inlog_put_num(&w->out, transfer);
}

void run_medium_put(struct st_buf *b, const struct run_medium *m)
{
    inlog_put_text(b, m->drive);
    inlog_put_text(b, m->format);
    inlog_put_num(b, (unsigned)m->ok | (unsigned)m->readonly << 1 | (unsigned)m->overlay << 2);
    inlog_put_num(b, m->bytes);
    inlog_put_num(b, m->sum);
    inlog_put_text(b, m->path);
}

bool run_medium_get(struct st_src *s, struct run_medium *m)
{
    uint64_t flags;
    memset(m, 0, sizeof *m);
    if (!inlog_get_text(s, m->drive, sizeof m->drive) ||
        !inlog_get_text(s, m->format, sizeof m->format) || !inlog_get_num(s, &flags) ||
        !inlog_get_num(s, &m->bytes) || !inlog_get_num(s, &m->sum) ||
        !inlog_get_text(s, m->path, sizeof m->path)) {
        return false;
    }
    m->ok = flags & 1;
    m->readonly = flags >> 1 & 1;
    m->overlay = flags >> 2 & 1;
    return flags < 8;
}

void runlog_medium(struct runlog_writer *w, const struct run_medium *m)
{
    inlog_put_num(&w->out, RUN_MEDIUM);
    run_medium_put(&w->out, m);
}

void runlog_used(struct runlog_writer *w, uint64_t number, uint64_t sum,
                 const struct run_range *range, size_t n)
{
    uint8_t bytes[8];
    inlog_put_num(&w->out, RUN_USED);
    inlog_put_num(&w->out, number);
    le64_put(bytes, sum);
    st_buf_put(&w->out, bytes, sizeof bytes);
    inlog_put_num(&w->out, n);
    for (size_t i = 0; i < n; i++) {
        inlog_put_num(&w->out, range[i].first);
        inlog_put_num(&w->out, range[i].n);
    }
}

void runlog_end(struct runlog_writer *w, const struct run_instant *at, uint64_t digest)
{
    uint8_t bytes[8];
    put_instant(w, RUN_END, at);
    le64_put(bytes, digest);
    st_buf_put(&w->out, bytes, sizeof bytes);
}

void runlog_writer_free(struct runlog_writer *w)
{
    st_buf_free(&w->out);
    st_buf_free(&w->check);
}

/* --- Decoding --- */

/* Time never goes back, so neither sum may pass 2^64. */
static bool add(uint64_t *to, uint64_t more)
{
    *to += more;
    return *to >= more;
}

static bool get_instant(struct runlog_reader *r, struct run_record *rec)
{
    uint64_t when, order, icount;
    if (!inlog_get_num(&r->src, &when) || !inlog_get_num(&r->src, &order) ||
        !inlog_get_num(&r->src, &icount) || !add(&r->last.when, when) ||
        !add(&r->last.order, order) || !add(&r->last.icount, icount) ||
        r->last.when == VTIME_NEVER) {
        return false;
    }
    rec->at = r->last;
    return true;
}

static bool get_name_ref(struct runlog_reader *r, struct run_record *rec)
{
    uint64_t id;
    if (!inlog_get_num(&r->src, &id) || id >= r->names.n) {
        return false;
    }
    rec->name = r->names.name[id];
    return true;
}

static bool get_bytes(struct runlog_reader *r, uint64_t len, struct run_record *rec)
{
    if (len > r->src.len - r->src.pos) {
        return false;
    }
    rec->payload = r->src.data + r->src.pos;
    rec->len = len;
    r->src.pos += len;
    return true;
}

static bool get_input(struct runlog_reader *r, struct run_record *rec)
{
    uint64_t len;
    return get_instant(r, rec) && get_name_ref(r, rec) && inlog_get_num(&r->src, &len) &&
           len <= GATE_PAYLOAD_MAX && get_bytes(r, len, rec);
}

static bool get_check(struct runlog_reader *r, struct run_record *rec)
{
    uint64_t len, same;
    if (!get_instant(r, rec) || !inlog_get_num(&r->src, &len) || len > RUNLOG_CHECK ||
        !inlog_get_num(&r->src, &same) || same > 1 || (same && len != r->check.len) ||
        !get_bytes(r, len, rec)) {
        return false;
    }
    if (same) {
        for (size_t i = 0; i < len; i++) {
            r->check.data[i] = (uint8_t)(r->check.data[i] ^ rec->payload[i]);
        }
    } else {
        r->check.len = 0;
        st_buf_put(&r->check, rec->payload, len);
    }
    rec->payload = r->check.data;
    return true;
}

static bool get_name(struct runlog_reader *r)
{
    struct runlog_names *t = &r->names;
    return t->n < RUNLOG_NAMES && inlog_get_text(&r->src, t->name[t->n], sizeof t->name[0]) &&
           ++t->n;
}

static bool get_begin(struct runlog_reader *r, struct run_record *rec)
{
    r->last = (struct run_instant){0, 0, 0};
    r->names.n = 0;
    r->check.len = 0;
    r->begun = true;
    return get_instant(r, rec);
}

static bool get_used(struct runlog_reader *r, struct run_record *rec)
{
    uint64_t n;
    if (!inlog_get_num(&r->src, &rec->number) || !get_bytes(r, 8, rec) ||
        !inlog_get_num(&r->src, &n) || n > (r->src.len - r->src.pos) / 2) {
        return false;
    }
    rec->value = le64_get(rec->payload);
    rec->len = (size_t)n;
    r->ranges.len = 0;
    for (; n; n--) {
        struct run_range x;
        if (!inlog_get_num(&r->src, &x.first) || !inlog_get_num(&r->src, &x.n)) {
            return false;
        }
        st_buf_put(&r->ranges, &x, sizeof x);
    }
    rec->range = (const struct run_range *)(const void *)r->ranges.data;
    return true;
}

static bool get_record(struct runlog_reader *r, struct run_record *rec)
{
    uint64_t type;
    *rec = (struct run_record){.at = r->last};
    if (!inlog_get_num(&r->src, &type) || (!r->begun && type != RUN_BEGIN)) {
        return false;
    }
    rec->type = type > RUN_USED ? 0 : (enum runlog_type)type;
    switch (rec->type) {
    case RUN_BEGIN:
        return get_begin(r, rec);
    case RUN_NAME:
        return get_name(r);
    case RUN_INPUT:
        return get_input(r, rec);
    case RUN_TICK:
        return get_instant(r, rec);
    case RUN_CHECK:
        return get_check(r, rec);
    case RUN_FAULT:
        return get_name_ref(r, rec) && inlog_get_num(&r->src, &rec->value);
    case RUN_MEDIUM:
        rec->medium = &r->medium;
        return run_medium_get(&r->src, &r->medium);
    case RUN_END:
        if (!get_instant(r, rec) || !get_bytes(r, 8, rec)) {
            return false;
        }
        rec->value = le64_get(rec->payload);
        return true;
    case RUN_USED:
        return get_used(r, rec);
    }
    return false;
}

/* On to the next chunk of records. */
static bool next_chunk(struct runlog_reader *r)
{
    while (r->log && inlog_next(r->log)) {
        if (r->log->type == INLOG_RUN) {
            r->src = (struct st_src){r->log->raw, r->log->len, 0};
            return true;
        }
    }
    r->damage = r->log ? r->log->damage : NULL;
    return false;
}

bool runlog_next(struct runlog_reader *r, struct run_record *rec)
{
    if (r->damage) {
        return false;
    }
    do {
        if (r->src.pos == r->src.len && !next_chunk(r)) {
            return false;
        }
        if (!get_record(r, rec)) {
            r->damage = "it is damaged";
            return false;
        }
    } while (rec->type == RUN_NAME);
    return true;
}

void runlog_reader_free(struct runlog_reader *r)
{
    st_buf_free(&r->check);
    st_buf_free(&r->ranges);
}
