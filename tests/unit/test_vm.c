/*
 * A machine through the public API: how runs end, resets, saving and loading, inputs, two machines
 * in turn. The guests are the built-in demo and a few bytes of multiboot code.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "doppel.h"
#include "tests/lib/kernel.h"
#include "tests/t.h"
#include "util/bits.h"

#define LIMIT UINT64_C(300000)

static struct doppel_options options(void)
{
    struct doppel_options o;
    doppel_options_init(&o, DOPPEL_ABI);
    o.rtc_epoch = 1700000000;
    o.seed = 7;
    o.ram_bytes = 4u << 20;
    return o;
}

static struct doppel_vm *create(const struct doppel_options *o)
{
    struct doppel_error e;
    struct doppel_vm *vm = doppel_create(o, &e);
    if (!vm) {
        FAIL("%s", e.msg);
    }
    return vm;
}

/* --- Tiny kernels --- */

/* How a machine ends that runs this code, and its digest. */
static enum doppel_stop run_code(const void *code, size_t len, bool no_reboot, uint64_t *icount)
{
    struct doppel_options o = options();
    char *path = kernel_make(NULL, code, len);
    o.kernel = path;
    o.no_reboot = no_reboot;
    o.device[o.ndevices++] = "isa-debug-exit,iobase=0xf4,iosize=4";
    struct doppel_vm *vm = create(&o);
    enum doppel_stop why = DOPPEL_FAILED;
    if (vm) {
        why = doppel_run(vm, LIMIT);
        *icount = doppel_icount(vm);
        doppel_destroy(vm);
    }
    unlink(path);
    free(path);
    return why;
}

TEST(power_off_by_acpi)
{
    /* mov dx, 604h; mov ax, 2000h; out dx, ax; jmp $ */
    static const uint8_t code[] = {0x66, 0xba, 0x04, 0x06, 0x66, 0xb8,
                                   0x00, 0x20, 0x66, 0xef, 0xeb, 0xfe};
    uint64_t n;
    EXPECT_EQ(run_code(code, sizeof code, false, &n), DOPPEL_POWEROFF);
    EXPECT(n < LIMIT);
}

TEST(reset_by_port_cf9)
{
    /* mov dx, 0cf9h; mov al, 6; out dx, al; jmp $ */
    static const uint8_t code[] = {0x66, 0xba, 0xf9, 0x0c, 0xb0, 0x06, 0xee, 0xeb, 0xfe};
    uint64_t n;
    EXPECT_EQ(run_code(code, sizeof code, true, &n), DOPPEL_RESET);
    /* Allowed to, it starts over again and again. */
    EXPECT_EQ(run_code(code, sizeof code, false, &n), DOPPEL_LIMIT);
    EXPECT_EQ(n, LIMIT);
}

TEST(reset_by_triple_fault)
{
    static const uint8_t code[] = {0x0f, 0x0b}; /* ud2 without an IDT */
    uint64_t n;
    EXPECT_EQ(run_code(code, sizeof code, true, &n), DOPPEL_RESET);
    EXPECT_EQ(run_code(code, sizeof code, false, &n), DOPPEL_LIMIT);
}

TEST(halted_for_good)
{
    static const uint8_t code[] = {0xfa, 0xf4, 0xeb, 0xfd}; /* cli; hlt; jmp */
    uint64_t n;
    EXPECT_EQ(run_code(code, sizeof code, false, &n), DOPPEL_DEAD);
}

/* The PIT ticks at 1 kHz and is masked: no timer will ever wake the vCPU. */
TEST(halted_beside_a_masked_timer)
{
    /* mov al, 0ffh; out 21h, al; out 0a1h, al; mov al, 34h; out 43h, al; mov al, 0a9h;
     * out 40h, al; mov al, 4; out 40h, al; sti; hlt; jmp $-1 */
    static const uint8_t code[] = {0xb0, 0xff, 0xe6, 0x21, 0xe6, 0xa1, 0xb0, 0x34,
                                   0xe6, 0x43, 0xb0, 0xa9, 0xe6, 0x40, 0xb0, 0x04,
                                   0xe6, 0x40, 0xfb, 0xf4, 0xeb, 0xfd};
    uint64_t n;
    EXPECT_EQ(run_code(code, sizeof code, false, &n), DOPPEL_DEAD);
}

/* CLI, HLT beside a PIT that ticks: the I/O APIC or LINT0 may turn its ticks into NMI, SMI or INIT,
 * and nothing else can wake the vCPU. */
