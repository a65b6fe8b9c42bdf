/*
 * mkdecode: turns the instruction table into what the decoder walks.
 *
 * Runs at build time on the build machine. It expands cpu/insn_all.def into insn_rows[] and, for
 * each map and opcode, the chain of candidate rows, most specific first. Two rows that can match
 * the same bytes with equal rank are an error, so the order of rows in the table never matters.
 *
 * Output (standard output): C text that cpu/decode.c includes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/feature.h"
#include "cpu/insn.h"

struct row {
    const char *name, *sem, *map_text, *pp_text, *feature_text, *reads, *writes, *undef, *attr_text;
    unsigned op, reg, attr, map, pp, feature;
    unsigned opd[4];
    const char *opd_text[4];
    const char *file_line;
};

static const struct row rows[] = {
#define INSN(map, op, reg, pp, name, o0, o1, o2, o3, feature, reads, writes, undef, attr, sem)     \
    {#name,                                                                                        \
     #sem,                                                                                         \
     #map,                                                                                         \
     #pp,                                                                                          \
     #feature,                                                                                     \
     #reads,                                                                                       \
     #writes,                                                                                      \
     #undef,                                                                                       \
     #attr,                                                                                        \
     op,                                                                                           \
     reg,                                                                                          \
     attr,                                                                                         \
     MAP_##map,                                                                                    \
     PP_##pp,                                                                                      \
     FEAT_##feature,                                                                               \
     {OPD_##o0, OPD_##o1, OPD_##o2, OPD_##o3},                                                     \
     {#o0, #o1, #o2, #o3},                                                                         \
     #map " " #op " " #name},
#include "cpu/insn_all.def"
#undef INSN
};
enum { NROWS = sizeof rows / sizeof rows[0] };

static int failed;

static void complain(const struct row *a, const struct row *b, const char *what)
{
    fprintf(stderr, "mkdecode: %s: %s%s%s\n", a->file_line, what, b ? " with " : "",
            b ? b->file_line : "");
    failed = 1;
}

/* "OSZC" to EFLAGS bits. */
static unsigned flag_bits(const struct row *r, const char *s)
{
    unsigned v = 0;
    for (; *s; s++) {
        switch (*s) {
        case 'O':
            v |= 0x800;
            break;
        case 'S':
            v |= 0x80;
            break;
        case 'Z':
            v |= 0x40;
            break;
        case 'A':
            v |= 0x10;
            break;
        case 'P':
            v |= 0x4;
            break;
        case 'C':
            v |= 0x1;
            break;
        case '_':
            break;
        default:
            complain(r, NULL, "a flag set holds a letter outside OSZAPC");
        }
    }
    return v;
}

static int has_letter(const struct row *r, const char *letters)
{
    for (int k = 0; k < 4; k++) {
        const char *t = r->opd_text[k];
        if (strcmp(t, "AL") && strcmp(t, "CL") && strcmp(t, "DX") && strcmp(t, "ST0") &&
            strcmp(t, "Ldq") && strcmp(t, "Lx") && strchr(letters, t[0])) {
            return 1;
        }
    }
    return 0;
}

static int wants_modrm(const struct row *r)
{
    for (int k = 0; k < 4; k++) {
        if (r->opd[k] == OPD_STi) {
            return 1;
        }
    }
    return r->reg != NOREG || has_letter(r, "ERMGCDPQNVWUHB") || r->opd[0] == OPD_Sw ||
           r->opd[1] == OPD_Sw;
}

/* 0: any, 1: memory only, 2: register only. */
static int mod_rule(const struct row *r)
{
    if (r->attr & A_ANYMOD) {
        return 0;
    }
    if (r->attr & A_MEM) {
        return 1;
    }
    if ((r->attr & A_MOD3) || (r->reg >= 0xc0 && r->reg <= 0xff)) {
        return 2;
    }
    for (int k = 0; k < 4; k++) {
        const char *t = r->opd_text[k];
        if (t[0] == 'M') {
            return 1;
        }
        if ((t[0] == 'R' && t[2] != 'M') || t[0] == 'N' || t[0] == 'U') {
            return 2;
        }
    }
    return 0;
}

static int rank(const struct row *r)
{
    int v = r->attr & A_EXACT ? 1 : 0;
    v += r->reg >= 0xc0 && r->reg <= 0xff ? 4000 : r->reg < 8 ? 2000 : 0;
    v += r->pp != PP_ANY ? 400 : 0;
    v += mod_rule(r) ? 40 : 0;
    v += (r->attr & (A_W0 | A_W1)) ? 8 : 0;
    v += (r->attr & (A_L0 | A_L1)) ? 4 : 0;
    v += (r->attr & (A_I64 | A_O64)) ? 2 : 0;
    v += r->feature == FEAT_only86 ? 10000 : 0;
    v -= r->feature == FEAT_i286 || r->feature == FEAT_i386 ? 1 : 0; /* where later ones differ */
    return v;
}

