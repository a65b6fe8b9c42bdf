/*
 * -kernel with -bios: SeaBIOS runs our option ROM, which fetches the kernel and enters it: Linux's
 * set-up code or a multiboot kernel. What that finds is looked at from inside, by tiny_linux.asm
 * and tiny_multiboot.asm.
 */
#include <stdlib.h>
#include <string.h>

#include "doppel.h"
#include "tests/boot/dos.h"
#include "tests/t.h"

#define LIMIT UINT64_C(400000000)

static void options(struct doppel_options *o, const char *kernel)
{
    doppel_options_init(o, DOPPEL_ABI);
    o->rtc_epoch = 1700000000;
    o->seed = 1;
    o->ram_bytes = UINT64_C(16) << 20;
    o->no_reboot = true;
    o->bios = "bios-256k.bin";
    o->kernel = kernel;
    o->append = "quiet xvga=5 vga=788";
    o->device[o->ndevices++] = "isa-debug-exit,iobase=0xf4,iosize=4";
}

static void starts(const char *kernel)
{
    struct doppel_options o;
    struct doppel_error e;
    static uint8_t initrd[9999];
    initrd[sizeof initrd - 1] = 66;
    char *path = dos_possible() ? dos_write_file("linuxboot.initrd", initrd, sizeof initrd) : NULL;
    if (!path) {
        return;
    }
    options(&o, t_build_path(kernel));
    o.initrd = path;
    struct doppel_vm *vm = doppel_create(&o, &e);
    if (!vm) {
        FAIL("%s", e.msg);
    } else {
        EXPECT_EQ(doppel_run(vm, LIMIT), DOPPEL_EXIT);
        EXPECT_EQ(doppel_exit_code(vm), 77 * 2 + 1);
    }
    doppel_destroy(vm);
    free(path);
}

TEST(linuxboot_set_up_code)
{
    starts("tests/boot/tiny_linux.bin");
}

TEST(multiboot_after_the_bios)
{
    starts("tests/boot/tiny_multiboot.bin");
}

/* A reset starts it again, from the same parts. */
TEST(linuxboot_again)
{
    struct doppel_options o;
    struct doppel_error e;
    if (!dos_possible()) {
        return;
    }
    options(&o, t_build_path("tests/boot/tiny_linux.bin"));
    o.append = "vga=ask vga=788"; /* the first one counts: check 2 */
    o.no_reboot = false;
    struct doppel_vm *vm = doppel_create(&o, &e);
    if (vm) {
        doppel_run(vm, 5000000); /* in the firmware */
        doppel_command(vm, "system_reset", NULL, NULL);
        EXPECT_EQ(doppel_run(vm, LIMIT), DOPPEL_EXIT);
        EXPECT_EQ(doppel_exit_code(vm), 2 * 2 + 1);
    } else {
        FAIL("%s", e.msg);
    }
    doppel_destroy(vm);
}

TEST(linuxboot_refusals)
{
    struct doppel_options o;
    struct doppel_error e;
    if (!dos_possible()) {
        return;
    }
    options(&o, "/usr/share/seabios/bios.bin");
    EXPECT(doppel_create(&o, &e) == NULL && strstr(e.msg, "want others without -bios") != NULL);
    options(&o, t_build_path("tests/boot/tiny_linux.bin"));
    o.initrd = "/usr/share/seabios"; /* a folder */
    EXPECT(doppel_create(&o, &e) == NULL && strstr(e.msg, "initrd /usr/share/seabios") != NULL);
    char text[3000];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = 0;
    options(&o, t_build_path("tests/boot/tiny_linux.bin"));
    o.append = text;
    EXPECT(doppel_create(&o, &e) == NULL && strstr(e.msg, "takes 2047") != NULL);
}
