/*
 * The target description and the order of registers.
 *
 * gdb numbers registers in the order in which the description has them, and knows those of its
 * standard features by name (gdb manual, G.5.6 "i386 Features": org.gnu.gdb.i386.core, .sse, .avx,
 * .segments). Everything else is in a feature of our own; gdb shows it with "info registers
 * system".
 *
 * "rip" or "eip" is the linear address of the next instruction (register "pc"): gdb compares it
 * with addresses of breakpoints and reads memory there. Where CS has a base, the offset is $rip -
 * $cs_base.
 */
#include "frontends/gdb_regs.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
} arches[GDB_ARCHES] = {{"i8086"}, {"i386"}, {"i386:x86-64"}};

const char *gdb_arch_name(enum gdb_arch a)
{
    return arches[a].name;
}

static void say(struct gdb_regs *g, const char *text)
{
    size_t old = g->xml ? strlen(g->xml) : 0, n = strlen(text);
    g->xml = realloc(g->xml, old + n + 1);
    if (!g->xml) {
        abort();
    }
    memcpy(g->xml + old, text, n + 1);
}

/* A register called `name` by gdb: bytes [skip, skip + have) of ours called `from`. */
static void add(struct gdb_regs *g, const char *name, const char *from, unsigned bits,
                const char *type, const char *group, unsigned skip)
{
    char text[256];
    unsigned ours;
    int reg = doppel_reg_find(from);
    assert(reg >= 0 && g->n < GDB_REGS_MAX);
    doppel_reg_name((unsigned)reg, &ours);
    unsigned size = bits / 8, have = ours / 8 - skip;
    g->r[g->n++] = (struct gdb_reg){(unsigned)reg, skip, have < size ? have : size, size};
    snprintf(text, sizeof text, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\"%s%s%s/>\n", name, bits,
             type, group ? " group=\"" : "", group ? group : "", group ? "\"" : "");
    say(g, text);
}

static void feature(struct gdb_regs *g, const char *name)
{
    say(g, "<feature name=\"org.");
    say(g, name);
    say(g, "\">\n");
}

static const char eflags[] =
    "<flags id=\"i386_eflags\" size=\"4\">\n"
    "<field name=\"CF\" start=\"0\" end=\"0\"/><field name=\"\" start=\"1\" end=\"1\"/>\n"
    "<field name=\"PF\" start=\"2\" end=\"2\"/><field name=\"AF\" start=\"4\" end=\"4\"/>\n"
    "<field name=\"ZF\" start=\"6\" end=\"6\"/><field name=\"SF\" start=\"7\" end=\"7\"/>\n"
    "<field name=\"TF\" start=\"8\" end=\"8\"/><field name=\"IF\" start=\"9\" end=\"9\"/>\n"
    "<field name=\"DF\" start=\"10\" end=\"10\"/><field name=\"OF\" start=\"11\" end=\"11\"/>\n"
    "<field name=\"NT\" start=\"14\" end=\"14\"/><field name=\"RF\" start=\"16\" end=\"16\"/>\n"
    "<field name=\"VM\" start=\"17\" end=\"17\"/><field name=\"AC\" start=\"18\" end=\"18\"/>\n"
    "<field name=\"VIF\" start=\"19\" end=\"19\"/><field name=\"VIP\" start=\"20\" end=\"20\"/>\n"
    "<field name=\"ID\" start=\"21\" end=\"21\"/></flags>\n";

static const char vectors[] =
    "<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>\n"
    "<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>\n"
    "<vector id=\"v16i8\" type=\"int8\" count=\"16\"/>\n"
    "<vector id=\"v8i16\" type=\"int16\" count=\"8\"/>\n"
    "<vector id=\"v4i32\" type=\"int32\" count=\"4\"/>\n"
    "<vector id=\"v2i64\" type=\"int64\" count=\"2\"/>\n"
    "<union id=\"vec128\"><field name=\"v4_float\" type=\"v4f\"/>\n"
    "<field name=\"v2_double\" type=\"v2d\"/><field name=\"v16_int8\" type=\"v16i8\"/>\n"
    "<field name=\"v8_int16\" type=\"v8i16\"/><field name=\"v4_int32\" type=\"v4i32\"/>\n"
    "<field name=\"v2_int64\" type=\"v2i64\"/><field name=\"uint128\" type=\"uint128\"/></union>\n";

static void core_general(struct gdb_regs *g, bool wide)
{
    static const char *const narrow[] = {"ax", "cx", "dx", "bx", "sp", "bp", "si", "di"};
    static const char *const long_mode[] = {"ax", "bx", "cx", "dx", "si", "di", "bp", "sp"};
    char name[8], from[8];
    for (unsigned k = 0; k < 8; k++) {
        const char *n = wide ? long_mode[k] : narrow[k];
        bool data = strcmp(n, "sp") == 0 || strcmp(n, "bp") == 0;
        snprintf(name, sizeof name, "%c%s", wide ? 'r' : 'e', n);
        snprintf(from, sizeof from, "r%s", n);
        add(g, name, from, wide ? 64 : 32, data ? "data_ptr" : wide ? "int64" : "int32", NULL, 0);
    }
    for (unsigned k = 8; wide && k < 16; k++) {
        snprintf(name, sizeof name, "r%u", k);
        add(g, name, name, 64, "int64", NULL, 0);
    }
    add(g, wide ? "rip" : "eip", "pc", wide ? 64 : 32, "code_ptr", NULL, 0);
    add(g, "eflags", "eflags", 32, "i386_eflags", NULL, 0);
}

