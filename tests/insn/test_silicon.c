/*
 * Every test of ../shared/silicon on the CPU models 8086 and 286: states captured from real chips.
 *
 * Compared: all registers, flags, and all of memory. Not compared: the flags that the processor's
 * manual leaves undefined (for the 8086 those that 8086/metadata.json names, for the 80286 those
 * that the instruction table names), also in the image that an exception pushes; flags bits 12 to
 * 15 of the 80286 (README). Tests named in the revocation list are skipped; tests that doppel
 * answers differently on purpose stand in `exceptions` below with the reason, and fail if they
 * begin to pass.
 *
 * T_SILICON=80286/F7.6 limits a run to one file.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "cpu/cpu.h"
#include "cpu/flags.h"
#include "cpu/insn.h"
#include "cpu/sys.h"
#include "tests/insn/moo.h"
#include "tests/lib/bare.h"
#include "tests/t.h"

#define RAM_BYTES (2u << 20)
#define STEPS_MAX 200000 /* REP with CX = 65535 and what follows */

enum chip { CHIP_8086, CHIP_286 };
static const char *const chip_dir[] = {"8086", "80286"};

/* Known differences: file, place in it or ~0 for the whole file, why. */
struct exception {
    const char *file;
    uint32_t place;
    const char *why;
};
static const struct exception exceptions[] = {
    {"none", 0, "none so far"},
};

/* ---- lists of the data set ---- */
static char *read_text(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/../shared/silicon/%s", T_SRCDIR, name);
    FILE *fp = fopen(path, "rb");
    if (!fp) {
        return NULL;
    }
    char *s = calloc(1, 1u << 20);
    if (!s) {
        abort();
    }
    size_t n = fread(s, 1, (1u << 20) - 1, fp);
    s[n] = 0;
    fclose(fp);
    return s;
}

/* flags-mask of an opcode ("F7", modrm.reg or -1) in metadata.json; all ones if it names none. The
 * file has one key to a line and two spaces or more of indentation a level; this looks for the
 * opcode's key, then inside its braces for the group's key, then for the mask. */
static uint16_t metadata_mask(const char *json, const char *op, int reg)
{
    char key[16];
    snprintf(key, sizeof key, "\"%s\": {", op);
    const char *p = json ? strstr(json, key) : NULL;
    if (!p) {
        return 0xffff;
    }
    p = strchr(p, '{');
    const char *end = p;
    for (int depth = 0; *end; end++) {
        depth += *end == '{' ? 1 : *end == '}' ? -1 : 0;
        if (depth == 0) {
            break;
        }
    }
    if (reg >= 0) {
        snprintf(key, sizeof key, "\"%d\": {", reg);
        p = strstr(p, key);
        if (!p || p > end) {
            return 0xffff;
        }
        end = strchr(p, '}');
    }
    p = strstr(p, "\"flags-mask\":");
    return p && p < end ? (uint16_t)strtoul(p + 13, NULL, 10) : 0xffff;
}

/* ---- one test ---- */
struct run {
    struct bare *b;
    struct ram held; /* one page, so that the host memory of b's stays while each test drops all */
    enum chip chip;
    const char *file;   /* "F7.6" */
    uint16_t file_mask; /* of the 8086's metadata */
    uint8_t *expect;    /* RAM_BYTES */
    unsigned long passed, failed, skipped, file_failed;
};

static void poke(struct run *r, const struct moo_byte *m)
{
    ram_write(&r->b->ram, m->addr % RAM_BYTES, &m->val, 1);
}

