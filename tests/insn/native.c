/* One instruction on the host's own CPU; see native.h. */
#include "tests/insn/native.h"

#if defined(__x86_64__)

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

_Static_assert(offsetof(struct side, gpr) == 0x80, "assembly below");
_Static_assert(offsetof(struct side, fx) == 0x200, "assembly below");
_Static_assert(offsetof(struct side, ymm) == 0x400, "assembly below");
_Static_assert(sizeof(struct side) == 0x800, "assembly below");

void native_begin(void);
extern char native_end[];

// clang-format off
#define EACH_R(X) X(0,rax) X(1,rcx) X(2,rdx) X(3,rbx) X(4,rsp) X(5,rbp) X(6,rsi) X(7,rdi) \
    X(8,r8) X(9,r9) X(10,r10) X(11,r11) X(12,r12) X(13,r13) X(14,r14) X(15,r15)
#define EACH_Y(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) \
    X(14) X(15)
#define LOAD_R(n, r)  "mov 0x300080+8*" #n ", %" #r "\n"
#define STORE_R(n, r) "mov %" #r ", 0x300880+8*" #n "\n"
#define LOAD_Y(n)  "vmovups 0x300400+32*" #n ", %ymm" #n "\n"
#define STORE_Y(n) "vmovups %ymm" #n ", 0x300c00+32*" #n "\n"
__asm__(".text\n.globl native_begin\nnative_begin:\n"
        "push %rbx\npush %rbp\npush %r12\npush %r13\npush %r14\npush %r15\n"
        "mov %rsp, 0x300008\n"
        "fxrstor64 0x300200\n" EACH_Y(LOAD_Y)
        "push 0x300010\npopfq\n" EACH_R(LOAD_R)
        "jmp *0x300000\n"
        ".globl native_end\nnative_end:\n" EACH_R(STORE_R)
        "mov 0x300008, %rsp\n"
        "pushfq\npop 0x300810\n" EACH_Y(STORE_Y)
        "fxsave64 0x300a00\n"
        "fninit\nvzeroupper\n"
        "push $0x1f80\nldmxcsr (%rsp)\npop %rax\n"
        "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbp\npop %rbx\n"
        "push $0x202\npopfq\nret\n"); /* DF and AC are not for compiled code */
// clang-format on

static volatile int trap_no;

static void on_trap(int sig, siginfo_t *info, void *ctx)
{
    ucontext_t *uc = ctx;
    (void)sig;
    (void)info;
    trap_no = (int)uc->uc_mcontext.gregs[REG_TRAPNO];
    uc->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)native_end;
}

static struct native *nat;

static void map_low(uint64_t at, size_t size, int prot)
{
    void *p = mmap((void *)(uintptr_t)at, size, prot,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (p != (void *)(uintptr_t)at) {
        perror("mmap of a low address");
        exit(2);
    }
}

struct native *native_open(void)
{
    static char alt_stack[65536];
    stack_t ss = {.ss_sp = alt_stack, .ss_size = sizeof alt_stack};
    struct sigaction sa = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    if (nat) {
        return nat;
    }
    map_low(NATIVE_CODE, 4096, PROT_READ | PROT_WRITE | PROT_EXEC);
    map_low(NATIVE_DATA, 4096, PROT_READ | PROT_WRITE);
    map_low(NATIVE_STATE, 4096, PROT_READ | PROT_WRITE);
    nat = (void *)(uintptr_t)NATIVE_STATE;
    sigaltstack(&ss, NULL);
    sigaction(SIGSEGV, &sa, NULL);
    sigaction(SIGBUS, &sa, NULL);
    sigaction(SIGILL, &sa, NULL);
    sigaction(SIGFPE, &sa, NULL);
    return nat;
}

int native_run(const uint8_t *bytes, unsigned n)
{
    static const uint8_t jump[] = {0xff, 0x24, 0x25}; /* jmp *[abs32] */
    uint8_t *p = (void *)(uintptr_t)NATIVE_CODE;
    uint32_t at = (uint32_t)(NATIVE_STATE + offsetof(struct side, exit));
    memcpy(p, bytes, n);
    memcpy(p + n, jump, sizeof jump);
    memcpy(p + n + sizeof jump, &at, 4);
    nat->in.insn = NATIVE_CODE;
    nat->in.exit = (uint64_t)(uintptr_t)native_end;
    trap_no = -1;
    native_begin();
    return trap_no;
}

#endif
