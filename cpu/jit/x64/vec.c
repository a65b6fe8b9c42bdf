/*
 * Residency of guest vector registers, the guest's MXCSR in the host, host features; see vec.h.
 *
 * Sources: Intel SDM 1 14.3 (detection), 10.2.3 (MXCSR), 14.9, 15.3 of the optimization manual
 * (mixing legacy SSE and AVX: VZEROUPPER in front of C, which is compiled for SSE2).
 */
#include <assert.h>
#include <stddef.h>

#include "cpu/jit/x64/asm_vec.h"
#include "cpu/jit/x64/host.h"
#include "cpu/jit/x64/x64.h"

/* ---- features ---- */

#if defined(__x86_64__)
static bool os_saves_ymm(void)
{
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (lo & 6) == 6;
}
#endif

uint32_t x64_host_features(void)
{
    uint32_t f = 0;
#if defined(__x86_64__)
    static const struct {
        uint8_t reg, bit, set; /* reg: 0 ECX of leaf 1, 1 EBX of leaf 7 */
        bool avx;              /* only with AVX */
    } bits[] = {{0, 0, UVS_SSE3, 0},   {0, 9, UVS_SSSE3, 0}, {0, 19, UVS_SSE41, 0},
                {0, 20, UVS_SSE42, 0}, {0, 28, UVS_AVX, 1},  {1, 5, UVS_AVX2, 1},
                {0, 12, UVS_FMA, 1},   {0, 29, UVS_F16C, 1}, {0, 25, UVS_AES, 0},
                {0, 1, UVS_PCLMUL, 0}, {1, 29, UVS_SHA, 0}};
    uint32_t c1 = host_cpuid(1).c, b7 = host_cpuid(0).a >= 7 ? host_cpuid(7).b : 0;
    bool avx = (c1 >> 27 & 1) && (c1 >> 28 & 1) && os_saves_ymm();
    f = 1u << UVS_SSE2;
    for (unsigned k = 0; k < sizeof bits / sizeof bits[0]; k++) {
        unsigned r = bits[k].reg ? b7 : c1;
        if ((r >> bits[k].bit & 1) && (avx || !bits[k].avx)) {
            f |= 1u << bits[k].set;
        }
    }
    if (host_cpuid(0x80000000).a > 0x80000000 && (host_cpuid(0x80000001).c & 1)) {
        f |= UINT32_C(1) << HOST_LAHF_BIT;
    }
#endif
    return f;
}

static bool has_avx(const struct jit_backend *be)
{
    return be->features >> UVS_AVX & 1;
}

/* ---- registers ---- */

static struct xo home(const struct jit_backend *be, unsigned r, unsigned byte)
{
    return xm(ENV, be->l->ymm + (int32_t)(32 * r + byte));
}

/* MOVUPS or VMOVUPS; store: to memory. */
static void move(const struct jit_backend *be, struct asmbuf *a, bool store, bool wide, unsigned r)
{
    struct vop o = {VMAP_0F, VPP_NONE, store ? 0x11 : 0x10, false, wide};
    if (has_avx(be)) {
        asm_vex(a, o, r, 0, home(be, r, 0));
    } else {
        asm_legacy(a, o, r, home(be, r, 0));
    }
}

void x64_vec_spill(struct em *e, const struct vec_state *s)
{
    for (unsigned r = 0; r < 16; r++) {
        if ((s->dirty | s->high) >> r & 1) {
            move(e->be, &e->a, true, s->high >> r & 1, r);
        }
    }
}

void x64_vec_reload(struct em *e, const struct vec_state *s)
{
    for (unsigned r = 0; r < 16; r++) {
        if (s->live >> r & 1) {
            move(e->be, &e->a, false, s->wide >> r & 1, r);
        }
    }
}

void x64_vec_flush(struct em *e)
{
    x64_vec_spill(e, &e->vec.s);
    e->vec.s.dirty = e->vec.s.high = 0;
}

void x64_vec_drop(struct em *e)
{
    x64_vec_flush(e);
    e->vec.s = (struct vec_state){.live = 0};
}

void x64_vec_forget(struct em *e)
{
    x64_vec_flush(e);
    e->vec = (struct vec_place){.checked = 0};
}

void x64_vec_use(struct em *e, unsigned r, bool wide)
{
    struct vec_state *s = &e->vec.s;
    uint16_t bit = (uint16_t)(1u << r);
    if (!(s->live & bit)) {
        move(e->be, &e->a, false, wide, r);
        s->live |= bit;
        s->wide |= wide ? bit : 0;
    } else if (wide && !(s->wide & bit)) { /* VINSERTF128 r, r, home + 16, 1 */
        struct vop o = {VMAP_0F3A, VPP_66, 0x18, false, true};
        asm_vex(&e->a, o, r, r, home(e->be, r, 16));
        asm_byte(&e->a, 1);
        s->wide |= bit;
    }
}