TEST(halted_with_interrupts_off)
{
    /* IDT at 2000h with a gate for NMI; an SMM handler at 38000h: mov al, 9; out 0f4h, al; hlt.
     * 8259 with IR0 alone; redirection entry 2 = RTE; LVT LINT0 = LVT; PIT channel 0 at 1 kHz;
     * cli; hlt. The NMI's handler: mov al, 7; out 0f4h, al; hlt. */
    enum { RTE = 96, LVT = 106, HANDLER = 126 };
    static const uint8_t image[] = {
        0xe8, 0x00, 0x00, 0x00, 0x00, 0x5b, 0x8d, 0x43, 0x79, 0xbf, 0x10, 0x20, 0x00, 0x00,
        0x66, 0x89, 0x07, 0x8c, 0x4f, 0x02, 0x66, 0xc7, 0x47, 0x04, 0x00, 0x8e, 0xc1, 0xe8,
        0x10, 0x66, 0x89, 0x47, 0x06, 0x0f, 0x01, 0x9b, 0x80, 0x00, 0x00, 0x00, 0xbc, 0x00,
        0x80, 0x00, 0x00, 0xc7, 0x05, 0x00, 0x80, 0x03, 0x00, 0xb0, 0x09, 0xe6, 0xf4, 0xc6,
        0x05, 0x04, 0x80, 0x03, 0x00, 0xf4, 0xb0, 0x11, 0xe6, 0x20, 0xb0, 0x20, 0xe6, 0x21,
        0xb0, 0x04, 0xe6, 0x21, 0xb0, 0x01, 0xe6, 0x21, 0xb0, 0xfe, 0xe6, 0x21, 0xbf, 0x00,
        0x00, 0xc0, 0xfe, 0xc7, 0x07, 0x14, 0x00, 0x00, 0x00, 0xc7, 0x47, 0x10, 0x00, 0x00,
        0x00, 0x00, 0xc7, 0x05, 0x50, 0x03, 0xe0, 0xfe, 0x00, 0x00, 0x00, 0x00, 0xb0, 0x34,
        0xe6, 0x43, 0xb0, 0xa9, 0xe6, 0x40, 0xb0, 0x04, 0xe6, 0x40, 0xfa, 0xf4, 0xeb, 0xfe,
        0xb0, 0x07, 0xe6, 0xf4, 0xf4, 0xeb, 0xfe, 0x17, 0x00, 0x00, 0x20, 0x00, 0x00};
    static const struct {
        uint32_t rte, lvt;
        bool nmi_halts; /* the NMI's handler only halts */
        enum doppel_stop why;
        uint32_t exit_code;
    } cases[] = {
        {0x10000, 0x10000, false, DOPPEL_DEAD, 0},  /* masked both */
        {0x10400, 0x10400, false, DOPPEL_DEAD, 0},  /* masked both, as NMI */
        {0x00030, 0x00700, false, DOPPEL_DEAD, 0},  /* a vector, ExtINT: IF is clear */
        {0x00400, 0x10000, false, DOPPEL_EXIT, 15}, /* NMI */
        {0x10000, 0x00400, false, DOPPEL_EXIT, 15},
        {0x00400, 0x10000, true, DOPPEL_DEAD, 0},   /* halted in the handler: NMIs wait for IRET */
        {0x00200, 0x10000, false, DOPPEL_EXIT, 19}, /* SMI */
        {0x10000, 0x00200, true, DOPPEL_EXIT, 19},
        {0x00500, 0x10000, false, DOPPEL_LIMIT, 0}, /* INIT: from the start again and again */
    };
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        uint8_t code[sizeof image];
        memcpy(code, image, sizeof image);
        le32_put(code + RTE, cases[i].rte);
        le32_put(code + LVT, cases[i].lvt);
        if (cases[i].nmi_halts) {
            memset(code + HANDLER, 0x90, 4);
        }
        struct doppel_options o = options();
        char *path = kernel_make(NULL, code, sizeof code);
        o.kernel = path;
        o.device[o.ndevices++] = "isa-debug-exit,iobase=0xf4,iosize=4";
        struct doppel_vm *vm = create(&o);
        t_context("case %u", i);
        if (vm) {
            EXPECT_EQ(doppel_run(vm, LIMIT), cases[i].why);
            EXPECT(cases[i].why != DOPPEL_EXIT || doppel_exit_code(vm) == cases[i].exit_code);
            EXPECT(cases[i].why != DOPPEL_DEAD || doppel_vtime(vm) < 10000000); /* soon */
            doppel_destroy(vm);
        }
        unlink(path);
        free(path);
    }
}

