/*
 * The host-neutral half of the JIT: the buffer, code and sites, links. See jit.h.
 *
 * Code is allocated upward; when the buffer is full the caller drops all of it. Links are a list
 * per code of the sites that jump to it, so that an invalid block is cut off in a time proportional
 * to its callers.
 */
#include "cpu/jit/jit.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/jit/backend.h"
#include "cpu/jit/groups.h"
#include "cpu/jit/pass.h"

struct jit {
    struct jit_backend be;
    struct jit_layout layout;
    struct jit_code *codes;
    struct jit_stats stats;
};

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
    return j;
}

void jit_reset(struct jit *j)
{
    while (j->codes) {
        struct jit_code *next = j->codes->next;
        if (j->be.counting) {
            jit_segments_drop(j->be.counting, j->codes);
        }
        free(j->codes);
        j->codes = next;
    }
    j->be.at = j->be.start;
    j->be.nsites = 0;
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

uint32_t jit_site_new(struct jit_backend *be, struct jit_code *code, unsigned kind)
{
    if (be->nsites == be->max_sites) {
        uint32_t max = be->max_sites ? be->max_sites * 2 : 4096;
        struct jit_site *s = realloc(be->site, max * sizeof *s);
        if (!s) {
            return UINT32_MAX;
        }
        be->site = s;
        be->max_sites = max;
    }
    be->site[be->nsites] = (struct jit_site){.code = code, .kind = (uint8_t)kind};
    return be->nsites++;
}

struct jit_code *jit_compile(struct jit *j, const struct jit_source *src)
{
    struct jit_code *c = calloc(1, sizeof *c);
    if (!c) {
        return NULL;
    }
    c->owner = src->part[0].owner;
    c->page_off = src->page_off;
    c->valid = true;
    for (unsigned p = 0; p < src->nparts; p++) {
        c->charge = (uint16_t)(c->charge + src->part[p].charge);
    }
    if (src->nparts > 1 || src->u[src->n - 1].op == U_LOOP) {
        jit_pass_groups(src);
    }
    jit_pass_flags(src->u, src->n);
    uint32_t sites = j->be.nsites, at = j->be.at;
    if (!jit_host_emit(&j->be, src, c)) {
        j->be.nsites = sites;
        j->be.at = at;
        if (j->be.counting) {
            jit_segments_drop(j->be.counting, c);
        }
        free(c);
        return NULL;
    }
    os_code_commit(&j->be.mem, at, j->be.at - at);
    c->next = j->codes;
    j->codes = c;
    j->stats.blocks++;
    j->stats.insns += src->n;
    for (unsigned k = 0; k < src->n; k++) {
        j->stats.interp_insns += src->u[k].op == U_INTERP || src->u[k].op == U_INTERP_END;
    }
    for (unsigned k = 0; k < EMIT_COUNT; k++) {
        j->stats.emitted[k] += c->emitted[k];
    }
    j->stats.code_bytes += c->bytes;
    j->stats.sites = j->be.nsites;
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

uint64_t jit_host(const struct jit *j, const struct jit_code *code)
{
    return (uintptr_t)(j->be.mem.exec + code->entry);
}

uint32_t jit_run(struct jit *j, struct jit_env *env, const struct jit_code *code)
{
    uint32_t (*enter)(struct jit_env *, const unsigned char *);
    const unsigned char *at = j->be.mem.exec + j->be.enter;
    memcpy(&enter, &at, sizeof enter); /* ISO C has no cast between the two */
    return enter(env, j->be.mem.exec + code->entry);
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
    return j->stats;
}
