/*
 * Debian's firmware on board `pc` and `isapc`: SeaBIOS to its message that there is nothing to
 * boot, OVMF to its shell, on the serial port. Each run twice for equal digests, and once saved and
 * loaded midway.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "doppel.h"
#include "tests/boot/dos.h"
#include "tests/t.h"

struct text {
    char buf[65536];
    size_t len;
};

static void heard(void *ctx, const uint8_t *data, size_t len)
{
    struct text *t = ctx;
    for (size_t i = 0; i < len && t->len + 1 < sizeof t->buf; i++) {
        t->buf[t->len++] = (char)data[i];
    }
    t->buf[t->len] = 0;
}

static struct doppel_vm *make(const struct doppel_options *o, struct text *t)
{
    struct doppel_error e;
    struct doppel_vm *vm = doppel_create(o, &e);
    memset(t, 0, sizeof *t);
    if (vm == NULL) {
        FAIL("%s", e.msg);
        return NULL;
    }
    doppel_serial_listen(vm, 0, heard, t);
    return vm;
}

static uint64_t run(const struct doppel_options *o, uint64_t limit, uint64_t slice, struct text *t)
{
    struct doppel_vm *vm = make(o, t);
    if (vm == NULL) {
        return 0;
    }
    uint64_t at = 0;
    enum doppel_stop why = DOPPEL_LIMIT;
    while (why == DOPPEL_LIMIT && at < limit) {
        at = limit - at < slice ? limit : at + slice;
        why = doppel_run(vm, at);
    }
    EXPECT_EQ(why, DOPPEL_LIMIT);
    uint64_t digest = doppel_digest(vm);
    doppel_destroy(vm);
    return digest;
}

/* Save at `middle`; the one that goes on and the one that was loaded end alike. */
static void run_saved(const struct doppel_options *o, uint64_t middle, uint64_t limit)
{
    static struct text t, t2;
    uint8_t *data;
    size_t len;
    struct doppel_error e;
    struct doppel_vm *a = make(o, &t), *b = make(o, &t2);
    if (a != NULL && b != NULL) {
        EXPECT_EQ(doppel_run(a, middle), DOPPEL_LIMIT);
        doppel_save(a, &data, &len);
        if (!EXPECT(doppel_load(b, data, len, &e))) {
            FAIL("%s", e.msg);
        }
        free(data);
        EXPECT_EQ(doppel_run(a, limit), DOPPEL_LIMIT);
        EXPECT_EQ(doppel_run(b, limit), DOPPEL_LIMIT);
        EXPECT_EQ(doppel_digest(a), doppel_digest(b));
    }
    doppel_destroy(a);
    doppel_destroy(b);
}

static void options(struct doppel_options *o)
{
    doppel_options_init(o, DOPPEL_ABI);
    o->rtc_epoch = 1700000000;
    o->seed = 1;
    o->boot = "order=c";
    o->vga = "none"; /* then SeaBIOS speaks to the serial port */
}

TEST(seabios_no_disk)
{
    static struct text t;
    struct doppel_options o;
    if (!dos_possible()) {
        return;
    }
    options(&o);
    uint64_t first = run(&o, 150000000, 150000000, &t);
    EXPECT(strstr(t.buf, "SeaBIOS (version ") != NULL);
    if (!EXPECT(strstr(t.buf, "No bootable device.") != NULL)) {
        printf("%s\n", t.buf);
    }
    EXPECT_EQ(run(&o, 150000000, 7654321, &t), first);
    run_saved(&o, 40000000, 150000000);
}

static void collect(void *ctx, const char *text, size_t len)
{
    struct text *t = ctx;
    heard(t, (const uint8_t *)text, len);
}

/* The firmware moved SMBASE from 0x30000 by an SMI through port 0xb2, with the handler that it put
 * there by way of SMRAM: port, line, save map, RSM and the memory map all had their part. */
TEST(seabios_moves_smbase)
{
    static struct text t;
    struct doppel_options o;
    if (!dos_possible()) {
        return;
    }
    options(&o);
    struct doppel_vm *vm = make(&o, &t);
    if (vm != NULL) {
        doppel_run(vm, 150000000);
        memset(&t, 0, sizeof t);
        doppel_command(vm, "device_table cpu0", collect, &t);
        const char *row = strstr(t.buf, "smbase ");
        if (!EXPECT(row != NULL && strtoul(row + 7, NULL, 0) == 0xa0000)) {
            printf("%s\n", t.buf);
        }
    }
    doppel_destroy(vm);
}

TEST(seabios_smp)
{
    static struct text t;
    struct doppel_options o;
    if (!dos_possible()) {
        return;
    }
    options(&o);
    o.cpus = 4;
    o.boot = "order=d,reboot-timeout=100";
    o.ram_bytes = UINT64_C(64) << 20;
    uint64_t first = run(&o, 150000000, 150000000, &t);
    EXPECT(strstr(t.buf, "No bootable device.") != NULL);
    EXPECT_EQ(run(&o, 150000000, 999999, &t), first);
}

TEST(seabios_isapc)
{
    static struct text t;
    struct doppel_options o;
    if (!dos_possible()) {
        return;
    }
    options(&o);
    o.machine = "isapc";
    uint64_t first = run(&o, 150000000, 150000000, &t);
    EXPECT(strstr(t.buf, "No bootable device.") != NULL);
    EXPECT_EQ(run(&o, 150000000, 7654321, &t), first);
    run_saved(&o, 40000000, 150000000);
}

TEST(firmware_errors)
{
    struct doppel_options o;
    struct doppel_error e;
    options(&o);
    o.bios = "OVMF_no_such.fd";
    EXPECT(doppel_create(&o, &e) == NULL);
    EXPECT(strstr(e.msg, "\"ovmf\"") != NULL);
    o.bios = "no-such-bios.bin";
    EXPECT(doppel_create(&o, &e) == NULL);
    EXPECT(strstr(e.msg, "\"seabios\"") != NULL);
    options(&o);
    o.boot = "order=cc";
    EXPECT(doppel_create(&o, &e) == NULL && e.usage);
    o.boot = "ordre=c";
    EXPECT(doppel_create(&o, &e) == NULL && e.usage && strstr(e.msg, "order") != NULL);
}