TEST(exit_device_at_once)
{
    /* mov al, 3; out 0f4h, al; then something that must not run: mov al, 4; out 0f4h, al */
    static const uint8_t code[] = {0xb0, 0x03, 0xe6, 0xf4, 0xb0, 0x04, 0xe6, 0xf4, 0xeb, 0xfe};
    struct doppel_options o = options();
    char *path = kernel_make(NULL, code, sizeof code);
    o.kernel = path;
    o.device[o.ndevices++] = "isa-debug-exit,iobase=0xf4,iosize=4";
    struct doppel_vm *vm = create(&o);
    if (vm) {
        EXPECT_EQ(doppel_run(vm, LIMIT), DOPPEL_EXIT);
        EXPECT_EQ(doppel_exit_code(vm), 7);
        doppel_destroy(vm);
    }
    unlink(path);
    free(path);
}

TEST(kernel_changed_before_a_reset)
{
    static const uint8_t code[] = {0x0f, 0x0b};
    struct doppel_options o = options();
    char *path = kernel_make(NULL, code, sizeof code);
    o.kernel = path;
    struct doppel_vm *vm = create(&o);
    if (vm) {
        EXPECT_EQ(truncate(path, 1000), 0);
        EXPECT_EQ(doppel_run(vm, LIMIT), DOPPEL_FAILED);
        EXPECT(strstr(doppel_failure(vm), "changed since") != NULL);
        doppel_destroy(vm);
    }
    unlink(path);
    free(path);
}

/* --- Runs --- */

TEST(wrong_abi_is_refused)
{
    struct doppel_options o;
    EXPECT(!doppel_options_init(&o, DOPPEL_ABI + 1));
    EXPECT(doppel_options_init(&o, DOPPEL_ABI));
    o.abi++;
    struct doppel_error e;
    EXPECT(doppel_create(&o, &e) == NULL);
    EXPECT(strstr(e.msg, "ABI") != NULL);
}

/* What is wrong with the options themselves is told from what cannot be had. */
TEST(usage_is_told_from_set_up)
{
    static const struct {
        const char *device, *cpu, *serial, *text;
        bool usage;
    } cases[] = {
        {"isa-debug-exti", NULL, NULL, "nearest is isa-debug-exit", true},
        {"isa-debug-exit,iobse=1", NULL, NULL, "nearest is iobase", true},
        {"isa-debug-exit,iobase=0x10000", NULL, NULL, "number from", true},
        {"isa-debug-exit,iobase=0x3f8", NULL, NULL, "overlap", false},
        {NULL, "pentium33", NULL, "pentium3", true},
        {NULL, "486,+avx22", NULL, "avx2", true},
        {NULL, NULL, "unix:x,servre", "nearest is server", true},
        {NULL, NULL, "file:/no/such/dir/file", "No such file", false},
    };
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        struct doppel_options o = options();
        struct doppel_error e = {"", !cases[i].usage};
        o.device[0] = cases[i].device;
        o.ndevices = cases[i].device != NULL;
        o.cpu = cases[i].cpu;
        o.serial[0] = cases[i].serial;
        EXPECT(doppel_create(&o, &e) == NULL);
        t_context("case %u: %s", i, e.msg);
        EXPECT_EQ(e.usage, cases[i].usage);
        EXPECT(strstr(e.msg, cases[i].text) != NULL);
    }
}

/* The demo's end: instructions, time, digest. */
struct result {
    uint64_t icount, vtime, digest;
};

static struct result finish(struct doppel_vm *vm)
{
    EXPECT_EQ(doppel_run(vm, DOPPEL_NO_LIMIT), DOPPEL_DEAD);
    return (struct result){doppel_icount(vm), doppel_vtime(vm), doppel_digest(vm)};
}

static void expect_same(struct result a, struct result b)
{
    EXPECT_EQ(a.icount, b.icount);
    EXPECT_EQ(a.vtime, b.vtime);
    EXPECT_EQ(a.digest, b.digest);
}

static struct result demo(unsigned cpus)
{
    struct doppel_options o = options();
    o.cpus = cpus;
    struct doppel_vm *vm = create(&o);
    struct result r = {0};
    if (vm) {
        r = finish(vm);
        doppel_destroy(vm);
    }
    return r;
}