void x64_vec_narrow(struct em *e, unsigned r)
{
    struct vec_state *s = &e->vec.s;
    uint16_t bit = (uint16_t)(1u << r);
    if (s->high & bit) { /* VEXTRACTF128 home + 16, r, 1 */
        struct vop o = {VMAP_0F3A, VPP_66, 0x19, false, true};
        asm_vex(&e->a, o, r, 0, home(e->be, r, 16));
        asm_byte(&e->a, 1);
    }
    s->high &= (uint16_t)~bit;
    s->wide &= (uint16_t)~bit;
}

/* ---- loops ---- */

struct vec_sets {
    uint16_t used, wide;    /* read or written; with 256 bits */
    uint16_t legacy, whole; /* written by a legacy instruction; by a VEX-encoded one */
};

static void collect(const struct uop *u, struct vec_sets *t)
{
    const struct uop_vec *v = &u->v;
    unsigned set = (v->a != UR_NONE ? 1u << v->a : 0) | (u->sk == UK_XMM ? 1u << u->sr : 0) |
                   (v->fourth != UR_NONE ? 1u << v->fourth : 0);
    if (u->dk == UK_XMM) {
        unsigned d = 1u << u->dr;
        set |= d;
        if (v->flags & UV_VEX) {
            t->whole |= (uint16_t)d;
        } else {
            t->legacy |= (uint16_t)d;
        }
    }
    t->used |= (uint16_t)set;
    t->wide |= v->vl == 32 ? (uint16_t)set : 0;
}

bool x64_vec_loop_begin(struct em *e)
{
    struct vec_sets t = {.used = 0};
    for (unsigned k = 0; k < e->src->n; k++) {
        const struct uop *u = &e->src->u[k];
        if (u->op == U_INTERP) {
            return false; /* nothing stays over it */
        }
        if (u->op == U_VEC) {
            collect(u, &t);
        }
    }
    if (!t.used) {
        return false;
    }
    uint16_t wide = (uint16_t)((t.wide | t.whole) & ~t.legacy);
    for (unsigned r = 0; r < 16; r++) {
        if (t.used >> r & 1) {
            x64_vec_use(e, r, has_avx(e->be) && (wide >> r & 1));
        }
    }
    e->vec.s.dirty = t.legacy | t.whole;
    e->vec.s.high = t.whole & e->vec.s.wide;
    e->vec_head = e->vec.s;
    return true;
}

void x64_vec_loop_end(struct em *e)
{
    const struct vec_state *h = &e->vec_head, *s = &e->vec.s;
    for (unsigned r = 0; r < 16; r++) {
        if (!(h->live >> r & 1)) {
            continue;
        }
        if ((s->wide & ~h->wide) >> r & 1) {
            x64_vec_narrow(e, r);
        }
        x64_vec_use(e, r, h->wide >> r & 1);
    }
    assert(!(s->live & ~h->live) && !(s->dirty & ~h->dirty) && !(s->high & ~h->high));
}

/* ---- MXCSR ---- */

static void mxcsr(struct asmbuf *a, bool store, int32_t off)
{
    asm_op(a, 4, 0x0fae, store ? 3 : 2, xm(ENV, off), 0);
}

void x64_fp_off(const struct jit_backend *be, struct asmbuf *a)
{
    asm_test_imm(a, 1, xm(ENV, ENV_OFF(vec_no)), JIT_VEC_UNLOADED);
    uint32_t off = asm_jcc(a, XNE);
    mxcsr(a, true, be->l->mxcsr);
    mxcsr(a, false, ENV_OFF(host_mxcsr));
    asm_alu_imm(a, 1, 1, xm(ENV, ENV_OFF(vec_no)), JIT_VEC_UNLOADED);
    asm_here(a, off);
    if (has_avx(be)) {
        asm_byte(a, 0xc5); /* VZEROUPPER */
        asm_byte(a, 0xf8);
        asm_byte(a, 0x77);
    }
}

void x64_vec_common(struct jit_backend *be, struct asmbuf *a)
{
    be->fp_on = a->at;
    mxcsr(a, true, ENV_OFF(host_mxcsr));
    mxcsr(a, false, be->l->mxcsr);
    asm_alu_imm(a, 1, 4, xm(ENV, ENV_OFF(vec_no)), (int32_t)~JIT_VEC_UNLOADED & 0xff);
    asm_byte(a, 0xc3);

    be->vec_zero = a->at; /* bits 255:128 of all registers in memory; keeps XMM15's low half */
    if (has_avx(be)) {
        struct vop store = {VMAP_0F, VPP_NONE, 0x11, false, false};
        struct vop load = {VMAP_0F, VPP_NONE, 0x10, false, false};
        struct vop clear = {VMAP_0F, VPP_NONE, 0x57, false, false};
        asm_alu_imm(a, 8, 5, xr(RSP), 16);
        asm_vex(a, store, 15, 0, xm(RSP, 0));
        asm_vex(a, clear, 15, 15, xr(15));
        for (unsigned r = 0; r < 16; r++) {
            asm_vex(a, store, 15, 0, home(be, r, 16));
        }
        asm_vex(a, load, 15, 0, xm(RSP, 0));
        asm_alu_imm(a, 8, 0, xr(RSP), 16);
        asm_store_imm(a, 1, xm(ENV, ENV_OFF(vec_hi0)), 1);
        asm_byte(a, 0xc3);
    }
}
