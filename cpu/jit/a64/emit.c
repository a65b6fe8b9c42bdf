/*
 * One micro-operation, and the block as a whole.
 *
 * What is not emitted runs in the interpreter: a64_uop says so before it has emitted anything that
 * has an effect.
 */
#include <string.h>

#include "cpu/jit/a64/a64.h"
#include "cpu/jit/pass.h"

/* ---- registers ---- */

void a64_put(struct em *e, unsigned r, unsigned w, unsigned from)
{
    unsigned d = a64_host(r);
    if (w < 4) {
        asm_bfi(&e->a, 8, d, from, 0, 8 * w);
    } else if (w == 4 || d != from) {
        asm_mov(&e->a, w, d, from);
    }
}

unsigned a64_src(struct em *e, unsigned tmp)
{
    if (e->u->sk == UK_REGH) {
        a64_get_high(e, e->u->sr, tmp);
        return tmp;
    }
    return a64_host(e->u->sr);
}

/* ---- one micro-operation ---- */

static bool a64_uop(struct em *e)
{
    switch (e->u->op) {
    case U_NOP:
        return true;
    case U_MOV:
    case U_MOVZX:
    case U_MOVSX:
    case U_LEA:
    case U_CMOV:
    case U_SETCC:
    case U_XCHG:
    case U_BSWAP:
    case U_CWD:
    case U_CBW:
    case U_PUSH:
    case U_POP:
    case U_LEAVE:
        return a64_emit_move(e);
    case U_ADD:
    case U_OR:
    case U_ADC:
    case U_SBB:
    case U_AND:
    case U_SUB:
    case U_XOR:
    case U_CMP:
    case U_TEST:
    case U_INC:
    case U_DEC:
    case U_NEG:
    case U_NOT:
        return a64_emit_alu(e);
    case U_SHL:
    case U_SHR:
    case U_SAR:
    case U_ROL:
    case U_ROR:
    case U_IMUL:
    case U_MUL1:
    case U_IMUL1:
    case U_DIV:
    case U_IDIV:
    case U_BT:
        return a64_emit_bits(e);
    case U_VEC:
        return a64_emit_vec(e);
    case U_X87:
        return a64_emit_x87(e);
    default:
        if (e->u->op > U_LOOP) {
            return a64_emit_more(e);
        }
        if (!(e->u->attr & UF_SIDE)) { /* ways out of a superblock store them themselves */
            a64_vec_flush(e);
        }
        return a64_flow(e);
    }
}

/* ---- runs of micro-operations ---- */

/* What emitting one changes, to do it again. */
struct before {
    struct asmbuf a;
    unsigned ncold, nbatch;
    struct jit_recipe rc;
    bool over_clean, open, compared, before;
    struct vec vec;
    uint32_t groups;
    bool x87_on;
    uint16_t x87_off, x87_op;
};

static struct before now(const struct em *e)
{
    return (struct before){.a = e->a,
                           .ncold = e->ncold,
                           .nbatch = e->nbatch,
                           .rc = e->rc,
                           .over_clean = e->over_clean,
                           .open = e->open,
                           .compared = e->compared,
                           .before = e->before,
                           .vec = e->vec,
                           .groups = e->groups,
                           .x87_on = e->x87_on,
                           .x87_off = e->x87_off,
                           .x87_op = e->x87_op};
}

static void go_back(struct em *e, const struct before *b)
{
    e->a = b->a;
    e->ncold = b->ncold;
    e->nbatch = b->nbatch;
    e->rc = b->rc;
    e->over_clean = b->over_clean;
    e->open = b->open;
    e->compared = b->compared;
    e->before = b->before;
    e->vec = b->vec;
    e->groups = b->groups;
    e->x87_on = b->x87_on;
    e->x87_off = b->x87_off;
    e->x87_op = b->x87_op;
}

/* Emit it, or not. */
static bool one(struct em *e)
{
    struct before b = now(e);
    bool done = a64_uop(e);
    if (done && e->close) { /* again, behind the batch */
        go_back(e, &b);
        a64_batch_end(e);
        e->nz = NZ_NONE;
        done = a64_uop(e);
    }
    e->close = false;
    if (!done) {
        go_back(e, &b);
    }
    return done;
}

