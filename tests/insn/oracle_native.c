/*
 * The native side of the oracle.
 *
 * A case is entered and left by signals: an INT3 in or_native_run brings the handler, which puts
 * the case's registers, segments and FPU state into the signal frame and returns into the
 * instruction; the INT3 behind it, or its fault, brings the handler again, which takes the results
 * out and returns to or_native_run. So any register may hold anything, in 64, 32 and 16-bit code,
 * and a fault costs no more than success. Code lies in a page that the case cannot write; the test
 * writes it through a second mapping. Frame layout: arch/x86 uapi sigcontext (sw_reserved bytes of
 * the FXSAVE image give the size and the features of the XSAVE image).
 */
#include "tests/insn/oracle.h"

#if defined(__x86_64__) && defined(__linux__)

#include <asm/ldt.h>
#include <cpuid.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "cpu/feature.h"
#include "util/bits.h"

#define SEL_CODE32 0x23u /* the kernel's flat user segments */
#define SEL_DATA32 0x2bu
#define SEL_CODE16 0x07u /* LDT entries 0 and 1, ring 3 */
#define SEL_DATA16 0x0fu

enum phase { PHASE_IDLE, PHASE_ENTER, PHASE_RUNNING };

/* Signal handlers have no argument of ours: the one state that they need. */
static struct native {
    volatile enum phase phase;
    bool avx, mode16;
    uint8_t *code, *mem; /* writable views */
    const struct or_case *c;
    struct or_result *r;
    greg_t home[NGREG];
    uint8_t home_fp[4096];
    size_t home_fp_len;
} native;

#define FX_ST     32
#define FX_XMM    160
#define XS_BV     512
#define XS_YMM    576
#define FX_SW     464
#define FP_XMAGIC 0x46505853u

static size_t frame_size(const uint8_t *fp)
{
    return le32_get(fp + FX_SW) == FP_XMAGIC ? le32_get(fp + FX_SW + 4) : 512;
}

static void fp_load(uint8_t *fp, const struct or_state *s)
{
    le16_put(fp, s->fcw);
    le16_put(fp + 2, s->fsw);
    fp[4] = s->ftw;
    fp[5] = 0;
    memset(fp + 6, 0, 18);
    le32_put(fp + 24, s->mxcsr);
    for (unsigned k = 0; k < 8; k++) {
        le64_put(fp + FX_ST + 16 * k, s->st_m[k]);
        le64_put(fp + FX_ST + 16 * k + 8, s->st_se[k]);
    }
    for (unsigned k = 0; k < 16; k++) {
        memcpy(fp + FX_XMM + 16 * k, s->ymm[k], 16);
        if (native.avx) {
            memcpy(fp + XS_YMM + 16 * k, &s->ymm[k][2], 16);
        }
    }
    if (frame_size(fp) > 512) {
        le64_put(fp + XS_BV, native.avx ? 7 : 3);
    }
}

static void fp_store(const uint8_t *fp, struct or_state *s)
{
    uint64_t bv = frame_size(fp) > 512 ? le64_get(fp + XS_BV) : 3;
    memset(s->ymm, 0, sizeof s->ymm);
    s->fcw = bv & 1 ? le16_get(fp) : 0x37f;
    s->fsw = bv & 1 ? le16_get(fp + 2) : 0;
    s->ftw = bv & 1 ? fp[4] : 0;
    s->mxcsr = le32_get(fp + 24);
    for (unsigned k = 0; k < 8; k++) {
        s->st_m[k] = bv & 1 ? le64_get(fp + FX_ST + 16 * k) : 0;
        s->st_se[k] = bv & 1 ? le16_get(fp + FX_ST + 16 * k + 8) : 0;
    }
    for (unsigned k = 0; k < 16; k++) {
        if (bv & 2) {
            memcpy(s->ymm[k], fp + FX_XMM + 16 * k, 16);
        }
        if (native.avx && (bv & 4)) {
            memcpy(&s->ymm[k][2], fp + XS_YMM + 16 * k, 16);
        }
    }
}

static const int gpr_index[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                  REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                  REG_R12, REG_R13, REG_R14, REG_R15};

