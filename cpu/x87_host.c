/*
 * The x87 state between the state table and the host's FPU, for compiled code (see
 * cpu/jit/x64/emit_x87.c).
 *
 * x87_host_load makes an image for compiled code to load; x87_host_settle takes apart the one that
 * compiled code saved when it came to C. In between the state table is stale, and no C looks at it.
 * On other hosts there is no image: "live" is that code has been told that x87 instructions may
 * run, and it works on the state table (x87_soft.c).
 *
 * What always holds while the state is live: every exception is masked and none is pending, so
 * FERR# does not move; CR0.EM and TS are clear; CS and the other selectors are what they were, so
 * those that belong to the pointers can be read at the end.
 */
#include "cpu/x87.h"

#include "cpu/x87_host.h"

/* The image of FNSAVE m108 (SDM vol. 1, figures 8-9 and 8-11). */
enum { AT_CW = 0, AT_SW = 4, AT_TAGS = 8, AT_ST = 28 };

static struct cpu *env_cpu(struct jit_env *env)
{
    return (struct cpu *)(void *)((char *)env - offsetof(struct cpu, jit));
}

static void make_image(const struct x87 *f, uint8_t *p)
{
    unsigned tags = 0;
    for (unsigned r = 0; r < 8; r++) {
        tags |= (f->empty >> r & 1 ? 3u : 0u) << (2 * r);
    }
    le_put(p + AT_CW, 4, f->cw);
    le_put(p + AT_SW, 4, f->sw);
    le_put(p + AT_TAGS, 4, tags);
    memset(p + AT_TAGS + 4, 0, AT_ST - AT_TAGS - 4);
    for (unsigned n = 0; n < 8; n++) {
        struct f80 v = x87_get(f, n);
        le_put(p + AT_ST + 10 * n, 8, v.m);
        le_put(p + AT_ST + 10 * n + 8, 2, v.se);
    }
}

int x87_host_load(struct jit_env *env)
{
    struct cpu *cpu = env_cpu(env);
    const struct x87 *f = x87_of(cpu);
    if ((cpu->s.cr0 & (CR0_EM | CR0_TS)) || !cpu_has(cpu, FEAT_fpu) ||
        (f->cw & FP_ALL_FLAGS) != FP_ALL_FLAGS || (f->cw & 0x300) == 0x100 ||
        (f->sw & (X87_ES | X87_B))) {
        return 0;
    }
    if (jit_host_fpu()) {
        make_image(f, env->x87_image);
    }
    env->x87_ip = JIT_X87_NONE;
    env->x87_seg = 0xff;
    env->x87_live = 1;
    return 1;
}

static void settle_pointers(struct cpu *cpu, const struct jit_site *s)
{
    struct jit_env *env = &cpu->jit;
    struct x87 *f = x87_of(cpu);
    bool no_selectors = cpu_has(cpu, FEAT_zero_fcs_fds);
    if (s->x87_off) {
        env->x87_ip = (env->page + s->x87_off - 1) & cpu->ip_mask;
        env->x87_op = s->x87_op;
    }
    if (env->x87_ip == JIT_X87_NONE) {
        return;
    }
    f->ip = env->x87_ip;
    f->cs = no_selectors ? 0 : cpu->s.seg[SEG_CS].sel;
    if (!cpu_has(cpu, FEAT_fdp_excptn_only)) {
        f->op = env->x87_op;
        if (env->x87_seg != 0xff) {
            f->dp = env->x87_dp;
            f->ds = no_selectors ? 0 : cpu->s.seg[env->x87_seg].sel;
        }
    }
}

static void take_image(struct x87 *f, const uint8_t *p)
{
    f->cw = (uint16_t)le_get(p + AT_CW, 2);
    f->sw = (uint16_t)le_get(p + AT_SW, 2);
    f->empty = 0;
    for (unsigned r = 0; r < 8; r++) {
        f->empty |= (uint8_t)((le_get(p + AT_TAGS, 2) >> (2 * r) & 3) == 3 ? 1u << r : 0);
    }
    for (unsigned n = 0; n < 8; n++) {
        unsigned r = x87_reg(f, n);
        f->m[r] = le_get(p + AT_ST + 10 * n, 8);
        f->se[r] = (uint16_t)le_get(p + AT_ST + 10 * n + 8, 2);
    }
}

void x87_host_settle(struct cpu *cpu, const struct jit_site *s)
{
    struct jit_env *env = &cpu->jit;
    if (LIKELY(!env->x87_live)) {
        return;
    }
    env->x87_live = 0;
    if (jit_host_fpu()) {
        take_image(x87_of(cpu), env->x87_image);
    }
    settle_pointers(cpu, s);
}