static void load_state(struct run *r, const struct moo_state *s)
{
    static const uint8_t gpr[8] = {MOO_AX, MOO_CX, MOO_DX, MOO_BX, MOO_SP, MOO_BP, MOO_SI, MOO_DI};
    static const uint8_t seg[4] = {MOO_ES, MOO_CS, MOO_SS, MOO_DS};
    struct cpu *cpu = r->b->cpu;
    dev_reset_all(&r->b->env, RESET_COLD);
    ram_drop_all(&r->b->ram);
    block_cache_flush(r->b->blocks);
    for (unsigned k = 0; k < s->nram; k++) {
        poke(r, &s->ram[k]);
    }
    for (unsigned k = 0; k < 8; k++) {
        cpu->s.gpr[k] = s->reg[gpr[k]];
    }
    for (unsigned k = 0; k < 4; k++) {
        seg_load_real(cpu, k, s->reg[seg[k]]);
    }
    cpu->s.rip = s->reg[MOO_IP];
    cpu->s.rflags = (s->reg[MOO_FLAGS] & 0xfd5u) | FL_1;
    cpu_restored(cpu);
}

static bool is_rep_string(const struct moo_test *t)
{
    bool rep = false;
    for (unsigned k = 0; k < t->nbytes; k++) {
        uint8_t b = t->bytes[k];
        if (b == 0xf2 || b == 0xf3) {
            rep = true;
        } else if ((b & 0xe7) != 0x26 && (b & 0xfe) != 0xf0) {
            return rep && ((b >= 0xa4 && b <= 0xa7) || (b >= 0xaa && b <= 0xaf));
        }
    }
    return false;
}

/* Execute the test's instruction: the 80286 goes on to the HLT behind it (or in a handler). */
static void execute(struct run *r, const struct moo_test *t)
{
    struct cpu *cpu = r->b->cpu;
    if (r->chip == CHIP_286) {
        bare_run(r->b, STEPS_MAX, 0);
        return;
    }
    bool rep = is_rep_string(t);
    for (unsigned k = 0; k < STEPS_MAX; k++) {
        bare_run(r->b, 1, 0);
        if (!rep || cpu->s.rip != t->init.reg[MOO_IP]) {
            break;
        }
    }
}

/* Undefined flags of the test's instruction. */
static uint16_t flag_mask(const struct run *r, const struct moo_test *t)
{
    if (r->chip == CHIP_8086) {
        return r->file_mask;
    }
    struct insn in;
    struct decode_in d = {.bytes = t->bytes, .avail = t->nbytes, .features = r->b->cpu->features};
    uint16_t mask = 0x0fff;
    if (insn_decode(&d, &in) == DECODE_OK) {
        mask &= (uint16_t)~insn_rows[in.row].undef;
    }
    return mask;
}

static uint16_t final_reg(const struct moo_test *t, unsigned reg)
{
    return t->fina.has >> reg & 1 ? t->fina.reg[reg] : t->init.reg[reg];
}

static uint16_t actual_reg(const struct cpu *cpu, unsigned reg)
{
    switch (reg) {
    case MOO_AX:
        return (uint16_t)cpu->s.gpr[REG_RAX];
    case MOO_BX:
        return (uint16_t)cpu->s.gpr[REG_RBX];
    case MOO_CX:
        return (uint16_t)cpu->s.gpr[REG_RCX];
    case MOO_DX:
        return (uint16_t)cpu->s.gpr[REG_RDX];
    case MOO_CS:
        return cpu->s.seg[SEG_CS].sel;
    case MOO_SS:
        return cpu->s.seg[SEG_SS].sel;
    case MOO_DS:
        return cpu->s.seg[SEG_DS].sel;
    case MOO_ES:
        return cpu->s.seg[SEG_ES].sel;
    case MOO_SP:
        return (uint16_t)cpu->s.gpr[REG_RSP];
    case MOO_BP:
        return (uint16_t)cpu->s.gpr[REG_RBP];
    case MOO_SI:
        return (uint16_t)cpu->s.gpr[REG_RSI];
    case MOO_DI:
        return (uint16_t)cpu->s.gpr[REG_RDI];
    case MOO_IP:
        return (uint16_t)cpu->s.rip;
    default:
        return (uint16_t)(flags_get(cpu) | (cpu_has(cpu, FEAT_i286) ? 0 : 0xf000));
    }
}

static const char *const reg_names[MOO_REGS] = {"ax", "bx", "cx", "dx", "cs", "ss", "ds",
                                                "es", "sp", "bp", "si", "di", "ip", "flags"};