static void core(struct gdb_regs *g, bool wide)
{
    static const char *const segs[] = {"cs", "ss", "ds", "es", "fs", "gs"};
    static const char *const x87[] = {"fctrl", "fstat", "ftag",  "fiseg",
                                      "fioff", "foseg", "fooff", "fop"};
    char name[8];
    feature(g, "gnu.gdb.i386.core");
    say(g, eflags);
    core_general(g, wide);
    for (unsigned k = 0; k < 6; k++) {
        add(g, segs[k], segs[k], 32, "int32", NULL, 0);
    }
    for (unsigned k = 0; k < 8; k++) {
        snprintf(name, sizeof name, "st%u", k);
        add(g, name, name, 80, "i387_ext", NULL, 0);
    }
    for (unsigned k = 0; k < 8; k++) {
        add(g, x87[k], x87[k], 32, "int", "float", 0);
    }
    say(g, "</feature>\n");
}

static void vector(struct gdb_regs *g, bool wide, bool avx)
{
    unsigned n = wide ? 16 : 8;
    char name[8], from[8];
    feature(g, "gnu.gdb.i386.sse");
    say(g, vectors);
    for (unsigned k = 0; k < n; k++) {
        snprintf(name, sizeof name, "xmm%u", k);
        add(g, name, name, 128, "vec128", NULL, 0);
    }
    add(g, "mxcsr", "mxcsr", 32, "int", "vector", 0);
    say(g, "</feature>\n");
    if (!avx) {
        return;
    }
    feature(g, "gnu.gdb.i386.avx");
    for (unsigned k = 0; k < n; k++) {
        snprintf(name, sizeof name, "ymm%uh", k);
        snprintf(from, sizeof from, "ymm%u", k);
        add(g, name, from, 128, "uint128", NULL, 16);
    }
    say(g, "</feature>\n");
}

static const char system_types[] =
    "<flags id=\"cr0_type\" size=\"8\"><field name=\"PE\" start=\"0\" end=\"0\"/>\n"
    "<field name=\"MP\" start=\"1\" end=\"1\"/><field name=\"EM\" start=\"2\" end=\"2\"/>\n"
    "<field name=\"TS\" start=\"3\" end=\"3\"/><field name=\"ET\" start=\"4\" end=\"4\"/>\n"
    "<field name=\"NE\" start=\"5\" end=\"5\"/><field name=\"WP\" start=\"16\" end=\"16\"/>\n"
    "<field name=\"AM\" start=\"18\" end=\"18\"/><field name=\"NW\" start=\"29\" end=\"29\"/>\n"
    "<field name=\"CD\" start=\"30\" end=\"30\"/><field name=\"PG\" start=\"31\" end=\"31\"/>\n"
    "</flags>\n"
    "<flags id=\"efer_type\" size=\"8\"><field name=\"SCE\" start=\"0\" end=\"0\"/>\n"
    "<field name=\"LME\" start=\"8\" end=\"8\"/><field name=\"LMA\" start=\"10\" end=\"10\"/>\n"
    "<field name=\"NXE\" start=\"11\" end=\"11\"/></flags>\n";

static void system_regs(struct gdb_regs *g, bool wide)
{
    static const char *const base[] = {"cs_base", "ss_base", "ds_base", "es_base"};
    static const char *const control[] = {"cr2", "cr3", "cr4", "cr8"};
    if (wide) {
        feature(g, "gnu.gdb.i386.segments");
        add(g, "fs_base", "fs_base", 64, "int", NULL, 0);
        add(g, "gs_base", "gs_base", 64, "int", NULL, 0);
        say(g, "</feature>\n");
    }
    feature(g, "doppel.i386.system");
    say(g, system_types);
    if (!wide) {
        add(g, "fs_base", "fs_base", 64, "int64", "system", 0);
        add(g, "gs_base", "gs_base", 64, "int64", "system", 0);
    }
    add(g, "k_gs_base", "k_gs_base", 64, "int64", "system", 0);
    for (unsigned k = 0; k < 4; k++) {
        add(g, base[k], base[k], 64, "int64", "system", 0);
    }
    add(g, "cr0", "cr0", 64, "cr0_type", "system", 0);
    for (unsigned k = 0; k < 4; k++) {
        add(g, control[k], control[k], 64, "int64", "system", 0);
    }
    add(g, "efer", "efer", 64, "efer_type", "system", 0);
    say(g, "</feature>\n");
}

void gdb_regs_init(struct gdb_regs *g, enum gdb_arch arch, bool avx)
{
    *g = (struct gdb_regs){.n = 0};
    say(g, "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n<target>\n"
           "<architecture>");
    say(g, gdb_arch_name(arch));
    say(g, "</architecture>\n");
    core(g, arch == GDB_X86_64);
    vector(g, arch == GDB_X86_64, avx);
    system_regs(g, arch == GDB_X86_64);
    say(g, "</target>\n");
}

void gdb_regs_fini(struct gdb_regs *g)
{
    free(g->xml);
    g->xml = NULL;
}