void a64_run(struct em *e, unsigned n)
{
    for (unsigned k = 0; k < n; k++) {
        e->u = &e->src->u[k];
        bool part = k && e->u->part != e->u[-1].part;
        if (part || !a64_batch_fits(e)) {
            a64_batch_end(e);
        }
        if (part) {
            a64_segment(e);
        }
        e->seg_insns += e->u->op != U_END;
        if (e->u->op == U_INTERP_END || e->u->op == U_JCOUNT || e->u->op == U_SETAC) {
            a64_vec_flush(e);
            a64_leave(e, SITE_BAIL);
            e->seg_interp++;
        } else if (e->u->op == U_INTERP || !one(e)) {
            a64_batch_end(e);
            a64_interp(e);
            e->seg_interp++;
        }
    }
}

/* Is it always the interpreter's? Then flags must be right in front of it. */
static bool left_out(const struct uop *u)
{
    bool shift = u->op >= U_SHL && u->op <= U_ROR, by_cl = u->sk == UK_REG;
    unsigned n = (unsigned)u->imm & (u->w == 8 ? 63 : 31);
    if (shift) {
        return u->dk == UK_REGH || (by_cl ? u->dk != UK_REG || u->w < 4 || u->op >= U_ROL
                                          : u->op < U_ROL && n >= 8u * u->w);
    }
    return u->op > U_LOOP && !a64_has_more(u);
}

/* ---- the back end's interface ---- */

void jit_host_common(struct jit_backend *be)
{
    a64_common(be);
    os_code_commit(&be->mem, 0, be->at);
}

bool jit_host_emit(struct jit_backend *be, const struct jit_source *src, struct jit_code *code)
{
    static const struct jit_recipe in_memory = {.slot = true};
    struct cold cold[COLD_MAX];
    struct batch batch[BATCH_MAX];
    struct em e = {.cold = cold,
                   .batch = batch,
                   .a = {.base = be->mem.write, .at = be->at, .end = be->end},
                   .be = be,
                   .src = src,
                   .code = code,
                   .u = src->u,
                   .rc = in_memory,
                   .vec = a64_vec_none()};
    for (unsigned k = 0; k < src->n; k++) {
        src->u[k].attr |= left_out(&src->u[k]) ? UF_BAIL : 0;
    }
    jit_pass_flags(src->u, src->n);
    a64_block_entry(&e);
    bool loop = src->u[src->n - 1].op == U_LOOP;
    if (loop) {
        e.vec_loop = a64_vec_loop_begin(&e);
        a64_segment(&e);
        e.body = e.a.at;
    }
    a64_run(&e, loop ? src->n - 1 : src->n);
    if (loop) {
        e.u = &src->u[src->n - 1];
        a64_loop(&e);
    }
    a64_segment_end(&e);
    a64_cold(&e);
    be->full = e.a.full;
    if (e.a.full || e.failed) {
        return false;
    }
    memcpy(code->emitted, e.a.count.n, sizeof code->emitted);
    code->bytes = e.a.at - code->entry;
    be->at = (e.a.at + 15) & ~15u;
    return true;
}

static void put(struct jit_backend *be, uint32_t place, uint32_t word)
{
    asm_put32(be->mem.write + place, word);
    os_code_commit(&be->mem, place, 4);
}

/* A conditional jump leads to its cold piece if its target is too far; see flow.c. */
void jit_host_patch(struct jit_backend *be, uint32_t place, uint32_t target)
{
    uint32_t word = asm_get32(be->mem.write + place), old = asm_target(word, place), b = A64_B;
    if (asm_is_b(word)) {
        bool near = asm_retarget(&word, place, target);
        assert(near && "a code buffer is below 128 MiB");
        (void)near;
        put(be, place, word);
    } else if (old == target) { /* far, now unlinked */
        put(be, target, A64_NOP);
    } else if (asm_retarget(&word, place, target)) {
        put(be, place, word);
    } else {
        bool near = asm_retarget(&b, old, target);
        assert(near && "a code buffer is below 128 MiB");
        (void)near;
        put(be, old, b);
    }
}

/* There are no slots here. */
void jit_host_near_off(struct jit_backend *be, uint32_t place, uint32_t slot)
{
    (void)be, (void)place, (void)slot;
}

const char *jit_host_name(void)
{
    return "a64";
}

bool jit_host_runs(void)
{
#if defined(__aarch64__)
    return true;
#else
    return false;
#endif
}

bool jit_host_based(void)
{
    return false;
}

bool jit_host_fpu(void)
{
    return false;
}