static void enter(greg_t *g, uint8_t *fp)
{
    const struct or_case *c = native.c;
    memcpy(native.home, g, sizeof native.home);
    native.home_fp_len = frame_size(fp);
    if (native.home_fp_len > sizeof native.home_fp) {
        abort();
    }
    memcpy(native.home_fp, fp, native.home_fp_len);
    for (unsigned k = 0; k < 16; k++) {
        g[gpr_index[k]] = (greg_t)c->in.gpr[k];
    }
    g[REG_RIP] = (greg_t)c->in.rip;
    g[REG_EFL] = (greg_t)(c->in.flags | 0x202);
    uint64_t sel = (uint64_t)g[REG_CSGSFS] & UINT64_C(0x0000ffffffff0000);
    if (c->mode == OR_MODE32) {
        sel |= (uint64_t)SEL_DATA32 << 48 | SEL_CODE32;
    } else if (c->mode == OR_MODE16) {
        sel |= (uint64_t)SEL_DATA16 << 48 | SEL_CODE16;
    } else {
        sel = (uint64_t)g[REG_CSGSFS];
    }
    g[REG_CSGSFS] = (greg_t)sel;
    fp_load(fp, &c->in);
    native.phase = PHASE_RUNNING;
}

static void leave(greg_t *g, uint8_t *fp)
{
    struct or_result *r = native.r;
    uint64_t trap = (uint64_t)g[REG_TRAPNO], rip = (uint64_t)g[REG_RIP];
    r->vector = (uint8_t)trap;
    r->err = (uint32_t)g[REG_ERR];
    r->cr2 = (uint64_t)g[REG_CR2];
    /* INT3 outside the instruction, or nothing to fetch there: the instruction was complete. */
    if (trap == 3) {
        r->fault = false;
        rip--;
    } else if (trap == 14 && (r->err & 16) && rip != native.c->in.rip) {
        r->fault = false;
    } else {
        r->fault = true;
    }
    r->out.rip = rip;
    r->out.flags = (uint32_t)g[REG_EFL];
    for (unsigned k = 0; k < 16; k++) {
        r->out.gpr[k] = (uint64_t)g[gpr_index[k]];
    }
    fp_store(fp, &r->out);
    memcpy(g, native.home, sizeof native.home);
    memcpy(fp, native.home_fp, native.home_fp_len);
    native.phase = PHASE_IDLE;
}

static void on_signal(int sig, siginfo_t *info, void *ctx)
{
    ucontext_t *u = ctx;
    greg_t *g = u->uc_mcontext.gregs;
    uint8_t *fp = (uint8_t *)u->uc_mcontext.fpregs;
    (void)info;
    if (native.phase == PHASE_ENTER && sig == SIGTRAP) {
        enter(g, fp);
    } else if (native.phase == PHASE_RUNNING) {
        leave(g, fp);
    } else {
        signal(sig, SIG_DFL); /* a crash of the test itself */
    }
}

static bool set_ldt(unsigned entry, uint64_t base, unsigned contents, unsigned limit)
{
    struct user_desc d = {.entry_number = entry, .base_addr = (unsigned)base, .limit = limit};
    d.contents = contents & 3;
    d.useable = 1;
    return syscall(SYS_modify_ldt, 0x11, &d, sizeof d) == 0;
}

/* AVX, and the kernel keeps its state (OSXSAVE). */
static bool host_avx(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c >> 28 & 1) && (c >> 27 & 1);
}

