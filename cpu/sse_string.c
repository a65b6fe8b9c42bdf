/*
 * SSE4.2's string comparisons: PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM and their VEX forms.
 *
 * imm8: [1:0] elements (unsigned or signed bytes or words), [3:2] how to compare, [5:4] polarity,
 * [6] which end, or mask form. Elements past a string's end are invalid; what comparing them gives
 * depends on the kind of comparison. The memory operand needs no alignment.
 *
 * Sources: SDM 2B 4.1 ("Imm8 Control Byte Operation"), PCMPESTRI and the others.
 */
#include "cpu/sem.h"
#include "cpu/vec.h"

enum { AGG_ANY, AGG_RANGES, AGG_EACH, AGG_ORDERED };

struct str {
    int el[16];    /* elements, extended as the format says */
    unsigned len;  /* valid ones */
    unsigned size; /* elements in a vector: 8 or 16 */
};

/* len < 0: up to the first zero element. */
static struct str str_get(const union vec *v, unsigned imm, int64_t len)
{
    struct str s = {.size = imm & 1 ? 8 : 16};
    for (unsigned k = 0; k < s.size; k++) {
        s.el[k] = imm & 1 ? (imm & 2 ? v->sw[VW(k)] : v->w[VW(k)])
                          : (imm & 2 ? v->sb[VB(k)] : v->b[VB(k)]);
    }
    s.len = len < 0 || len > s.size ? s.size : (unsigned)len;
    for (unsigned k = 0; len < 0 && k < s.size; k++) {
        if (s.el[k] == 0) {
            s.len = k;
            break;
        }
    }
    return s;
}

/* Does b's element k match something of a, by equality or by ranges? */
static bool match_any(const struct str *a, const struct str *b, unsigned k, bool ranges)
{
    if (k >= b->len) {
        return false;
    }
    for (unsigned j = 0; j + (ranges ? 1 : 0) < a->len; j += ranges ? 2 : 1) {
        if (ranges ? b->el[k] >= a->el[j] && b->el[k] <= a->el[j + 1] : b->el[k] == a->el[j]) {
            return true;
        }
    }
    return false;
}

/* Does a occur in b at k, as far as b's vector reaches? */
static bool match_ordered(const struct str *a, const struct str *b, unsigned k)
{
    for (unsigned j = 0; j < a->len && k + j < b->size; j++) {
        if (k + j >= b->len || a->el[j] != b->el[k + j]) {
            return false;
        }
    }
    return true;
}

static bool match_each(const struct str *a, const struct str *b, unsigned k)
{
    bool va = k < a->len, vb = k < b->len;
    return va && vb ? a->el[k] == b->el[k] : va == vb;
}

/* IntRes2. */
static unsigned str_compare(const struct str *a, const struct str *b, unsigned imm)
{
    unsigned r = 0;
    for (unsigned k = 0; k < b->size; k++) {
        bool hit = false;
        switch (imm >> 2 & 3) {
        case AGG_ANY:
        case AGG_RANGES:
            hit = match_any(a, b, k, (imm >> 2 & 3) == AGG_RANGES);
            break;
        case AGG_EACH:
            hit = match_each(a, b, k);
            break;
        default:
            hit = match_ordered(a, b, k);
            break;
        }
        bool flip = (imm & 0x10) && (!(imm & 0x20) || k < b->len);
        r |= (unsigned)(hit != flip) << k;
    }
    return r;
}

/* A length register: its absolute value. */
static int64_t str_len(const struct cpu *cpu, const struct insn *i, unsigned reg)
{
    bool wide = insn_y(cpu, i) == 8;
    uint64_t v = cpu->s.gpr[reg];
    int64_t n = wide ? (int64_t)v : (int32_t)v;
    return n >= 0 ? n : n == INT64_MIN ? INT64_MAX : -n;
}

static unsigned str_run(struct cpu *cpu, const struct insn *i, bool explicit_len, unsigned *size)
{
    unsigned imm = insn_imm8(i);
    vec_check(cpu, i);
    union vec vb = vec_w(cpu, i, 16, false), va = vec_get(cpu, i->reg, 16);
    struct str a = str_get(&va, imm, explicit_len ? str_len(cpu, i, REG_RAX) : -1);
    struct str b = str_get(&vb, imm, explicit_len ? str_len(cpu, i, REG_RDX) : -1);
    unsigned r = str_compare(&a, &b, imm);
    flags_set_arith(cpu, (r ? FL_CF : 0) | (b.len < b.size ? FL_ZF : 0) |
                             (a.len < a.size ? FL_SF : 0) | (r & 1 ? FL_OF : 0));
    *size = a.size;
    return r;
}

/* ECX: the lowest or highest bit set, or the number of elements. */
static void str_index(struct cpu *cpu, const struct insn *i, bool explicit_len)
{
    unsigned size, r = str_run(cpu, i, explicit_len, &size);
    unsigned at = size;
    if (r) {
        at = insn_imm8(i) & 0x40 ? 31 - (unsigned)__builtin_clz(r) : (unsigned)__builtin_ctz(r);
    }
    cpu->s.gpr[REG_RCX] = at;
}

/* XMM0: the bits, or elements of ones. */
static void str_mask(struct cpu *cpu, const struct insn *i, bool explicit_len)
{
    unsigned size, r = str_run(cpu, i, explicit_len, &size);
    union vec v = {.q = {r, 0, 0, 0}};
    if (insn_imm8(i) & 0x40) {
        for (unsigned k = 0; k < 16; k++) {
            v.b[VB(k)] = r >> (size == 8 ? k / 2 : k) & 1 ? 0xff : 0;
        }
    }
    if (i->pfx & PFX_VEX) {
        vec_set_zx(cpu, 0, &v, 16);
    } else {
        vec_set(cpu, 0, &v, 16);
    }
}

// clang-format off
SEM(pcmpestri) { str_index(cpu, i, true); }
SEM(pcmpistri) { str_index(cpu, i, false); }
SEM(pcmpestrm) { str_mask(cpu, i, true); }
SEM(pcmpistrm) { str_mask(cpu, i, false); }
// clang-format on
