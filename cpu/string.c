/*
 * String instructions: movs, cmps, stos, lods, scas, with and without REP.
 *
 * Units. An iteration of a REP instruction is one unit of time. The first is the one that every
 * instruction is charged for when its block is entered; each further one is taken from cpu->budget
 * before it begins. If the budget is used up, or an exit was asked for (exit_req: self-modifying
 * code, a device's request), or an event waits (attn, TF), the instruction stops between two
 * iterations with exact registers and RIP still on itself, and the run loop comes back to it. So a
 * fault in iteration n has n-1 units behind it: the run loop refunds the one of the block, and the
 * n-1 taken here stay. REP with a count of zero is one unit. Nothing depends on how iterations were
 * grouped.
 *
 * Bulk. Iterations whose operands lie in one page of plain RAM each (mem_host_ptr), inside their
 * segments and without a wrap of the offset, are done at once, in the order-dependent way the
 * instruction defines: overlapping MOVS repeats its pattern. All else goes one iteration at a time.
 *
 * Flags of CMPS and SCAS are written when the instruction leaves normally; a fault leaves them as
 * they were before it (SDM 2B, REP). Where the 8086 comes back to after an interrupt: cpu/event.c.
 * Sources: SDM 2A-2B, each instruction's page and REP.
 */
#include "cpu/string.h"

enum string_op { STR_MOVS, STR_CMPS, STR_STOS, STR_LODS, STR_SCAS };

struct string {
    struct cpu *cpu;
    const struct insn *i;
    enum string_op op;
    unsigned w;   /* bytes of an element */
    unsigned seg; /* of the source */
    bool down;    /* DF */
    bool old;     /* an 80286: see string_la */
    bool flags;   /* a and b were compared last */
    uint64_t a, b;
};

static bool string_has_src(enum string_op op)
{
    return op == STR_MOVS || op == STR_CMPS || op == STR_LODS;
}

static bool string_has_dst(enum string_op op)
{
    return op != STR_LODS;
}

static enum mem_access string_dst_access(enum string_op op)
{
    return op == STR_MOVS || op == STR_STOS ? ACC_WRITE : ACC_READ;
}

static void string_advance_both(const struct string *s, uint64_t n)
{
    if (string_has_src(s->op)) {
        string_step(s->cpu, s->i, REG_RSI, n, s->w);
    }
    if (string_has_dst(s->op)) {
        string_step(s->cpu, s->i, REG_RDI, n, s->w);
    }
}

/* Did this comparison end a REPE or REPNE? */
static bool string_ends(const struct string *s)
{
    bool equal = s->a == s->b;
    return (s->i->pfx & PFX_REP && !equal) || (s->i->pfx & PFX_REPNE && equal);
}

/* ---- one iteration, with every check; true: it was the last by its condition ---- */
static bool string_one(struct string *s)
{
    struct cpu *cpu = s->cpu;
    unsigned w = s->w;
    uint64_t src = gpr_get(cpu, REG_RAX, w);
    bool end = false;
    if (s->op == STR_CMPS || s->op == STR_SCAS) { /* the destination is read first */
        s->b = mem_rd(cpu, SEG_ES, string_la(cpu, s->i, REG_RDI, SEG_ES, w, ACC_READ), w);
    }
    if (string_has_src(s->op)) {
        if (UNLIKELY(s->old && s->op == STR_CMPS) && gpr_get(cpu, REG_RSI, 2) == 0xffff && w == 2) {
            string_step(cpu, s->i, REG_RDI, 1, w);
        }
        src = mem_rd(cpu, s->seg, string_la(cpu, s->i, REG_RSI, s->seg, w, ACC_READ), w);
    }
    switch (s->op) {
    case STR_MOVS:
    case STR_STOS:
        if (UNLIKELY(s->old && s->op == STR_MOVS) && gpr_get(cpu, REG_RDI, 2) == 0xffff && w == 2) {
            string_step(cpu, s->i, REG_RSI, 1, w);
        }
        mem_wr(cpu, SEG_ES, string_la(cpu, s->i, REG_RDI, SEG_ES, w, ACC_WRITE), w, src);
        break;
    case STR_LODS:
        gpr_set(cpu, REG_RAX, w, src);
        break;
    default:
        s->flags = true;
        s->a = src;
        end = string_ends(s);
        break;
    }
    string_advance_both(s, 1);
    return end;
}

/* ---- many iterations ---- */
uint64_t string_span(struct cpu *cpu, const struct insn *i, unsigned reg, unsigned seg, unsigned w,
                     enum mem_access acc, uint64_t n, uint8_t **p)
{
    const struct seg_view *v = &cpu->segv[seg];
    bool down = cpu->s.rflags & FL_DF;
    uint64_t off = gpr_get(cpu, reg, i->asz);
    uint64_t base = cpu_code64(cpu) && seg < SEG_FS ? 0 : v->base;
    gva la = base + off;
    if (!cpu_code64(cpu)) {
        la = (uint32_t)la;
    }
    uint64_t in_page = la & (PAGE_SIZE - 1), top = bits_mask(8u * i->asz);
    if (in_page + w > PAGE_SIZE || off > top - (w - 1) ||
        ((la & (w - 1)) && (cpu->s.rflags & FL_AC))) { /* perhaps #AC */
        return 0;
    }
    uint64_t room = down ? in_page / w + 1 : (PAGE_SIZE - in_page) / w;
    uint64_t wrap = down ? off / w + 1 : (top - off - (w - 1)) / w + 1;
    n = n < room ? n : room;
    n = n < wrap ? n : wrap;
    uint64_t lowest = down ? (n - 1) * w : 0; /* below the first element */
    if (!cpu_code64(cpu)) {
        uint64_t end = acc == ACC_WRITE ? v->end_w : v->end_r;
        uint64_t first = off - lowest;
        if (first < v->lo || first + n * w > end) {
            return 0;
        }
    }
    uint8_t *lo = mem_host_ptr(cpu, la - lowest, (unsigned)(n * w), acc, cpu->view);
    if (!lo) {
        return 0;
    }
    *p = lo + lowest;
    return n;
}

