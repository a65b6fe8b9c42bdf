/*
 * Superblocks: paths (see super.h), their compilation, what becomes of them.
 */
#include "cpu/super.h"

#include <stdlib.h>

#include "cpu/engine_impl.h"
#include "cpu/lift.h"

#define SUPER_AFTER 2u

/* ---- paths ---- */

void super_begin(struct super_path *p, struct cpu *cpu, struct block *head)
{
    *p = (struct super_path){.cpu = cpu, .b = {head}};
}

static bool contains(const struct super_path *p, const struct block *b)
{
    for (unsigned k = 0; k < p->n; k++) {
        if (p->b[k] == b) {
            return true;
        }
    }
    return false;
}

bool super_step(struct super_path *p, struct block *b)
{
    uint64_t page = p->cpu->s.rip & PAGE_MASK;
    if (!b || !b->valid || b->cut || p->broken || b->pfn2 != UINT64_MAX) {
        return false;
    }
    if (p->n == 0) {
        p->page = page;
        p->view = p->cpu->view; /* when the path ends, the vCPU may be in another ring */
        if (b != p->b[0]) {
            return false;
        }
    } else {
        const struct block *head = p->b[0];
        p->loop = b == head && page == p->page;
        if (contains(p, b) || page != p->page || b->ram != head->ram || b->pfn != head->pfn ||
            b->mode != head->mode || p->n == JIT_PARTS_MAX || p->insns + b->n > SUPER_INSNS) {
            return false;
        }
    }
    p->b[p->n++] = b;
    p->insns += b->n;
    return true;
}

/* ---- code ---- */

/* A superblock: its code, and a link for each of its blocks. */
struct super_ref {
    struct jit_code *code;
    struct block *block;
    struct super_ref *next; /* of the same block */
};
struct super {
    struct super *next;
    struct jit_code *code;
    unsigned nrefs;
    struct super_ref ref[]; /* one for each part */
};

static void super_compile(struct engine *e, struct super_path *p)
{
    struct uop u[SUPER_INSNS + 2];
    struct block *head = p->b[0];
    unsigned parts = p->n;
    bool loop = p->loop;
    unsigned n = lift_super(p->b, &parts, &loop, u, p->cpu->yields);
    if (engine_not_worth(u, n)) {
        head->hot = NEVER_SUPER;
        return;
    }
    struct super *s = malloc(sizeof *s + parts * sizeof s->ref[0]);
    struct jit_code *code = s ? engine_compile(e, p->cpu, p->b, parts, u, n, p->view) : NULL;
    if (!code) {
        free(s);
        return;
    }
    code->super = true;
    if (head->code) {
        engine_cut_off(e, head);
    }
    head->code = code;
    head->left = 0;
    s->code = code;
    s->nrefs = parts;
    for (unsigned k = 0; k < parts; k++) {
        s->ref[k] = (struct super_ref){code, p->b[k], p->b[k]->supers};
        p->b[k]->supers = &s->ref[k];
    }
    s->next = e->supers;
    e->supers = s;
    e->nsupers++;
}

void engine_record(struct cpu *cpu, struct block *b)
{
    struct engine *e = cpu->engine;
    struct super_path *p = &e->path;
    if (p->cpu == cpu && super_step(p, b)) {
        return;
    }
    cpu->one_by_one &= (uint8_t)~ONE_RECORD;
    if (p->cpu == cpu) {
        if (p->n != 0 && !p->broken) {
            super_compile(e, p);
        }
        p->cpu = NULL;
    }
}

void super_record(struct engine *e, struct cpu *cpu, struct block *b)
{
    super_begin(&e->path, cpu, b);
    cpu->one_by_one |= ONE_RECORD;
}

void super_sample(struct engine *e, struct cpu *cpu, struct block *b)
{
    uint32_t after = e->o.super ? e->o.super : SUPER_AFTER;
    if (e->o.no_super || b->code->super || b->hot == NEVER_SUPER || e->path.cpu == cpu) {
        return; /* another vCPU's path is given up: it may be halted for long */
    }
    b->hot++;
    if (b->hot >= after) {
        super_record(e, cpu, b);
    }
}

void super_forget(struct engine *e, const struct jit_code *code)
{
    struct super **at = &e->supers;
    while (*at && (*at)->code != code) {
        at = &(*at)->next;
    }
    struct super *s = *at;
    if (!s) {
        return;
    }
    *at = s->next;
    for (unsigned k = 0; k < s->nrefs; k++) {
        struct super_ref **r = &s->ref[k].block->supers;
        while (*r && *r != &s->ref[k]) {
            r = &(*r)->next;
        }
        if (*r) {
            *r = s->ref[k].next;
        }
    }
    free(s);
}

bool engine_code_of(const struct block *b, const struct jit_code *code)
{
    for (const struct super_ref *r = b->supers; r; r = r->next) {
        if (r->code == code) {
            return true;
        }
    }
    return code->owner == b;
}

void super_invalidate(struct engine *e, struct block *b)
{
    if (UNLIKELY(e->path.cpu) && (b == e->path.b[0] || contains(&e->path, b))) {
        e->path.broken = true;
    }
    for (struct super_ref *r = b->supers; r; r = r->next) {
        struct jit_code *code = r->code;
        struct block *head = code->owner;
        if (code->valid) {
            code->valid = false;
            jit_unlink(e->jit, code);
            if (head->code == code) {
                jt_forget(e, head, code);
                head->code = NULL;
                head->hot = 0;
                head->left = (int32_t)e->o.threshold;
            }
        }
    }
    b->supers = NULL;
}

void engine_forget_path(struct engine *e)
{
    if (e) {
        e->path.broken = true;
    }
}

void super_flush(struct engine *e)
{
    e->path.cpu = NULL;
    while (e->supers) {
        struct super *next = e->supers->next;
        free(e->supers);
        e->supers = next;
    }
}