static int disjoint_bits(const struct row *a, const struct row *b, unsigned x, unsigned y)
{
    return ((a->attr & x) && (b->attr & y)) || ((a->attr & y) && (b->attr & x));
}

/* Can both rows match the same instruction? */
static int overlap(const struct row *a, const struct row *b)
{
    if (a->reg != NOREG && b->reg != NOREG && a->reg != b->reg) {
        return 0;
    }
    if (a->pp != PP_ANY && b->pp != PP_ANY && a->pp != b->pp) {
        return 0;
    }
    if (mod_rule(a) && mod_rule(b) && mod_rule(a) != mod_rule(b)) {
        return 0;
    }
    return !disjoint_bits(a, b, A_W0, A_W1) && !disjoint_bits(a, b, A_L0, A_L1) &&
           !disjoint_bits(a, b, A_I64, A_O64);
}

/* The opcodes a row stands for. */
static int covers(const struct row *r, unsigned op)
{
    int span = 0;
    for (int k = 0; k < 4; k++) {
        span |= r->opd[k] == OPD_Zb || r->opd[k] == OPD_Zv;
    }
    return op >= r->op && op < r->op + (span ? 8u : 1u);
}

static int by_rank(const void *x, const void *y)
{
    const struct row *a = &rows[*(const unsigned *)x], *b = &rows[*(const unsigned *)y];
    int d = rank(b) - rank(a);
    return d ? d : (int)(*(const unsigned *)x) - (int)(*(const unsigned *)y);
}

static void emit_rows(void)
{
    for (unsigned k = 0; k < NROWS; k++) {
        printf("extern const struct sem sem_%s;\n", rows[k].sem);
    }
    printf("const struct insn_row insn_rows[] = {\n");
    for (unsigned k = 0; k < NROWS; k++) {
        const struct row *r = &rows[k];
        unsigned attr = r->attr;
        attr |= mod_rule(r) == 1 ? A_MEM : mod_rule(r) == 2 ? A_MOD3 : 0;
        printf("    {\"%s\", &sem_%s, {OPD_%s, OPD_%s, OPD_%s, OPD_%s}, MAP_%s, 0x%x, PP_%s, 0x%x, "
               "FEAT_%s, 0x%x, 0x%x, 0x%x, 0x%xu, %s},\n",
               r->name, r->sem, r->opd_text[0], r->opd_text[1], r->opd_text[2], r->opd_text[3],
               r->map_text, r->op, r->pp_text, r->reg, r->feature_text, flag_bits(r, r->reads),
               flag_bits(r, r->writes) | flag_bits(r, r->undef), flag_bits(r, r->undef), attr,
               wants_modrm(r) ? "true" : "false");
    }
    printf("};\nconst unsigned insn_row_count = %u;\n", (unsigned)NROWS);
}

static void emit_chains(void)
{
    static unsigned head[MAP_COUNT][256];
    unsigned pos = 1;
    printf("static const uint16_t chain[] = {\n    0xffff,\n");
    for (unsigned map = 0; map < MAP_COUNT; map++) {
        for (unsigned op = 0; op < 256; op++) {
            unsigned list[NROWS + 1], n = 0;
            for (unsigned k = 0; k < NROWS; k++) {
                if (rows[k].map == map && covers(&rows[k], op)) {
                    list[n++] = k;
                }
            }
            if (!n) {
                continue;
            }
            qsort(list, n, sizeof list[0], by_rank);
            head[map][op] = pos;
            printf("   ");
            for (unsigned k = 0; k < n; k++) {
                printf(" %u,", list[k]);
                for (unsigned j = k + 1; j < n && rank(&rows[list[j]]) == rank(&rows[list[k]]);
                     j++) {
                    if (overlap(&rows[list[k]], &rows[list[j]])) {
                        complain(&rows[list[k]], &rows[list[j]], "equal rank and overlapping");
                    }
                }
            }
            printf(" 0xffff, /* %u:%02x */\n", map, op);
            pos += n + 1;
        }
    }
    printf("};\nstatic const uint16_t chain_head[MAP_COUNT][256] = {\n");
    for (unsigned map = 0; map < MAP_COUNT; map++) {
        printf("    {");
        for (unsigned op = 0; op < 256; op++) {
            printf("%s%u,", op % 16 ? " " : "\n        ", head[map][op]);
        }
        printf("\n    },\n");
    }
    printf("};\n");
}

int main(void)
{
    printf("/* Made by tools/mkdecode.c from cpu/insn_all.def; not edited. */\n");
    emit_rows();
    emit_chains();
    return failed;
}