TEST(digest_depends_on_what_happened)
{
    struct doppel_options o = options();
    struct doppel_vm *vm = create(&o);
    struct result a = demo(1), b = demo(1);
    expect_same(a, b);
    EXPECT(demo(2).digest != a.digest);
    if (vm) {
        EXPECT_EQ(doppel_run(vm, a.icount - 1), DOPPEL_LIMIT);
        EXPECT(doppel_digest(vm) != a.digest);
        doppel_destroy(vm);
    }
}

TEST(slices_change_nothing)
{
    for (unsigned cpus = 1; cpus <= 3; cpus += 2) {
        struct result want = demo(cpus);
        struct doppel_options o = options();
        o.cpus = cpus;
        struct doppel_vm *vm = create(&o);
        struct t_rng rng = {cpus};
        if (vm) {
            uint64_t at = 0;
            while (doppel_run(vm, at) == DOPPEL_LIMIT) {
                EXPECT_EQ(doppel_icount(vm), at);
                at += t_rand_below(&rng, 3) ? t_rand_below(&rng, 7) + 1 : t_rand_below(&rng, 5000);
            }
            expect_same(finish(vm), want);
            doppel_destroy(vm);
        }
    }
}

/* A loop that waits with PAUSE is much shorter than what it waits for, in any slices, and beside a
 * vCPU that does nothing. */
TEST(pause_lets_time_pass)
{
    /* rdtsc; mov ebx, eax; L: pause; rdtsc; sub eax, ebx; cmp eax, 1000000; jb L; cli; hlt; jmp */
    static const uint8_t code[] = {0x0f, 0x31, 0x89, 0xc3, 0xf3, 0x90, 0x0f, 0x31, 0x29, 0xd8, 0x3d,
                                   0x40, 0x42, 0x0f, 0x00, 0x72, 0xf3, 0xfa, 0xf4, 0xeb, 0xfd};
    char *path = kernel_make(NULL, code, sizeof code);
    struct doppel_options o = options();
    o.kernel = path;
    for (o.cpus = 1; o.cpus <= 2; o.cpus++) {
        struct doppel_vm *a = create(&o), *b = create(&o);
        struct t_rng rng = {o.cpus};
        if (a && b) {
            struct result want = finish(a);
            EXPECT(want.vtime >= 1000000 && want.vtime < 1100000);
            EXPECT(want.icount < 1000000 * 5 / 145 + 1000);
            uint64_t at = 0;
            while (doppel_run(b, at) == DOPPEL_LIMIT) {
                EXPECT_EQ(doppel_icount(b), at);
                at += t_rand_below(&rng, 9) + 1;
            }
            expect_same(finish(b), want);
            doppel_destroy(a);
            doppel_destroy(b);
        }
    }
    unlink(path);
    free(path);
}

TEST(two_machines_in_turn)
{
    struct result want = demo(1);
    struct doppel_options o = options();
    struct doppel_vm *a = create(&o), *b = create(&o);
    if (a && b) {
        for (uint64_t at = 0; at < want.icount; at += 3001) {
            doppel_run(a, at);
            doppel_run(b, at / 2);
        }
        expect_same(finish(a), want);
        expect_same(finish(b), want);
    }
    doppel_destroy(a);
    doppel_destroy(b);
}

TEST(saved_at_many_points)
{
    struct result want = demo(1);
    struct doppel_options o = options();
    struct t_rng rng = {t_seed()};
    for (uint64_t i = 0; i < t_amount(20, 100, 2000); i++) {
        struct doppel_vm *a = create(&o), *b = create(&o);
        uint8_t *data = NULL, *again = NULL;
        size_t len, len2;
        struct doppel_error e = {""};
        if (a && b) {
            doppel_run(a, t_rand_below(&rng, want.icount));
            doppel_save(a, &data, &len);
            t_context("saved at %llu", (unsigned long long)doppel_icount(a));
            if (EXPECT(doppel_load(b, data, len, &e))) {
                EXPECT_EQ(doppel_digest(a), doppel_digest(b));
                doppel_save(b, &again, &len2);
                EXPECT(len == len2 && memcmp(data, again, len) == 0);
                expect_same(finish(b), want);
            }
            expect_same(finish(a), want);
        }
        free(data);
        free(again);
        doppel_destroy(a);
        doppel_destroy(b);
    }
}