const char *or_native_init(void)
{
    static const int signals[] = {SIGTRAP, SIGSEGV, SIGILL, SIGFPE, SIGBUS};
    int fd = memfd_create("oracle", 0);
    uint64_t total = 4096 + OR_BYTES;
    if (fd < 0 || ftruncate(fd, (off_t)total) != 0) {
        return "no memfd";
    }
    uint8_t *view = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    int how = MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_POPULATE; /* present: error codes */
    void *code = mmap((void *)OR_CODE, 4096, PROT_READ | PROT_EXEC, how, fd, 0);
    void *data = mmap((void *)OR_DATA, OR_PAGES * 4096u, PROT_READ | PROT_WRITE, how, fd, 4096);
    void *ro = mmap((void *)(OR_DATA + OR_PAGES * 4096u), 4096, PROT_READ, how, fd,
                    4096 + OR_PAGES * 4096);
    close(fd);
    if (view == MAP_FAILED || code != (void *)OR_CODE || data != (void *)OR_DATA ||
        ro == MAP_FAILED) {
        return "low addresses are taken";
    }
    native.code = view;
    native.mem = view + 4096;
    memset(native.code, 0xcc, 4096);
    stack_t stack = {.ss_size = 65536};
    stack.ss_sp = malloc(stack.ss_size);
    if (!stack.ss_sp || sigaltstack(&stack, NULL) != 0) {
        return "no signal stack";
    }
    for (unsigned k = 0; k < ARRAY_LEN(signals); k++) {
        struct sigaction sa = {.sa_sigaction = on_signal,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
        sigaction(signals[k], &sa, NULL);
    }
    native.avx = host_avx();
    native.mode16 = set_ldt(0, OR_CODE, 2, 0xfff) && set_ldt(1, OR_DATA, 0, 0xffff);
    return NULL;
}

static const struct {
    const char *name;
    uint32_t leaf, sub;
    unsigned reg, bit;
} feature_bits[] = {
#define X(name, leaf, sub, reg, bit) {#name, leaf, sub, CPUID_##reg, bit},
    CPU_FEATURES(X)
#undef X
};

bool or_native_has(const struct insn_row *row)
{
    uint32_t leaf = feature_bits[row->feature].leaf, out[4];
    if (leaf == NOLEAF) {
        return row->feature != FEAT_only86;
    }
    if (!__get_cpuid_count(leaf, feature_bits[row->feature].sub, &out[0], &out[1], &out[2],
                           &out[3])) {
        return false;
    }
    return (out[feature_bits[row->feature].reg] >> feature_bits[row->feature].bit & 1) &&
           (host_avx() || !(row->attr & A_AVX));
}

bool or_native_mode(unsigned mode)
{
    return mode != OR_MODE16 || native.mode16;
}

uint8_t *or_native_mem(void)
{
    return native.mem;
}

static void set_data_segments(uint16_t sel)
{
    __asm__ volatile("movw %0, %%ds\n\tmovw %0, %%es" : : "r"(sel));
}

/* EFLAGS.ID as in `flags`. The kernel does not take it from a signal's context: without this, a
 * POPF that set it would be seen by every later case. */
static void set_id(uint32_t flags)
{
    uint64_t id = flags & (1u << 21);
    __asm__ volatile("lea -128(%%rsp), %%rsp\n\t" /* over the red zone */
                     "pushfq\n\t"
                     "andq $~0x200000, (%%rsp)\n\t"
                     "orq %0, (%%rsp)\n\t"
                     "popfq\n\t"
                     "lea 128(%%rsp), %%rsp"
                     :
                     : "r"(id)
                     : "memory", "cc");
}

void or_native_run(const struct or_case *c, struct or_result *r)
{
    uint8_t *at = native.code + OR_ENTRY;
    memcpy(at, c->code, c->len);
    memset(at + c->len, 0xcc, sizeof c->code - c->len);
    native.c = c;
    native.r = r;
    /* 64-bit code does not look at DS and ES: they can stay what a mode needs. */
    set_data_segments(c->mode == OR_MODE16 ? SEL_DATA16 : SEL_DATA32);
    set_id(c->in.flags);
    native.phase = PHASE_ENTER;
    __asm__ volatile("int3" : : : "memory");
    set_data_segments(0);
    set_id(0);
    memset(at, 0xcc, sizeof c->code);
}

#else

const char *or_native_init(void)
{
    return "the host is not x86-64 Linux";
}
bool or_native_has(const struct insn_row *row)
{
    (void)row;
    return false;
}
bool or_native_mode(unsigned mode)
{
    (void)mode;
    return false;
}
uint8_t *or_native_mem(void)
{
    return NULL;
}
void or_native_run(const struct or_case *c, struct or_result *r)
{
    (void)c;
    (void)r;
}

#endif