static void string_copy(uint8_t *dst, const uint8_t *src, uint64_t n, unsigned w, bool down)
{
    size_t len = n * w;
    if (down) {
        uint8_t *d = dst + w - len;
        const uint8_t *f = src + w - len;
        if (d >= f || d + len <= f) {
            memmove(d, f, len);
            return;
        }
    } else if (dst <= src || dst >= src + len) {
        memmove(dst, src, len);
        return;
    }
    for (; n; n--) {
        le_put(dst, w, le_get(src, w));
        dst = down ? dst - w : dst + w;
        src = down ? src - w : src + w;
    }
}

static void string_fill(uint8_t *dst, uint64_t n, unsigned w, bool down, uint64_t val)
{
    uint8_t *lo = down ? dst - (n - 1) * w : dst;
    if (w == 1) {
        memset(lo, (int)(val & 0xff), n);
        return;
    }
    for (; n; n--, lo += w) {
        le_put(lo, w, val);
    }
}

/* Compare up to n elements; returns how many were done. */
static uint64_t string_compare(struct string *s, const uint8_t *src, const uint8_t *dst, uint64_t n,
                               bool *end)
{
    for (uint64_t k = 1; k <= n; k++) {
        s->a = src ? le_get(src, s->w) : s->a;
        s->b = le_get(dst, s->w);
        if (string_ends(s)) {
            *end = true;
            return k;
        }
        dst = s->down ? dst - s->w : dst + s->w;
        src = !src ? NULL : s->down ? src - s->w : src + s->w;
    }
    return n;
}

/* Up to n iterations; returns how many were done, 0 if they must go one by one. */
static uint64_t string_bulk(struct string *s, uint64_t n, bool *end)
{
    struct cpu *cpu = s->cpu;
    uint8_t *src = NULL, *dst = NULL;
    if (string_has_src(s->op)) {
        n = string_span(cpu, s->i, REG_RSI, s->seg, s->w, ACC_READ, n, &src);
    }
    if (n && string_has_dst(s->op)) {
        n = string_span(cpu, s->i, REG_RDI, SEG_ES, s->w, string_dst_access(s->op), n, &dst);
    }
    if (n == 0) {
        return 0;
    }
    switch (s->op) {
    case STR_MOVS:
        string_copy(dst, src, n, s->w, s->down);
        break;
    case STR_STOS:
        string_fill(dst, n, s->w, s->down, cpu->s.gpr[REG_RAX]);
        break;
    case STR_LODS: {
        uint64_t last = (n - 1) * s->w;
        gpr_set(cpu, REG_RAX, s->w, le_get(s->down ? src - last : src + last, s->w));
        break;
    }
    default:
        s->flags = true;
        s->a = gpr_get(cpu, REG_RAX, s->w);
        n = string_compare(s, src, dst, n, end);
        break;
    }
    string_advance_both(s, n);
    return n;
}

/* ---- the instruction ---- */
static void string_set_flags(const struct string *s)
{
    if (s->flags) {
        uint64_t r = s->a - s->b;
        flags_set_carry(s->cpu, s->w, r, (~s->a & s->b) | ((~s->a | s->b) & r));
    }
}

static void string_rep(struct string *s)
{
    struct cpu *cpu = s->cpu;
    uint64_t n = gpr_get(cpu, REG_RCX, s->i->asz);
    bool first = true, end = false;
    while (n && !end) {
        if (!first && string_must_stop(cpu)) {
            string_stop(cpu, s->i);
            break;
        }
        uint64_t fit = string_fit(cpu, n, first), k = 0;
        if (fit > 1) {
            k = string_bulk(s, fit, &end);
            cpu->budget -= k ? (int64_t)k - first : 0;
        }
        if (k == 0) {
            cpu->budget -= !first; /* before it may fault */
            end = string_one(s);
            k = 1;
        }
        first = false;
        n -= k;
        gpr_set(cpu, REG_RCX, s->i->asz, n);
    }
    string_set_flags(s);
}

static void string_run(struct cpu *cpu, const struct insn *i, enum string_op op)
{
    struct string s = {.cpu = cpu, .i = i, .op = op, .w = i->w};
    s.seg = i->segovr == SEG_NONE ? SEG_DS : i->segovr;
    s.down = cpu->s.rflags & FL_DF;
    s.old = cpu_has(cpu, FEAT_i286) && !cpu_has(cpu, FEAT_i386);
    if (i->pfx & (PFX_REP | PFX_REPNE)) {
        string_rep(&s);
    } else {
        string_one(&s);
        string_set_flags(&s);
    }
}

SEM_END(movs)
{
    string_run(cpu, i, STR_MOVS);
}
SEM_END(cmps)
{
    string_run(cpu, i, STR_CMPS);
}
SEM_END(stos)
{
    string_run(cpu, i, STR_STOS);
}
SEM_END(lods)
{
    string_run(cpu, i, STR_LODS);
}
SEM_END(scas)
{
    string_run(cpu, i, STR_SCAS);
}
