/*
 * One micro-operation, and the block as a whole.
 *
 * What is not emitted runs in the interpreter: x64_uop says so before it has emitted anything that
 * has an effect.
 */
#include <assert.h>
#include <stddef.h>

#include "cpu/jit/x64/x64.h"

/* ---- registers ---- */

void x64_put(struct em *e, unsigned r, unsigned w, unsigned from)
{
    struct xo to = x64_gpr(e, r);
    if (to.mem && w == 4) {
        unsigned tmp = from == T0 ? T0 : T1; /* a guest's register keeps its upper half */
        asm_mov(&e->a, 4, tmp, from);
        from = tmp;
        w = 8;
    }
    if (to.mem || to.reg != from || w == 4) {
        if (to.mem) {
            asm_store(&e->a, w, to, from);
        } else {
            asm_mov(&e->a, w, to.reg, from);
        }
    }
}

void x64_put_high(struct em *e, unsigned r, unsigned from)
{
    struct xo to = x64_gpr(e, r); /* RAX..RBX: always pinned */
    asm_shift(&e->a, 8, 1, to, 8);
    asm_mov(&e->a, 1, to.reg, from);
    asm_shift(&e->a, 8, 0, to, 8);
    e->host_flags = HF_NONE;
}

void x64_get_high(struct em *e, unsigned r, unsigned dst)
{
    asm_mov(&e->a, 4, dst, x64_host(r));
    asm_shift(&e->a, 4, 5, xr(dst), 8);
    e->host_flags = HF_NONE;
}

/* ---- one micro-operation ---- */

/* The operations behind U_LOOP. */
static bool more(struct em *e)
{
    switch (e->u->op) {
    case U_RDTSC:
        x64_emit_rdtsc(e);
        return true;
    case U_PUSHF:
        x64_emit_pushf(e);
        return true;
    case U_PUSHSEG:
        x64_emit_pushseg(e);
        return true;
    case U_POPF:
        x64_emit_popf(e);
        return true;
    case U_LAHF:
        x64_emit_lahf(e);
        return true;
    case U_SAHF:
        x64_emit_sahf(e);
        return true;
    case U_SETCF:
        x64_emit_set_cf(e);
        return true;
    case U_SETDF:
        x64_emit_set_df(e);
        return true;
    case U_SHLD:
    case U_SHRD:
        return x64_emit_double(e);
    case U_RCL:
    case U_RCR:
        return x64_emit_rotate_cf(e);
    case U_BSF:
    case U_BSR:
    case U_TZCNT:
    case U_LZCNT:
    case U_POPCNT:
        return x64_emit_scan(e);
    case U_CMPXCHG:
        x64_emit_cmpxchg(e);
        return true;
    case U_CMPXCHG2:
        return x64_emit_cmpxchg_pair(e);
    case U_XADD:
        x64_emit_xadd(e);
        return true;
    case U_CRC32:
        return x64_emit_crc32(e);
    case U_MOVBE:
        x64_emit_movbe(e);
        return true;
    case U_MOVS:
    case U_STOS:
    case U_LODS:
        x64_emit_string(e);
        return true;
    case U_CMPS:
    case U_SCAS:
        x64_emit_string_compare(e);
        return true;
    case U_REPMOVS:
    case U_REPSTOS:
        x64_emit_rep_move(e);
        return true;
    case U_REPCMPS:
    case U_REPSCAS:
        x64_emit_rep_scan(e);
        return true;
    case U_PAUSE:
    case U_IN:
    case U_OUT:
    case U_LOADSEG:
        x64_emit_quick(e);
        return true;
    case U_JCOUNT:
        x64_vec_flush(e);
        x64_emit_jcount(e);
        return true;
    case U_CLI:
    case U_STI:
        x64_emit_if(e);
        return true;
    case U_SWAPGS:
        x64_emit_swapgs(e);
        return true;
    case U_SETAC:
        x64_vec_flush(e);
        x64_emit_setac(e);
        return true;
    default:
        return e->u->op >= U_ANDN && e->u->op <= U_RORX && x64_emit_bmi(e);
    }
}

