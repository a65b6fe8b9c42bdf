/*
 * The host-neutral half of the JIT: the buffer, code and sites, links. See jit.h.
 *
 * Code is allocated upward in one region of the buffer after the other, round and round; what lies
 * in the region that comes next is evicted, so the oldest code goes first and the rest stays. Links
 * are a list per code of the sites that jump to it, so that code is cut off in a time proportional
 * to its callers.
 */
#include "cpu/jit/jit.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/jit/backend.h"
#include "cpu/jit/groups.h"
#include "cpu/jit/pass.h"
#include "util/os_mem.h"

#define MAX_REGIONS  8u
#define REGION_BYTES (16u << 10) /* at least: several times the largest piece of code */

struct jit {
    struct jit_backend be;
    struct jit_layout layout;
    struct jit_code *codes[MAX_REGIONS];
    unsigned nregions, region; /* region: where code is allocated */
    void (*on_evict)(void *ctx, struct jit_code *code);
    void *ctx;
    struct jit_stats stats;
};

/* ---- regions ---- */

static uint32_t region_end(const struct jit *j, unsigned r)
{
    return (uint32_t)(j->be.mem.bytes / j->nregions * (r + 1));
}

static void region_begin(struct jit *j, unsigned r)
{
    j->region = r;
    j->be.at = r ? region_end(j, r - 1) : j->be.start;
    j->be.end = region_end(j, r);
}

struct jit *jit_new(const struct jit_layout *l, size_t bytes)
{
    if (!jit_host_runs() || bytes > UINT32_MAX / 2) {
        return NULL;
    }
    struct jit *j = calloc(1, sizeof *j);
    if (!j || !os_code_alloc(&j->be.mem, bytes)) {
        free(j);
        return NULL;
    }
    j->layout = *l;
    j->be.l = &j->layout;
    jit_host_common(&j->be);
    size_t fit = j->be.mem.bytes / REGION_BYTES;
    j->nregions = fit < 1 ? 1 : fit > MAX_REGIONS ? MAX_REGIONS : (unsigned)fit;
    region_begin(j, 0);
    return j;
}

/* ---- sites ---- */

uint32_t jit_site_new(struct jit_backend *be, struct jit_code *code, unsigned kind)
{
    uint32_t k = be->free_site;
    if (k) {
        be->free_site = be->site[--k].next_of;
    } else {
        if (be->nsites == be->max_sites) {
            uint32_t max = be->max_sites ? be->max_sites + be->max_sites / 2 : 4096;
            struct jit_site *s = realloc(be->site, max * sizeof *s);
            if (!s) {
                return UINT32_MAX;
            }
            be->site = s;
            be->max_sites = max;
        }
        k = be->nsites++;
    }
    be->site[k] = (struct jit_site){.code = code, .kind = (uint8_t)kind, .next_of = code->sites};
    code->sites = k + 1;
    return k;
}

/* Take a site out of the list of those that jump where it does. */
static void leave_incoming(struct jit *j, uint32_t site)
{
    struct jit_site *s = &j->be.site[site];
    uint32_t *at = &s->to->incoming;
    while (*at != site + 1) {
        at = &j->be.site[*at - 1].next_in;
    }
    *at = s->next_in;
    s->to = NULL;
}

/* Free what code holds. Nothing jumps to it any more. */
static void code_free(struct jit *j, struct jit_code *c)
{
    for (uint32_t k = c->sites, next; k; k = next) {
        struct jit_site *s = &j->be.site[k - 1];
        next = s->next_of;
        if (s->to) {
            leave_incoming(j, k - 1);
        }
        s->code = NULL;
        s->next_of = j->be.free_site;
        j->be.free_site = k;
        j->stats.sites--;
    }
    if (j->be.counting) {
        jit_segments_drop(j->be.counting, c);
    }
    free(c);
}

/* ---- code ---- */

/* Evict all code of a region. Jumps to it first: a site of the region may be linked to code of the
 * same region. */
static void region_evict(struct jit *j, unsigned r)
{
    for (struct jit_code *c = j->codes[r]; c; c = c->next) {
        jit_unlink(j, c);
        if (j->on_evict) {
            j->on_evict(j->ctx, c);
        }
    }
    j->stats.evictions += j->codes[r] != NULL;
    while (j->codes[r]) {
        struct jit_code *c = j->codes[r];
        j->codes[r] = c->next;
        j->stats.blocks--;
        j->stats.evicted++;
        j->stats.code_bytes -= c->bytes;
        code_free(j, c);
    }
}

void jit_on_evict(struct jit *j, void (*fn)(void *ctx, struct jit_code *code), void *ctx)
{
    j->on_evict = fn;
    j->ctx = ctx;
}

void jit_evict(struct jit *j)
{
    unsigned next = (j->region + 1) % j->nregions;
    region_evict(j, next);
    region_begin(j, next);
}