/* Compare; writes the first difference to `why`. */
static bool compare_regs(const struct run *r, const struct moo_test *t, uint16_t mask, char *why,
                         size_t size)
{
    for (unsigned k = 0; k < MOO_REGS; k++) {
        uint16_t want = final_reg(t, k), got = actual_reg(r->b->cpu, k);
        uint16_t m = k == MOO_FLAGS ? mask : 0xffff;
        if ((want ^ got) & m) {
            snprintf(why, size, "%s is %04x, silicon has %04x (compared: %04x)", reg_names[k], got,
                     want, m);
            return false;
        }
    }
    return true;
}

/* Where the instruction's exception pushed its flags image; ~0: there was none. */
static uint32_t pushed_flags(const struct run *r, const struct moo_test *t)
{
    bool may_divide =
        !strncmp(r->file, "F6", 2) || !strncmp(r->file, "F7", 2) || !strncmp(r->file, "D4", 2);
    if (t->has_exc || (r->chip == CHIP_8086 && may_divide && t->fina.has >> MOO_CS & 1)) {
        uint16_t sp = (uint16_t)(final_reg(t, MOO_SP) + 4);
        uint32_t at = (uint32_t)final_reg(t, MOO_SS) * 16 + sp; /* EXCP has it rounded down */
        return r->chip == CHIP_8086 ? at & 0xfffff : at;
    }
    return ~0u;
}

static bool compare_ram(const struct run *r, const struct moo_test *t, uint16_t mask, char *why,
                        size_t size)
{
    uint32_t at = pushed_flags(r, t);
    bool named[RAM_BYTES / 4096] = {false};
    for (unsigned k = 0; k < t->init.nram; k++) {
        uint32_t a = t->init.ram[k].addr % RAM_BYTES;
        r->expect[a] = t->init.ram[k].val;
        named[a / 4096] = true;
    }
    for (unsigned k = 0; k < t->fina.nram; k++) {
        uint32_t a = t->fina.ram[k].addr % RAM_BYTES;
        r->expect[a] = t->fina.ram[k].val;
        named[a / 4096] = true;
    }
    bool ok = true;
    for (uint64_t pfn = 0; pfn < RAM_BYTES / 4096 && ok; pfn++) {
        if (!named[pfn] && !r->b->ram.page[pfn]) {
            continue; /* never written, nothing expected: zeros both */
        }
        const uint8_t *got = ram_read_ptr(&r->b->ram, pfn), *want = r->expect + pfn * 4096;
        if (!memcmp(got, want, 4096)) {
            continue;
        }
        for (uint32_t off = 0; off < 4096 && ok; off++) {
            uint32_t a = (uint32_t)(pfn * 4096 + off);
            uint8_t m = a == at ? (uint8_t)mask : a == at + 1 ? (uint8_t)(mask >> 8) : 0xff;
            if ((got[off] ^ want[off]) & m) {
                snprintf(why, size, "byte at %05x is %02x, silicon has %02x (compared: %02x)", a,
                         got[off], want[off], m);
                ok = false;
            }
        }
    }
    for (unsigned k = 0; k < t->init.nram; k++) {
        r->expect[t->init.ram[k].addr % RAM_BYTES] = 0;
    }
    for (unsigned k = 0; k < t->fina.nram; k++) {
        r->expect[t->fina.ram[k].addr % RAM_BYTES] = 0;
    }
    return ok;
}

static const char *excepted(const struct run *r, const struct moo_test *t)
{
    char full[64];
    snprintf(full, sizeof full, "%s/%s", chip_dir[r->chip], r->file);
    for (size_t k = 0; k < ARRAY_LEN(exceptions); k++) {
        const struct exception *e = &exceptions[k];
        if (!strcmp(e->file, full) && (e->place == ~0u || e->place == t->place)) {
            return e->why;
        }
    }
    return NULL;
}