bool x64_uop(struct em *e)
{
    const struct uop *u = e->u;
    switch (u->op) {
    case U_NOP:
        return true;
    case U_MOV:
        return x64_emit_mov(e);
    case U_MOVZX:
    case U_MOVSX:
        x64_emit_extend(e);
        return true;
    case U_LEA:
        x64_emit_lea(e);
        return true;
    case U_ADD:
    case U_OR:
    case U_ADC:
    case U_SBB:
    case U_AND:
    case U_SUB:
    case U_XOR:
    case U_CMP:
    case U_TEST:
        return x64_emit_alu(e);
    case U_INC:
    case U_DEC:
        return x64_emit_incdec(e);
    case U_NEG:
    case U_NOT:
        x64_emit_negnot(e);
        return true;
    case U_SHL:
    case U_SHR:
    case U_SAR:
    case U_ROL:
    case U_ROR:
        return u->sk == UK_IMM ? x64_emit_shift_imm(e) : x64_emit_shift_cl(e);
    case U_IMUL:
        return x64_emit_imul(e);
    case U_MUL1:
    case U_IMUL1:
        x64_emit_mul1(e);
        return true;
    case U_DIV:
    case U_IDIV:
        x64_emit_div(e);
        return true;
    case U_BT:
        x64_emit_bt(e);
        return true;
    case U_CWD:
    case U_CBW:
        x64_emit_sign(e);
        return true;
    case U_XCHG:
        return x64_emit_xchg(e);
    case U_BSWAP:
        x64_emit_bswap(e);
        return true;
    case U_CMOV:
        return x64_emit_cmov(e);
    case U_SETCC:
        x64_emit_setcc(e);
        return true;
    case U_PUSH:
        return x64_emit_push(e);
    case U_POP:
        x64_emit_pop(e);
        return true;
    case U_LEAVE:
        x64_emit_leave(e);
        return true;
    case U_VEC:
        return x64_emit_vec(e);
    case U_X87:
        return x64_emit_x87(e);
    default:
        if (u->op > U_LOOP) {
            return more(e);
        }
        if (!(u->op == U_JCC && (u->attr & UF_SIDE))) { /* its way out stores them itself */
            x64_vec_flush(e);
        }
        return x64_flow(e);
    }
}

/* ---- runs of micro-operations ---- */

void x64_run(struct em *e, unsigned n)
{
    for (unsigned k = 0; k < n; k++) {
        if (k && e->src->u[k].part != e->src->u[k - 1].part) {
            x64_segment(e);
        }
        struct asmbuf a = e->a;
        unsigned ncold = e->ncold;
        struct jit_recipe rc = e->rc;
        struct vec_place vec = e->vec;
        uint8_t over = e->over, host_flags = e->host_flags;
        bool sahf = e->sahf;
        uint32_t groups = e->groups;
        e->u = &e->src->u[k];
        e->seg_insns += e->u->op != U_END;
        if (e->u->op == U_INTERP_END) {
            x64_vec_forget(e);
            x64_interp(e);
            x64_go_on(e);
            e->seg_interp++;
        } else if (e->u->op == U_INTERP || !x64_uop(e)) {
            e->a = a; /* what was emitted in vain */
            e->ncold = ncold;
            e->rc = rc;
            e->over = over;
            e->sahf = sahf;
            e->groups = groups;
            e->host_flags = host_flags;
            e->vec = vec;
            x64_vec_forget(e);
            x64_interp(e);
            e->seg_interp++;
        }
    }
}

/* ---- the back end's interface ---- */

void jit_host_common(struct jit_backend *be)
{
    be->has = x64_host_has();
    x64_common(be);
}

bool jit_host_emit(struct jit_backend *be, const struct jit_source *src, struct jit_code *code)
{
    static const struct jit_recipe in_memory = {.slot = true};
    struct cold cold[COLD_MAX]; /* too large to be cleared each time */
    struct vec_state cold_vec[COLD_MAX];
    struct em e = {.a = {.base = be->mem.write, .at = be->at, .end = be->end},
                   .cold = cold,
                   .cold_vec = cold_vec,
                   .be = be,
                   .src = src,
                   .code = code,
                   .u = src->u,
                   .rc = in_memory,
                   .over = OVER_ANY,
                   .align = 1};
    x64_block_entry(&e);
    bool loop = src->u[src->n - 1].op == U_LOOP;
    if (loop) {
        e.vec_loop = x64_vec_loop_begin(&e);
        x64_segment(&e);
        e.body = e.a.at;
    }
    x64_run(&e, loop ? src->n - 1 : src->n);
    if (loop) {
        e.u = &src->u[src->n - 1];
        x64_loop(&e);
    }
    x64_segment_end(&e);
    x64_cold(&e);
    be->full = e.a.full;
    if (e.a.full || e.failed) {
        return false;
    }
    memcpy(code->emitted, e.a.count.n, sizeof code->emitted);
    code->bytes = e.a.at - code->entry;
    be->at = (e.a.at + 15) & ~15u;
    return true;
}

void jit_host_patch(struct jit_backend *be, uint32_t place, uint32_t target)
{
    int32_t d = (int32_t)(target - (place + 4));
    memcpy(be->mem.write + place, &d, 4);
}

void jit_host_near_off(struct jit_backend *be, uint32_t place, uint32_t slot)
{
    struct asmbuf a = {.base = be->mem.write, .at = place, .end = place + NEAR_BYTES};
    x64_tlb_entry(be, &a);
    assert(a.at == place + NEAR_BYTES && !a.full);
    if (slot & JIT_NEAR_LIMIT) {
        a.at = place + NEAR_COMPARE;
        a.end = a.at + NEAR_COMPARE_BYTES;
        unsigned size = be->near_what[slot & ~JIT_NEAR_LIMIT] & 0x7fffu;
        asm_alu_imm(&a, 8, 7, xr(T1), (int32_t)(4097 - size));
        assert(a.at == a.end && !a.full);
    }
}

const char *jit_host_name(void)
{
    return jit_host_runs() ? "x64" : "none";
}

bool jit_host_runs(void)
{
#if defined(__x86_64__)
    return true;
#else
    return false;
#endif
}

bool jit_host_based(void)
{
    return true;
}

bool jit_host_fpu(void)
{
    return true;
}
