/* Micro-operations in words; see text.h. */
#include "cpu/jit/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

struct text {
    char *out;
    size_t size, at;
};

static void put(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void put(struct text *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(t->out + t->at, t->size - t->at, fmt, ap);
    va_end(ap);
    t->at += n < 0 ? 0 : (size_t)n;
    if (t->at >= t->size) {
        t->at = t->size - 1;
    }
}

static void put_reg(struct text *t, unsigned r)
{
    static const char *const names[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                        "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    put(t, "%s", r == UR_PAGE ? "page" : r < 16 ? names[r] : "none");
}

static void put_mem(struct text *t, const struct uop_mem *m)
{
    static const char seg[] = "ecsdfg??";
    const char *sep = "";
    put(t, "[");
    if (m->segm != US_FLAT) {
        put(t, "%cs%s:", seg[m->seg & 7], m->segm == US_CHECK ? "!" : "");
    }
    if (m->base != UR_NONE) {
        put_reg(t, m->base);
        sep = "+";
    }
    if (m->index != UR_NONE) {
        put(t, "%s", sep);
        put_reg(t, m->index);
        put(t, "*%u", 1u << m->scale);
        sep = "+";
    }
    if (m->disp < 0) {
        put(t, "-0x%" PRIx64, (uint64_t)-m->disp);
    } else if (m->disp || !*sep) {
        put(t, "%s0x%" PRIx64, sep, (uint64_t)m->disp);
    }
    put(t, "]%s", m->asz == 8 ? "" : m->asz == 4 ? "a32" : "a16");
}

/* One of the two operands. Kinds that only some back ends know are shown as numbers. */
static void put_operand(struct text *t, const struct uop *u, unsigned kind, unsigned reg,
                        const char *sep)
{
    if (kind == UK_NONE) {
        return;
    }
    put(t, "%s", sep);
    switch (kind) {
    case UK_REG:
        put_reg(t, reg);
        break;
    case UK_REGH:
        put_reg(t, reg);
        put(t, "[15:8]");
        break;
    case UK_IMM:
        put(t, "0x%" PRIx64, (uint64_t)u->imm);
        break;
    case UK_MEM:
        put_mem(t, &u->m);
        break;
    default:
        put(t, "k%u:%u", kind, reg);
        break;
    }
}

void jit_uop_text(const struct uop *u, char *out, size_t size)
{
    static const char *const names[] = {
#define X(n) #n,
        UOPS(X)
#undef X
    };
    struct text t = {out, size, 0};
    if (!size) {
        return;
    }
    out[0] = '\0';
    put(&t, "%s", u->op < UOP_COUNT ? names[u->op] : "?");
    if (u->w) {
        put(&t, ".%u", u->w);
    }
    if (u->op == U_JCC || u->op == U_SETCC || u->op == U_CMOV) {
        put(&t, " cc=%u", u->cc);
    }
    put_operand(&t, u, u->dk, u->dr, " ");
    put_operand(&t, u, u->sk, u->sr, u->dk == UK_NONE ? " " : ", ");
    if (u->dk != UK_MEM && u->sk != UK_MEM && u->m.asz) {
        put(&t, " at ");
        put_mem(&t, &u->m);
    }
    if (u->sk != UK_IMM && u->imm) {
        put(&t, " imm=0x%" PRIx64, (uint64_t)u->imm);
    }
    put(&t, "%s%s%s", u->attr & UF_NEED ? " need" : "", u->attr & UF_BAIL ? " bail" : "",
        u->attr & UF_COND ? " cond" : "");
    if (u->rflags || u->wflags) {
        put(&t, " flags r%03x w%03x", u->rflags, u->wflags);
    }
}