/* Any change of any byte is refused with a message. */
TEST(damaged_states_are_refused)
{
    struct doppel_options o = options();
    struct doppel_vm *a = create(&o);
    if (!a) {
        return;
    }
    uint8_t *data;
    size_t len;
    doppel_run(a, 50000);
    doppel_save(a, &data, &len);
    struct t_rng rng = {t_seed()};
    struct doppel_vm *b = create(&o);
    for (uint64_t i = 0; b && i < t_amount(200, 2000, 20000); i++) {
        struct doppel_error e = {""};
        size_t at = t_rand_below(&rng, len), n = len;
        uint8_t was = data[at];
        if (i % 4) {
            data[at] ^= (uint8_t)(1u << t_rand_below(&rng, 8));
        } else {
            n = at;
        }
        EXPECT(!doppel_load(b, data, n, &e));
        EXPECT(e.msg[0] != 0);
        data[at] = was;
    }
    free(data);
    doppel_destroy(a);
    doppel_destroy(b);
}

TEST(state_of_another_shape_is_refused)
{
    struct doppel_options o = options();
    struct doppel_vm *a = create(&o);
    o.cpus = 2;
    struct doppel_vm *b = create(&o);
    struct doppel_error e = {""};
    uint8_t *data;
    size_t len;
    if (a && b) {
        doppel_save(a, &data, &len);
        EXPECT(!doppel_load(b, data, len, &e));
        EXPECT(strstr(e.msg, "same options") != NULL);
        free(data);
    }
    doppel_destroy(a);
    doppel_destroy(b);
}

/* --- Inputs and outputs --- */

struct heard {
    char text[32768];
    size_t len;
};

static void hear(void *ctx, const uint8_t *data, size_t len)
{
    struct heard *h = ctx;
    if (h->len + len < sizeof h->text) {
        memcpy(h->text + h->len, data, len);
        h->len += len;
    }
}

static void hear_text(void *ctx, const char *text, size_t len)
{
    hear(ctx, (const uint8_t *)text, len);
}

TEST(serial_echo)
{
    /* Echoes three characters of COM1, each plus one, then powers off:
     * mov ecx, 3; wait: mov dx, 3fdh; in al, dx; test al, 1; jz wait; mov dx, 3f8h; in al, dx;
     * inc al; out dx, al; loop wait; sent: mov dx, 3fdh; in al, dx; test al, 40h; jz sent; off */
    static const uint8_t code[] = {
        0xb9, 0x03, 0x00, 0x00, 0x00, 0x66, 0xba, 0xfd, 0x03, 0xec, 0xa8, 0x01, 0x74, 0xf7, 0x66,
        0xba, 0xf8, 0x03, 0xec, 0xfe, 0xc0, 0xee, 0xe2, 0xed, 0x66, 0xba, 0xfd, 0x03, 0xec, 0xa8,
        0x40, 0x74, 0xf7, 0x66, 0xba, 0x04, 0x06, 0x66, 0xb8, 0x00, 0x20, 0x66, 0xef, 0xeb, 0xfe};
    struct doppel_options o = options();
    char *path = kernel_make(NULL, code, sizeof code);
    struct heard h = {.len = 0};
    o.kernel = path;
    struct doppel_vm *vm = create(&o);
    if (vm) {
        EXPECT(doppel_serial_listen(vm, 0, hear, &h));
        EXPECT(!doppel_serial_listen(vm, 4, hear, &h));
        EXPECT_EQ(doppel_run(vm, 100000), DOPPEL_LIMIT);
        EXPECT(doppel_post_input(vm, "com1.rx", "HAL", 3));
        EXPECT(!doppel_post_input(vm, "com9.rx", "HAL", 3));
        EXPECT_EQ(doppel_run(vm, LIMIT), DOPPEL_POWEROFF);
        EXPECT_STR(h.text, "IBM");
        doppel_destroy(vm);
    }
    unlink(path);
    free(path);
}

TEST(commands)
{
    static const struct {
        const char *line, *text;
    } cases[] = {
        {"info cpus", "CPU#0: running"},
        {"info status", "doppel: board pc, running, 0 instructions"},
        {"info registers", "RIP=000000000000fff0"},
        {"info mtree", "com1"},
        {"info devices", "i8259"},
        {"info pci", "8086:1237"},
        {"info pic", "imr"},
        {"info pit", "8254"},
        {"info mem", "RAM: 4 MiB"},
        {"info tlb", "CPU#0"},
        {"info nonsense", "nearest"},
        {"x/2xb 0xffff0", "0xea"},
        {"xp /1xg 0xfee00000", "--"},
        {"x/5q 0", "want /COUNT"},
        {"digest", "icount 0 "},
        {"help", "system_powerdown"},
        {"sytem_reset", "nearest is \"system_reset\""},
    };
    struct doppel_options o = options();
    struct doppel_vm *vm = create(&o);
    for (unsigned i = 0; vm && i < ARRAY_LEN(cases); i++) {
        struct heard h = {.len = 0};
        doppel_command(vm, cases[i].line, hear_text, &h);
        t_context("%s: %s", cases[i].line, h.text);
        EXPECT(strstr(h.text, cases[i].text) != NULL);
    }
    doppel_destroy(vm);
}

