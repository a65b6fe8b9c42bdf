/*
 * The video BIOS in every mode: a boot sector sets it and draws through the BIOS, and the picture
 * is the one that was looked at when the digest was written down. With T_DUMP=FOLDER each picture
 * is written there as MODE.png, to be looked at again.
 *
 * SeaBIOS's video BIOS addresses dots of 8-bit VBE modes with 16 bits, so those lines wrap at 64
 * KiB; in modes of more bits it writes through the linear frame buffer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/backend_display.h"
#include "doppel.h"
#include "tests/boot/dos.h"
#include "tests/t.h"
#include "util/bits.h"
#include "vm/screen.h"
#include "vm/vm.h"

static uint64_t picture(const struct frame *f)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < (size_t)f->width * f->height; i++) {
        h = (h ^ f->pixel[i]) * UINT64_C(0x100000001b3);
    }
    return h;
}

static struct doppel_vm *boot(const char *image)
{
    char drive[512];
    struct doppel_options o;
    struct doppel_error e;
    doppel_options_init(&o, DOPPEL_ABI);
    o.rtc_epoch = 1700000000;
    o.seed = 1;
    snprintf(drive, sizeof drive, "file=%s,if=floppy,format=raw,snapshot=on", image);
    o.drive[o.ndrives++] = drive;
    o.boot = "order=a";
    struct doppel_vm *vm = doppel_create(&o, &e);
    if (!vm) {
        FAIL("%s", e.msg);
    }
    return vm;
}

/* Until the boot sector is done. */
static bool run(struct doppel_vm *vm)
{
    uint64_t at = 0;
    while (at < 2000000000 && aspace_read(&vm->mem, 0x600, 2) != 0x5aa5) {
        at += 10000000;
        if (doppel_run(vm, at) != DOPPEL_LIMIT) {
            break;
        }
    }
    return EXPECT_EQ(aspace_read(&vm->mem, 0x600, 2), 0x5aa5);
}

static const struct row {
    uint16_t mode, lines, width, height;
    uint64_t picture;
} rows[] = {
    // clang-format off
    {0x00, 0, 720, 400, UINT64_C(0x358b83ebecbcc44b)},
    {0x01, 0, 720, 400, UINT64_C(0x358b83ebecbcc44b)},
    {0x02, 0, 720, 400, UINT64_C(0xa2577e1668d32d20)},
    {0x03, 0, 720, 400, UINT64_C(0xa2577e1668d32d20)},
    {0x04, 200, 640, 400, UINT64_C(0xd098203c8f64a2a1)},
    {0x05, 200, 640, 400, UINT64_C(0xd098203c8f64a2a1)},
    {0x06, 200, 640, 400, UINT64_C(0x0325ff22b363d141)},
    {0x07, 0, 720, 400, UINT64_C(0x13e74d690c919320)},
    {0x0d, 200, 640, 400, UINT64_C(0xdd269504f0e5ecc5)},
    {0x0e, 200, 640, 400, UINT64_C(0x60127ab50344389d)},
    {0x0f, 350, 640, 350, UINT64_C(0xf7f43a81573d2137)},
    {0x10, 350, 640, 350, UINT64_C(0xca228f9929f35dcc)},
    {0x11, 480, 640, 480, UINT64_C(0xf8264dce2c7f04a4)},
    {0x12, 480, 640, 480, UINT64_C(0x234e77eda7b7df8c)},
    {0x13, 200, 640, 400, UINT64_C(0xc93cd6f59255fa15)},
    {0x100, 90, 640, 400, UINT64_C(0x31eeb1cb6ea52cd0)},
    {0x101, 90, 640, 480, UINT64_C(0xab0972e2752f2cd0)},
    {0x102, 400, 800, 600, UINT64_C(0x0065eaeae9b0631c)},
    {0x4103, 70, 800, 600, UINT64_C(0xa297513976a54a2e)},
    {0x4110, 480, 640, 480, UINT64_C(0x22a6baeca348ec6c)},
    {0x4111, 480, 640, 480, UINT64_C(0xb97efdc5eec1626c)},
    {0x4112, 480, 640, 480, UINT64_C(0x234e77eda7b7df8c)},
    {0x4118, 480, 1024, 768, UINT64_C(0x79db2a35972e438c)},
    {0x4142, 480, 640, 480, UINT64_C(0x234e77eda7b7df8c)},
    // clang-format on
};

/* On to where cursor and blinking characters are lit: the third of 32 frames of 449 lines of 900
 * dots at 28.322 MHz, as in every text mode of the BIOS. */
static void go_where_lit(struct doppel_vm *vm)
{
    const uint64_t frame = UINT64_C(14268060);
    while (vm->clock.s.now / frame % 32 != 2) {
        EXPECT_EQ(doppel_run(vm, doppel_icount(vm) + 1000), DOPPEL_LIMIT);
    }
}

/* Half a second on a screen on which nothing changes or blinks: no second frame. */
static void expect_still(struct doppel_vm *vm)
{
    struct doppel_frame f;
    uint64_t seen = 0;
    doppel_frame_request(vm);
    EXPECT_EQ(doppel_run(vm, doppel_icount(vm) + 1000), DOPPEL_LIMIT);
    if (EXPECT(doppel_frame_get(vm, 0, &f))) {
        seen = f.serial;
        doppel_frame_release(vm, &f);
    }
    doppel_frame_request(vm);
    uint64_t until = vm->clock.s.now + 500 * VTIME_MS;
    while (vm->clock.s.now < until) {
        EXPECT_EQ(doppel_run(vm, doppel_icount(vm) + 1000), DOPPEL_LIMIT);
    }
    EXPECT(!doppel_frame_get(vm, seen, &f));
}

static void one_mode(const struct row *row, uint8_t *sector)
{
    const char *dump = getenv("T_DUMP");
    char name[32], path[512];
    uint8_t *image = calloc(1, 1474560);
    t_context("mode %x", row->mode);
    le16_put(sector + 506, row->mode);
    le16_put(sector + 508, row->lines);
    memcpy(image, sector, 512);
    snprintf(name, sizeof name, "vga%x.img", row->mode);
    char *file = dos_write_file(name, image, 1474560);
    free(image);
    struct doppel_vm *vm = file ? boot(file) : NULL;
    struct frame f = {0};
    struct err e;
    if (vm && run(vm)) {
        go_where_lit(vm);
    }
    if (vm && EXPECT(vm->env.display_ops->draw(vm->env.display, &f, true))) {
        EXPECT_EQ(f.width, row->width);
        EXPECT_EQ(f.height, row->height);
        EXPECT_EQ(picture(&f), row->picture);
        snprintf(path, sizeof path, "%s/%03x.png", dump ? dump : "", row->mode);
        if (dump && !screen_dump(vm, path, &e)) {
            FAIL("%s", e.msg);
        }
        if (row->lines) {
            expect_still(vm);
        }
    }
    frame_free(&f);
    doppel_destroy(vm);
    if (file) {
        remove(file);
    }
    free(file);
}

TEST(vga_bios_modes)
{
    if (!dos_possible()) {
        return;
    }
    size_t len;
    uint8_t *sector = dos_read_file(t_build_path("tests/boot/vga_modes.bin"), &len);
    if (sector && EXPECT_EQ(len, 512)) {
        for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
            one_mode(&rows[i], sector);
        }
    }
    free(sector);
}
