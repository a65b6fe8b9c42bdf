/*
 * Every user-mode row of the instruction table against the host's own CPU, in 64, 32 and 16-bit
 * code: registers, flags, memory, x87 and vector state, faults with error code and address.
 *
 * Flags that a row leaves undefined are not compared with the host but with doppel's documented
 * policy (docs/undefined-flags.md), which `policies` below restates. The transcendental x87
 * functions and the reciprocal estimates are doppel's own on every host and are compared within
 * their tolerance. x87 pointers (FIP, FDP, FOP) are not compared: hosts keep them differently.
 *
 * Two processes share the work. T_SEED chooses the cases (default 1), T_LEVEL how many,
 * T_CASES=n an exact number; T_CASE=n runs that one case, and every failure prints its own.
 * T_UNDEF=1 compares undefined flags with the host too, to see what hosts do.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/insn/oracle.h"
#include "util/bits.h"

#define WORKERS      2
#define FAILURES_MAX 40 /* printed, in each worker */
#define ROWS_MAX     4096

static const char *const mode_names[OR_MODES] = {"64", "32", "16"};
static const char *const gpr_names[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                          "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};

/* Shared between the workers and their parent. */
struct totals {
    uint64_t passed, failed, skipped;
};

struct oracle {
    uint64_t seed;
    uint8_t template[OR_BYTES];
    unsigned rows[ROWS_MAX], nrows, rows_excluded, rows_host_lacks;
    bool undef_too;
    struct totals *t;
    uint8_t row_failed[ROWS_MAX][OR_MODES];
    unsigned printed;
};

/* ---- policy for undefined flags ---- */
/* For O S Z A P C in this order: 0 cleared, = kept, r by the result's value (S, Z, P), . by a
 * formula that is tested elsewhere or defined here. */
static const struct policy {
    const char *name, *flags;
} policies[] = {
    // clang-format off
    {"or",   "...0.."}, {"and",  "...0.."}, {"xor",   "...0.."}, {"test",  "...0.."},
    {"bls",  "...0.."}, {"bzhi", "...0.."}, {"bextr", "...0.."},
    {"shl",  "...0.."}, {"shr",  "...0.."}, {"sar",   "...0.."},
    {"mul",  "...0.."}, {"imul", "...0.."}, {"div",   "======"}, {"idiv",  "======"},
    {"bsf",  "==.==="}, {"bsr",  "==.==="}, {"tzcnt", "==.==."}, {"lzcnt", "==.==."},
    {"bt",   "==.==."}, {"daa",  "0....."}, {"das",   "0....."}, {"aaa",   "0....."},
    {"aas",  "0....."}, {"aam",  "0..0.0"}, {"aad",   "0..0.0"},
    // clang-format on
};

static const char flag_order[] = "OSZAPC";
static const uint32_t flag_bits[] = {0x800, 0x80, 0x40, 0x10, 0x4, 0x1};

static bool policy_holds(const struct insn_row *row, uint32_t undef, const struct or_case *c,
                         const struct or_result *d, char *why, size_t size)
{
    for (size_t p = 0; p < ARRAY_LEN(policies); p++) {
        if (strncmp(row->name, policies[p].name, strlen(policies[p].name))) {
            continue;
        }
        for (unsigned k = 0; k < 6; k++) {
            char want = policies[p].flags[k];
            bool got = d->out.flags & flag_bits[k], old = c->in.flags & flag_bits[k];
            if ((undef & flag_bits[k]) && ((want == '0' && got) || (want == '=' && got != old))) {
                snprintf(why, size, "undefined %cF is %d, the policy has %s", flag_order[k], got,
                         want == '0' ? "0" : "the old value");
                return false;
            }
        }
    }
    return true;
}

/* The flags that this case leaves undefined: of a shift it depends on the count. */
static uint32_t undefined_flags(const struct or_case *c, const struct insn_row *row)
{
    const struct insn *i = or_doppel_insn();
    bool is_double = !strcmp(row->name, "shld") || !strcmp(row->name, "shrd");
    bool is_shift = is_double || !strcmp(row->name, "shl") || !strcmp(row->name, "shr") ||
                    !strcmp(row->name, "sar");
    bool is_rotate = !strncmp(row->name, "ro", 2) || !strncmp(row->name, "rc", 2);
    if ((!is_shift && !is_rotate) || row->map >= MAP_V0F || !(row->undef & 0x800)) {
        return row->undef;
    }
    bool by_cl = row->opd[1] == OPD_CL || row->opd[2] == OPD_CL;
    unsigned n = (unsigned)(by_cl ? c->in.gpr[1] : (uint64_t)i->imm) & (i->w == 8 ? 63 : 31);
    if (n == 0) {
        return 0;
    }
    uint32_t undef = row->undef & ~(n == 1 ? 0x801u : 1u);
    if (n > 8u * i->w) {
        undef |= is_double ? 0x8d5 : is_shift ? 1 : 0;
    }
    return n == 8u * i->w && is_shift ? undef | 1 : undef;
}

/* ---- comparison ---- */
static bool row_is(const struct insn_row *row, const char *const *names)
{
    for (; *names; names++) {
        if (!strcmp(row->name, *names)) {
            return true;
        }
    }
    return false;
}

static bool is_transcendental(const struct insn_row *row)
{
    static const char *const names[] = {"fsin",  "fcos",  "fsincos", "fptan", "fpatan",
                                        "f2xm1", "fyl2x", "fyl2xp1", NULL};
    return row_is(row, names);
}

static bool is_estimate(const struct insn_row *row)
{
    return strstr(row->name, "rcpps") || strstr(row->name, "rcpss") ||
           strstr(row->name, "rsqrtps") || strstr(row->name, "rsqrtss");
}

/* Within 1.5 * 2^-12 of each other, or both special (SDM 2B, RCPPS). */
static bool close_f32(uint32_t a, uint32_t b)
{
    float x, y;
    if (a == b) {
        return true;
    }
    memcpy(&x, &a, 4);
    memcpy(&y, &b, 4);
    float d = x > y ? x - y : y - x, m = y < 0 ? -y : y;
    return d <= m * 0.00075f;
}

static bool close_f80(const struct or_state *a, const struct or_state *b, unsigned k)
{
    if (a->st_se[k] == b->st_se[k]) {
        uint64_t d = a->st_m[k] - b->st_m[k];
        return d + 2 <= 4;
    }
    return (uint16_t)(a->st_se[k] - b->st_se[k] + 1) <= 2 && a->st_m[k] + 2 <= 4 + b->st_m[k] * 2;
}

static bool same_x87(const struct insn_row *row, const struct or_state *h, const struct or_state *d,
                     char *why, size_t size)
{
    bool loose = is_transcendental(row);
    /* C1 and PE follow the last bit; FCOMI clears C1 on Intel's, keeps it on AMD's processors. */
    uint16_t sw = loose ? 0xfddf : strstr(row->name, "comi") ? 0xfdff : 0xffff;
    if (loose && !(h->fcw & 0x20)) {
        sw &= 0x7f7f; /* ES and B follow PE where it is not masked */
    }
    if (h->fcw != d->fcw || ((h->fsw ^ d->fsw) & sw) || h->ftw != d->ftw) {
        snprintf(why, size, "fcw/fsw/ftw %04x %04x %02x, host %04x %04x %02x", d->fcw, d->fsw,
                 d->ftw, h->fcw, h->fsw, h->ftw);
        return false;
    }
    for (unsigned k = 0; k < 8; k++) {
        if ((h->st_m[k] != d->st_m[k] || h->st_se[k] != d->st_se[k]) &&
            !(loose && close_f80(h, d, k))) {
            snprintf(why, size, "st%u %04x:%016llx, host %04x:%016llx", k, d->st_se[k],
                     (unsigned long long)d->st_m[k], h->st_se[k], (unsigned long long)h->st_m[k]);
            return false;
        }
    }
    return true;
}

static bool same_vectors(const struct insn_row *row, const struct or_state *h,
                         const struct or_state *d, char *why, size_t size)
{
    for (unsigned k = 0; k < 16; k++) {
        for (unsigned w = 0; w < 4; w++) {
            uint64_t x = h->ymm[k][w], y = d->ymm[k][w];
            bool close = is_estimate(row) && close_f32((uint32_t)x, (uint32_t)y) &&
                         close_f32((uint32_t)(x >> 32), (uint32_t)(y >> 32));
            if (x != y && !close) {
                snprintf(why, size, "ymm%u word %u %016llx, host %016llx", k, w,
                         (unsigned long long)y, (unsigned long long)x);
                return false;
            }
        }
    }
    if (h->mxcsr != d->mxcsr) {
        snprintf(why, size, "mxcsr %04x, host %04x", d->mxcsr, h->mxcsr);
        return false;
    }
    return true;
}

static bool same_registers(const struct or_case *c, const struct or_state *h,
                           const struct or_state *d, uint32_t fl, char *why, size_t size)
{
    uint64_t mask = c->mode == OR_MODE64 ? UINT64_MAX : UINT32_MAX;
    for (unsigned k = 0; k < (c->mode == OR_MODE64 ? 16u : 8u); k++) {
        if ((h->gpr[k] ^ d->gpr[k]) & mask) {
            snprintf(why, size, "%s %016llx, host %016llx", gpr_names[k],
                     (unsigned long long)d->gpr[k], (unsigned long long)h->gpr[k]);
            return false;
        }
    }
    if ((h->rip ^ d->rip) & mask) {
        snprintf(why, size, "rip %016llx, host %016llx", (unsigned long long)d->rip,
                 (unsigned long long)h->rip);
        return false;
    }
    if ((h->flags ^ d->flags) & fl) {
        snprintf(why, size, "flags %04x, host %04x (compared: %04x)", d->flags & 0xfff,
                 h->flags & 0xfff, fl);
        return false;
    }
    return true;
}

/* Some hosts commit a part of these before they fault; MASKMOV may fault for bytes it does not
 * write (SDM 2B). Then only the fault itself can be compared. */
static bool faults_loosely(const struct insn_row *row)
{
    static const char *const names[] = {
        "pusha",   "popa",   "enter",  "maskmovq", "maskmovdqu", "vmaskmovdqu",
        "fnstenv", "fnsave", "fldenv", "frstor",   NULL,
    };
    return row_is(row, names);
}

/* Where two faults are due, hosts differ in which comes first: CMPS's two operands, a call's stack
 * and target. */
static bool order_differs(const struct insn_row *row, const struct or_result *h,
                          const struct or_result *d)
{
    if (!strcmp(row->name, "cmps")) {
        return h->vector == d->vector;
    }
    if (!strcmp(row->name, "call")) {
        return d->vector == 13 && (h->vector == 14 || h->vector == 12);
    }
    if (faults_loosely(row)) { /* which byte first; the limit or the page */
        bool pages = h->vector == 14 && d->vector == 14;
        return pages ? h->err == d->err && (h->cr2 ^ d->cr2) < 256
                     : h->vector == 14 && (d->vector == 12 || d->vector == 13);
    }
    if (h->fault && d->fault &&
        row->attr & (A_SSE | A_AVX)) { /* misaligned and beyond the limit of SS */
        return d->vector == 12 && h->vector == 13;
    }
    return false;
}

static bool same_fault(const struct insn_row *row, struct or_result *h, const struct or_result *d,
                       char *why, size_t size)
{
    bool same = h->fault == d->fault;
    if (same && h->fault) {
        /* The host's kernel reports faults in its own half as rights violations. */
        h->err &= h->vector == 14 && h->cr2 >= UINT64_C(0x7ffffffff000) ? ~1u : ~0u;
        same = h->vector == d->vector && h->err == d->err && (h->vector != 14 || h->cr2 == d->cr2);
        same = same || order_differs(row, h, d);
    }
    if (!same) {
        snprintf(why, size, "%s %u err %x cr2 %llx, host %s %u err %x cr2 %llx",
                 d->fault ? "fault" : "no fault", d->vector, d->err, (unsigned long long)d->cr2,
                 h->fault ? "fault" : "no fault", h->fault ? h->vector : 0, h->fault ? h->err : 0,
                 (unsigned long long)(h->fault ? h->cr2 : 0));
    }
    return same;
}

static bool same_memory(char *why, size_t size)
{
    for (unsigned p = 0; p <= OR_PAGES; p++) {
        const uint8_t *h = or_native_mem() + 4096u * p, *d = or_doppel_page(p);
        if (!memcmp(h, d, 4096)) {
            continue;
        }
        for (unsigned k = 0; k < 4096; k++) {
            if (h[k] != d[k]) {
                snprintf(why, size, "byte at data+%x %02x, host %02x", 4096 * p + k, d[k], h[k]);
                return false;
            }
        }
    }
    return true;
}

/* FNSTENV and FNSAVE: the pointers that hosts keep differently are taken over from the host. */
static void copy_x87_pointers(const struct or_case *c, const struct insn_row *row)
{
    static const char *const names[] = {"fnstenv", "fstenv", "fnsave", "fsave", NULL};
    if (!row_is(row, names)) {
        return;
    }
    for (uint64_t k = c->patch_at + 6; k < c->patch_at + 28 && k < OR_BYTES; k++) {
        or_doppel_page((unsigned)(k / 4096))[k % 4096] = or_native_mem()[k];
    }
}

/* ---- one case ---- */
static void print_case(const struct or_case *c)
{
    printf("  in:");
    for (unsigned k = 0; k < (c->mode == OR_MODE64 ? 16u : 8u); k++) {
        printf(" %s=%llx", gpr_names[k], (unsigned long long)c->in.gpr[k]);
    }
    printf(" flags=%x mxcsr=%x fcw=%x fsw=%x ftw=%x\n  operand at data+%llx:", c->in.flags,
           c->in.mxcsr, c->in.fcw, c->in.fsw, c->in.ftw, (unsigned long long)c->patch_at);
    for (unsigned k = 0; k < 32; k++) {
        printf(" %02x", c->patch[k]);
    }
    printf("\n");
    for (unsigned k = 0; getenv("T_CASE") && k < 16; k++) {
        printf("  ymm%u %016llx %016llx %016llx %016llx", k, (unsigned long long)c->in.ymm[k][3],
               (unsigned long long)c->in.ymm[k][2], (unsigned long long)c->in.ymm[k][1],
               (unsigned long long)c->in.ymm[k][0]);
        if (k < 8) {
            printf("   st%u %04x:%016llx", k, c->in.st_se[k], (unsigned long long)c->in.st_m[k]);
        }
        printf("\n");
    }
}

static void report(struct oracle *o, const struct or_case *c, const char *why)
{
    const struct insn_row *row = &insn_rows[c->row];
    uint8_t *seen = &o->row_failed[c->row][c->mode];
    *seen = (uint8_t)(*seen < 255 ? *seen + 1 : 255);
    if (*seen > 2 || o->printed >= FAILURES_MAX) {
        return;
    }
    o->printed++;
    printf("%s-bit %s [", mode_names[c->mode], row->name);
    for (unsigned k = 0; k < c->len; k++) {
        printf("%s%02x", k ? " " : "", c->code[k]);
    }
    printf("]: %s\n", why);
    print_case(c);
    printf("  repeat: T_SEED=%llu T_CASE=%llu tests/insn/test_oracle\n",
           (unsigned long long)o->seed, (unsigned long long)c->number);
    fflush(stdout);
}

static void restore_memory(const struct oracle *o)
{
    memcpy(or_native_mem(), o->template, OR_BYTES);
    for (unsigned p = 0; p <= OR_PAGES; p++) {
        memcpy(or_doppel_page(p), o->template + 4096u * p, 4096);
    }
}

static void patch_memory(const struct or_case *c)
{
    for (unsigned k = 0; k < OR_PATCH && c->patch_at + k < OR_BYTES; k++) {
        uint64_t at = c->patch_at + k;
        or_native_mem()[at] = c->patch[k];
        or_doppel_page((unsigned)(at / 4096))[at % 4096] = c->patch[k];
    }
}

/* In a build with the address sanitizer its shadow lies where a case finds nothing in doppel; a
 * case that wrote there would mislead the sanitizer. */
static bool in_shadow(uint64_t la)
{
#if defined(__SANITIZE_ADDRESS__)
    return la >= UINT64_C(0x7fff7000) && la < UINT64_C(0x100080000000);
#else
    (void)la;
    return false;
#endif
}

static void one_case(struct oracle *o, uint64_t number)
{
    struct or_case c;
    struct or_result h, d;
    unsigned row = o->rows[number % o->nrows], mode = (unsigned)(number / o->nrows % OR_MODES);
    char why[200] = "";
    if (!or_native_mode(mode) || !or_generate(&c, o->seed, number, row, mode)) {
        o->t->skipped++;
        return;
    }
    restore_memory(o);
    patch_memory(&c);
    or_doppel_run(&c, &d);
    if (d.fault && d.vector == 14 && in_shadow(d.cr2)) {
        o->t->skipped++;
        return;
    }
    or_native_run(&c, &h);
    /* The row that it decodes to, where prefixes made another instruction of it. */
    unsigned decoded = or_doppel_insn()->row;
    const struct insn_row *r = &insn_rows[decoded < insn_row_count ? decoded : row];
    uint32_t fl = 0xcd5;
    uint32_t undef = undefined_flags(&c, r);
    if (!o->undef_too && !d.fault) {
        fl &= ~undef;
    }
    if (d.fault && r->attr & A_REP) {
        fl = 0; /* of CMPS and SCAS: AMD keeps those of the last iteration, the SDM has none */
    }
    if (strstr(r->name, "comi") && (d.out.fsw & ~d.out.fcw & 3)) {
        fl = 0x400; /* FCOMI, IE or DE not masked: the SDM leaves the flags, AMD's processors set
                       them */
    }
    copy_x87_pointers(&c, r);
    if (undef == 0x8d5 && strncmp(r->name, "sh", 2) == 0) {
        o->t->skipped++; /* SHLD, SHRD beyond 16 bits: the result is undefined too */
        return;
    }
    bool small = (c.in.st_se[0] & 0x7fff) < 16383 - 2;
    if ((d.fault && d.vector == 13 && !strncmp(r->name, "sha", 3)) ||
        (!strcmp(r->name, "fyl2xp1") && !small) || (h.out.mxcsr & 0x20000)) {
        /* SHA, misaligned: AMD's processors take it, the SDM has #GP(0). FYL2XP1 out of range.
         * MXCSR.MM, which AMD's processors have. */
        o->t->skipped++;
        return;
    }
    if ((h.fault || d.fault) && faults_loosely(r)) {
        bool mask = strstr(r->name, "maskmov");
        bool both = h.fault == d.fault && same_fault(r, &h, &d, why, sizeof why);
        o->t->passed += both || mask;
        o->t->failed += !both && !mask;
        if (!both && !mask) {
            report(o, &c, why);
        }
        return;
    }
    bool ok = same_fault(r, &h, &d, why, sizeof why) &&
              same_registers(&c, &h.out, &d.out, fl, why, sizeof why) &&
              same_x87(r, &h.out, &d.out, why, sizeof why) &&
              same_vectors(r, &h.out, &d.out, why, sizeof why) && same_memory(why, sizeof why) &&
              (d.fault || policy_holds(r, undef, &c, &d, why, sizeof why));
    if (ok) {
        o->t->passed++;
    } else {
        o->t->failed++;
        report(o, &c, why);
    }
}

/* ---- all of them ---- */
static void choose_rows(struct oracle *o)
{
    const char *only = getenv("T_ROW");
    for (unsigned k = 0; k < insn_row_count && o->nrows < ROWS_MAX; k++) {
        if (or_row_excluded(&insn_rows[k]) || (only && strcmp(only, insn_rows[k].name))) {
            o->rows_excluded++;
        } else if (!or_native_has(&insn_rows[k])) {
            o->rows_host_lacks++;
        } else {
            o->rows[o->nrows++] = k;
        }
    }
}

static void run_worker(struct oracle *o, unsigned worker, uint64_t cases)
{
    const char *trouble = or_native_init();
    if (trouble) {
        printf("oracle: %s\n", trouble);
        exit(3);
    }
    or_doppel_init();
    or_template(o->template, o->seed);
    const char *one = getenv("T_CASE");
    if (one) {
        one_case(o, strtoull(one, NULL, 0));
    } else {
        for (uint64_t n = worker; n < cases; n += WORKERS) {
            one_case(o, n);
        }
    }
    for (unsigned k = 0; k < ROWS_MAX && o->t->failed; k++) {
        for (unsigned m = 0; m < OR_MODES; m++) {
            if (o->row_failed[k][m] && getenv("T_SUMMARY")) {
                printf("FAILED %s %s-bit: %u\n", insn_rows[k].name, mode_names[m],
                       o->row_failed[k][m]);
            }
        }
    }
    fflush(stdout);
    _exit(0);
}

TEST(host_cpu)
{
    static struct oracle o;
    o.seed = t_seed();
    o.undef_too = getenv("T_UNDEF") != NULL;
    uint64_t cases = t_amount(100000, 1500000, 50000000);
    if (getenv("T_CASES")) {
        cases = strtoull(getenv("T_CASES"), NULL, 0);
    }
    choose_rows(&o);
    struct totals *totals = mmap(NULL, WORKERS * sizeof *totals, PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (totals == MAP_FAILED || o.nrows == 0) {
        SKIP("no row that this host can run");
        return;
    }
    fflush(stdout);
    unsigned workers = getenv("T_CASE") ? 1 : WORKERS;
    pid_t pid[WORKERS];
    for (unsigned k = 0; k < workers; k++) {
        pid[k] = fork();
        if (pid[k] == 0) {
            o.t = &totals[k];
            run_worker(&o, k, cases);
        }
    }
    struct totals sum = {0, 0, 0};
    bool skipped = false;
    for (unsigned k = 0; k < workers; k++) {
        int status = 0;
        waitpid(pid[k], &status, 0);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 3) {
            skipped = true;
        } else if (!WIFEXITED(status) || WEXITSTATUS(status)) {
            FAIL("worker %u ended with status %x", k, (unsigned)status);
        }
        sum.passed += totals[k].passed;
        sum.failed += totals[k].failed;
        sum.skipped += totals[k].skipped;
    }
    munmap(totals, WORKERS * sizeof *totals);
    if (skipped) {
        SKIP("the oracle cannot run here");
        return;
    }
    printf("oracle: seed %llu, %u rows (%u not user-mode or excluded, %u the host lacks), "
           "%llu cases, %llu of them not encodable in their mode\n",
           (unsigned long long)o.seed, o.nrows, o.rows_excluded, o.rows_host_lacks,
           (unsigned long long)(sum.passed + sum.failed + sum.skipped),
           (unsigned long long)sum.skipped);
    if (sum.failed) {
        FAIL("%llu of %llu cases differ from the host's CPU", (unsigned long long)sum.failed,
             (unsigned long long)(sum.passed + sum.failed));
    }
    t_cases(sum.passed, sum.failed, sum.skipped + o.rows_host_lacks);
}