static void one_test(struct run *r, const struct moo_test *t)
{
    char why[160] = "";
    load_state(r, &t->init);
    uint16_t mask = flag_mask(r, t);
    execute(r, t);
    cpu_sync(r->b->cpu);
    bool ok = compare_regs(r, t, mask, why, sizeof why);
    ok = compare_ram(r, t, mask, ok ? why : (char[160]){0}, sizeof why) && ok;
    const char *known = excepted(r, t);
    if (known) {
        r->skipped++;
        return;
    }
    if (ok) {
        r->passed++;
        return;
    }
    r->failed++;
    static const char digits[] = "0123456789abcdef";
    char hex[2 * 32 + 1] = "";
    for (unsigned k = 0; k < t->nbytes; k++) {
        hex[2 * k] = digits[t->bytes[k] >> 4];
        hex[2 * k + 1] = digits[t->bytes[k] & 15];
    }
    if (r->file_failed++ < 3) {
        printf("%s/%s test %u: %s [%s]: %s; repeat: T_SILICON=%s/%s tests/insn/test_silicon\n",
               chip_dir[r->chip], r->file, t->place, t->name, hex, why, chip_dir[r->chip], r->file);
    }
}

static void one_file(struct run *r, const char *path, const char *revoked)
{
    static struct moo_test t;
    struct moo_file f;
    bool bad;
    if (!moo_open(&f, path)) {
        FAIL("%s: unreadable or not a MOO file", path);
        r->failed++;
        return;
    }
    /* All of them in CI's main build; a tenth in quick runs and cross builds. */
    uint64_t stride = t_amount(10, 1, 1);
    for (uint64_t n = 0; moo_next(&f, &t, &bad); n++) {
        if (n % stride != 0) {
            continue;
        }
        if (revoked && t.hash[0] && strstr(revoked, t.hash)) {
            r->skipped++;
        } else {
            one_test(r, &t);
        }
    }
    if (bad) {
        FAIL("%s: malformed", path);
        r->failed++;
    }
    moo_close(&f);
}

static void all_files(enum chip chip)
{
    char path[512];
    char *revoked = read_text(chip == CHIP_286 ? "80286/revocation_list.txt" : "README");
    char *json = read_text("8086/metadata.json");
    if (!revoked || !json) {
        SKIP("no ../shared/silicon");
        free(revoked);
        free(json);
        return;
    }
    const char *only = getenv("T_SILICON");
    struct run r = {.chip = chip, .b = bare_new(chip == CHIP_286 ? "286" : "8086", RAM_BYTES)};
    r.expect = calloc(1, RAM_BYTES);
    if (!r.expect || !ram_init(&r.held, RAM_BYTES)) {
        abort();
    }
    ram_write(&r.b->ram, 0, "", 1);
    ram_fork(&r.held, &r.b->ram);
    for (unsigned k = 0; k < 256 * 9; k++) {
        char op[8], file[16], full[32];
        unsigned reg = k % 9;
        snprintf(op, sizeof op, "%02X", k / 9);
        snprintf(file, sizeof file, reg == 8 ? "%s" : "%s.%u", op, reg);
        snprintf(full, sizeof full, "%s/%s", chip_dir[chip], file);
        snprintf(path, sizeof path, "%s/../shared/silicon/%s.MOO.gz", T_SRCDIR, full);
        FILE *fp = fopen(path, "rb");
        if (!fp || (only && strcmp(only, full))) {
            if (fp) {
                fclose(fp);
            }
            continue;
        }
        fclose(fp);
        r.file = file;
        r.file_mask = metadata_mask(json, op, reg == 8 ? -1 : (int)reg);
        r.file_failed = 0;
        one_file(&r, path, chip == CHIP_286 ? revoked : NULL);
        if (r.file_failed) {
            FAIL("%s/%s: %lu tests differ from the chip", chip_dir[chip], file, r.file_failed);
        }
    }
    ram_fini(&r.held);
    bare_free(r.b);
    free(r.expect);
    free(revoked);
    free(json);
    t_cases(r.passed, r.failed, r.skipped);
}

TEST(silicon_8086)
{
    all_files(CHIP_8086);
}

TEST(silicon_286)
{
    all_files(CHIP_286);
}