/* Each translation that was used, with its page's size and rights. */
TEST(info_tlb_lists_translations)
{
    /* Page directory at 2000h: 0 is 4 MiB, global; 400000h -> 5000h user, read-only; 401000h ->
     * 6000h supervisor, global. CR4 = PSE PGE. A read of the one, a write to the other; jmp $ */
    static const uint8_t code[] = {
        0xc7, 0x05, 0x00, 0x20, 0x00, 0x00, 0x83, 0x01, 0x00, 0x00, 0xc7, 0x05, 0x04, 0x20,
        0x00, 0x00, 0x07, 0x30, 0x00, 0x00, 0xc7, 0x05, 0x00, 0x30, 0x00, 0x00, 0x05, 0x50,
        0x00, 0x00, 0xc7, 0x05, 0x04, 0x30, 0x00, 0x00, 0x03, 0x61, 0x00, 0x00, 0xb8, 0x90,
        0x00, 0x00, 0x00, 0x0f, 0x22, 0xe0, 0xb8, 0x00, 0x20, 0x00, 0x00, 0x0f, 0x22, 0xd8,
        0x0f, 0x20, 0xc0, 0x0d, 0x00, 0x00, 0x01, 0x80, 0x0f, 0x22, 0xc0, 0xa1, 0x00, 0x00,
        0x40, 0x00, 0xa3, 0x00, 0x10, 0x40, 0x00, 0xeb, 0xfe};
    static const char *const lines[] = {
        "0000000000000000 -> 000000000000  4096 KiB pcid 000 -wxg",
        "0000000000400000 -> 000000005000     4 KiB pcid 000 u-x-",
        "0000000000401000 -> 000000006000     4 KiB pcid 000 -wxg",
    };
    struct doppel_options o = options();
    char *path = kernel_make(NULL, code, sizeof code);
    o.kernel = path;
    struct doppel_vm *vm = create(&o);
    if (vm) {
        struct heard h = {.len = 0};
        EXPECT_EQ(doppel_run(vm, 10000), DOPPEL_LIMIT);
        doppel_command(vm, "info tlb", hear_text, &h);
        for (unsigned i = 0; i < ARRAY_LEN(lines); i++) {
            t_context("%s in:\n%s", lines[i], h.text);
            EXPECT(strstr(h.text, lines[i]) != NULL);
        }
        doppel_destroy(vm);
    }
    unlink(path);
    free(path);
}

TEST(operator_ends_and_resets)
{
    struct doppel_options o = options();
    struct heard h = {.len = 0};
    struct doppel_vm *vm = create(&o);
    if (!vm) {
        return;
    }
    o.no_reboot = true;
    EXPECT_EQ(doppel_run(vm, 20000), DOPPEL_LIMIT);
    doppel_command(vm, "system_reset", hear_text, &h);
    struct result want = demo(1), got = finish(vm);
    EXPECT_EQ(got.icount, want.icount + 20000); /* from the start again */
    doppel_destroy(vm);

    vm = create(&o);
    if (vm) {
        doppel_command(vm, "quit", hear_text, &h);
        EXPECT_EQ(doppel_run(vm, LIMIT), DOPPEL_QUIT);
        doppel_interrupt(vm);
        EXPECT_EQ(doppel_run(vm, LIMIT), DOPPEL_INTERRUPT);
        doppel_command(vm, "system_reset", hear_text, &h);
        EXPECT_EQ(doppel_run(vm, LIMIT), DOPPEL_RESET);
        doppel_destroy(vm);
    }
}

TEST(power_button_reaches_the_guest)
{
    struct doppel_options o = options();
    struct heard h = {.len = 0};
    struct doppel_vm *vm = create(&o);
    if (vm) {
        doppel_run(vm, 1000);
        doppel_command(vm, "system_powerdown", hear_text, &h);
        doppel_run(vm, 2000);
        doppel_command(vm, "info pm", hear_text, &h);
        EXPECT(strstr(h.text, "pm1_sts                  0x100") != NULL);
        doppel_destroy(vm);
    }
}