void jit_reset(struct jit *j)
{
    for (unsigned r = 0; r < j->nregions; r++) {
        while (j->codes[r]) {
            struct jit_code *c = j->codes[r];
            j->codes[r] = c->next;
            if (j->be.counting) {
                jit_segments_drop(j->be.counting, c);
            }
            free(c);
        }
    }
    region_begin(j, 0);
    j->be.nsites = j->be.free_site = 0;
    memset(j->be.near_what, 0, sizeof j->be.near_what);
    j->stats.resets++;
    j->stats.code_bytes = 0;
    j->stats.blocks = 0;
    j->stats.sites = 0;
}

void jit_free(struct jit *j)
{
    if (j) {
        jit_reset(j);
        jit_counting_free(j->be.counting);
        free(j->be.site);
        os_code_free(&j->be.mem);
        free(j);
    }
}

static struct jit_code *emit(struct jit *j, const struct jit_source *src)
{
    struct jit_code *c = calloc(1, sizeof *c);
    if (!c) {
        return NULL;
    }
    c->owner = src->part[0].owner;
    c->page_off = src->page_off;
    c->valid = true;
    c->super = src->nparts > 1 || src->u[src->n - 1].op == U_LOOP;
    for (unsigned p = 0; p < src->nparts; p++) {
        c->charge = (uint16_t)(c->charge + src->part[p].charge);
    }
    uint32_t at = j->be.at;
    bool ok = jit_host_emit(&j->be, src, c);
    for (uint32_t k = c->sites; k; k = j->be.site[k - 1].next_of) {
        j->stats.sites++;
    }
    if (!ok) {
        j->be.at = at;
        code_free(j, c);
        return NULL;
    }
    os_code_commit(&j->be.mem, at, j->be.at - at);
    if ((at & (OS_MEM_HUGE - 1)) < OS_MEM_HUGE / 2 &&
        (j->be.at & (OS_MEM_HUGE - 1)) >= OS_MEM_HUGE / 2) {
        os_code_collapse(&j->be.mem, at & ~(uint32_t)(OS_MEM_HUGE - 1), OS_MEM_HUGE);
    }
    return c;
}

struct jit_code *jit_compile(struct jit *j, const struct jit_source *src)
{
    jit_pass_groups(src);
    jit_pass_flags(src->u, src->n);
    struct jit_code *c = emit(j, src);
    if (!c && j->be.full) {
        jit_evict(j);
        c = emit(j, src);
    }
    if (!c) {
        return NULL;
    }
    c->next = j->codes[j->region];
    j->codes[j->region] = c;
    j->stats.blocks++;
    j->stats.insns += src->n;
    for (unsigned k = 0; k < src->n; k++) {
        j->stats.interp_insns += src->u[k].op == U_INTERP || src->u[k].op == U_INTERP_END;
    }
    for (unsigned k = 0; k < EMIT_COUNT; k++) {
        j->stats.emitted[k] += c->emitted[k];
    }
    j->stats.code_bytes += c->bytes;
    return c;
}

const struct jit_site *jit_site(const struct jit *j, uint32_t site)
{
    assert(site < j->be.nsites);
    return &j->be.site[site];
}

void jit_link(struct jit *j, uint32_t site, struct jit_code *to)
{
    struct jit_site *s = &j->be.site[site];
    if (s->kind != SITE_LINK || s->to || !s->patch || s->target != to->page_off) {
        return;
    }
    s->to = to;
    s->next_in = to->incoming;
    to->incoming = site + 1;
    jit_host_patch(&j->be, s->patch, to->entry);
    j->stats.links++;
}

void jit_unlink(struct jit *j, struct jit_code *to)
{
    while (to->incoming) {
        struct jit_site *s = &j->be.site[to->incoming - 1];
        to->incoming = s->next_in;
        s->to = NULL;
        jit_host_patch(&j->be, s->patch, s->unlinked);
        j->stats.unlinks++;
    }
}

void jit_near_off(struct jit *j, uint32_t place, uint32_t slot)
{
    jit_host_near_off(&j->be, place, slot);
}

const unsigned char *jit_bytes(const struct jit *j, const struct jit_code *code)
{
    return j->be.mem.write + code->entry;
}

uint64_t jit_host(const struct jit *j, const struct jit_code *code)
{
    return (uintptr_t)(j->be.mem.exec + code->entry);
}

uint32_t jit_run(struct jit *j, struct jit_env *env, uint64_t host)
{
    uint32_t (*enter)(struct jit_env *, uint64_t);
    const unsigned char *at = j->be.mem.exec + j->be.enter;
    memcpy(&enter, &at, sizeof enter); /* ISO C has no cast between the two */
    return enter(env, host);
}

void jit_check(struct jit *j)
{
    j->be.check = true;
}

bool jit_count(struct jit *j)
{
    j->be.counting = jit_counting_new();
    return j->be.counting != NULL;
}

uint64_t *jit_runs(struct jit *j)
{
    return j->be.counting ? jit_counting_runs(j->be.counting) : NULL;
}

struct jit_running jit_running(const struct jit *j)
{
    return j->be.counting ? jit_counting_sum(j->be.counting) : (struct jit_running){0};
}

struct jit_stats jit_stats(const struct jit *j)
{
    struct jit_stats s = j->stats;
    s.memory =
        s.code_bytes + j->be.nsites * sizeof *j->be.site + s.blocks * sizeof(struct jit_code);
    return s;
}
