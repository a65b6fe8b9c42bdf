/*
 * What firmware is told: the items and files of fw_cfg, and CMOS RAM. The names and layouts are
 * those that SeaBIOS and OVMF look for.
 *
 * -boot: order and once are letters, a or b floppy, c disk, d CD, n network. SeaBIOS takes the
 * order from CMOS (0x3d and the upper half of 0x38, a half byte each) or the file "bootorder";
 * `once` counts until the first reset.
 *
 * Sources: QEMU, docs/specs/fw_cfg; SeaBIOS, docs/Runtime_config.md; ACPI 6.4, 15 (E820).
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "hw/acpi/tables.h"
#include "hw/firmware/fw_cfg.h"
#include "hw/timer/mc146818.h"
#include "util/bits.h"
#include "util/suggest.h"
#include "vm/boot.h"
#include "vm/files.h"
#include "vm/firmware.h"
#include "vm/vm.h"

enum {
    CMOS_SHUTDOWN = 0x0f, /* why the CPU was reset */
    SHUTDOWN_RESUME = 0xfe,
    CMOS_BOOT_HIGH = 0x38, /* third device in the upper half; bit 0: do not check floppies */
    CMOS_TRANSLATION = 0x39,
    CMOS_BOOT_LOW = 0x3d,
    CMOS_CPUS = 0x5f,
    LBA_TRANSLATION = 0x55, /* of four disks, two bits each: what SeaBIOS does by itself on
                               hardware; right for every disk with 16 heads and 63 sectors */
    E820_ENTRY = 20,
};

/* --- -boot --- */

struct boot_opts {
    char order[8], once[8];
    bool menu, ordered;           /* ordered: the user said order= */
    uint32_t splash_ms, retry_ms; /* UINT32_MAX: not said */
};

static const char *const boot_keys[] = {"order",       "once",           "menu",
                                        "splash-time", "reboot-timeout", NULL};

static const char *boot_key(void *ctx, unsigned i)
{
    (void)ctx;
    return boot_keys[i];
}

static bool set_letters(char out[8], const char *v, struct err *e)
{
    unsigned seen = 0;
    size_t n = 0;
    for (; v[n]; n++) {
        unsigned bit = v[n] >= 'a' && v[n] <= 'p' ? 1u << (v[n] - 'a') : 0;
        if (!bit || !strchr("abcdn", v[n]) || (seen & bit)) {
            return err_usage(e, "-boot %s: want each of a, b, c, d, n once at most", v);
        }
        seen |= bit;
    }
    memset(out, 0, 8);
    memcpy(out, v, n); /* five letters at most */
    return true;
}

static bool set_ms(uint32_t *out, const char *key, const char *v, uint32_t max, struct err *e)
{
    char *end;
    errno = 0;
    unsigned long long n = strtoull(v, &end, 10);
    if (*v < '0' || *v > '9' || *end || errno || n > max) {
        return err_usage(e, "-boot %s=%s: want 0 to %" PRIu32 " ms", key, v, max);
    }
    *out = (uint32_t)n;
    return true;
}

static bool set_boot(struct boot_opts *b, const char *key, const char *v, struct err *e)
{
    if (strcmp(key, "order") == 0) {
        b->ordered = true;
        return set_letters(b->order, v, e);
    }
    if (strcmp(key, "once") == 0) {
        return set_letters(b->once, v, e);
    }
    if (strcmp(key, "menu") == 0) {
        b->menu = strcmp(v, "on") == 0;
        return b->menu || strcmp(v, "off") == 0 || err_usage(e, "-boot menu=%s: want on or off", v);
    }
    if (strcmp(key, "splash-time") == 0) {
        return set_ms(&b->splash_ms, key, v, 0xffff, e);
    }
    if (strcmp(key, "reboot-timeout") == 0) {
        return set_ms(&b->retry_ms, key, v, 0xffff, e);
    }
    return err_usage(e, "-boot %s: not known; the nearest is %s", key,
                     suggest_nearest(key, boot_key, NULL));
}

/* "order=dca,menu=on", or letters alone. */
static bool parse_boot(const struct doppel_vm *vm, struct boot_opts *b, struct err *e)
{
    *b = (struct boot_opts){.order = "cad", .splash_ms = UINT32_MAX, .retry_ms = UINT32_MAX};
    const char *text = vm->opt.boot ? vm->opt.boot : "";
    if (*text && !strchr(text, '=')) {
        b->ordered = true;
        return set_letters(b->order, text, e);
    }
    while (*text) {
        char item[64];
        size_t n = strcspn(text, ",");
        if (n >= sizeof item) {
            return err_usage(e, "-boot %s: too long", text);
        }
        memcpy(item, text, n);
        item[n] = 0;
        char *eq = strchr(item, '=');
        if (!eq) {
            return err_usage(e, "-boot %s: want order=..., menu=on and the like", item);
        }
        *eq = 0;
        if (!set_boot(b, item, eq + 1, e)) {
            return false;
        }
        text += n + (text[n] == ',');
    }
    return true;
}

/* --- CMOS --- */

static unsigned boot_nibble(char letter)
{
    switch (letter) {
    case 'a':
    case 'b':
        return 1;
    case 'c':
        return 2;
    case 'd':
        return 3;
    case 'n':
        return 4;
    default:
        return 0;
    }
}

void firmware_tell_cmos(struct doppel_vm *vm, enum reset_kind kind)
{
    struct dev *rtc = dev_find(&vm->env, "rtc");
    struct boot_opts b;
    struct err e;
    if (!rtc || !parse_boot(vm, &b, &e)) {
        return;
    }
    if (kind == RESET_WAKE) {
        mc146818_set_cmos(rtc, CMOS_SHUTDOWN, SHUTDOWN_RESUME);
        return;
    }
    const char *o = kind == RESET_COLD && b.once[0] ? b.once : b.order;
    unsigned first = boot_nibble(o[0]), second = first ? boot_nibble(o[1]) : 0;
    unsigned third = second ? boot_nibble(o[2]) : 0;
    mc146818_set_cmos(rtc, CMOS_BOOT_LOW, (uint8_t)(second << 4 | first));
    mc146818_set_cmos(rtc, CMOS_BOOT_HIGH, (uint8_t)(third << 4));
    mc146818_set_cmos(rtc, CMOS_TRANSLATION, LBA_TRANSLATION);
    mc146818_set_cmos(rtc, CMOS_CPUS, (uint8_t)(vm->ncpus - 1));
}

/* --- fw_cfg --- */

static void put_e820(uint8_t *p, uint64_t base, uint64_t len, uint32_t type)
{
    le64_put(p, base);
    le64_put(p + 8, len);
    le32_put(p + 16, type);
}

static bool add_e820(struct doppel_vm *vm, struct dev *f, struct err *e)
{
    uint8_t map[2 * E820_ENTRY];
    uint64_t high = vm->opt.ram_bytes - vm->low_bytes;
    put_e820(map, 0, vm->low_bytes, E820_RAM);
    put_e820(map + E820_ENTRY, VM_HIGH, high, E820_RAM);
    return fw_cfg_add_file(f, "etc/e820", map, high ? sizeof map : E820_ENTRY, e);
}

static void add_items(struct doppel_vm *vm, struct dev *f, const struct boot_opts *b)
{
    uint8_t uuid[16];
    struct err e;
    bool blind = !vm->env.display, known = firmware_uuid(vm, uuid, &e);
    assert(known); /* firmware_tell_smbios has looked */
    (void)known;
    fw_cfg_add(f, FW_CFG_UUID, uuid, sizeof uuid);
    fw_cfg_add_num(f, FW_CFG_RAM_SIZE, 8, vm->opt.ram_bytes);
    fw_cfg_add_num(f, FW_CFG_NOGRAPHIC, 2, blind); /* then SeaBIOS uses the serial port */
    fw_cfg_add_num(f, FW_CFG_NB_CPUS, 2, vm->ncpus);
    fw_cfg_add_num(f, FW_CFG_NUMA, 8, 0);
    fw_cfg_add_num(f, FW_CFG_BOOT_MENU, 2, b->menu);
    fw_cfg_add_num(f, FW_CFG_MAX_CPUS, 2, vm->ncpus);
    fw_cfg_add_num(f, FW_CFG_IRQ0_OVERRIDE, 1, 1); /* the PIT is at the I/O APIC's pin 2 */
}

static bool add_num_file(struct dev *f, const char *name, unsigned size, uint32_t val,
                         struct err *e)
{
    uint8_t bytes[4];
    le32_put(bytes, val);
    return val == UINT32_MAX || fw_cfg_add_file(f, name, bytes, size, e);
}

/* An ISA adapter has no ROM BAR: SeaBIOS takes its BIOS from here. */
static bool add_vga_rom(struct doppel_vm *vm, struct dev *f, struct err *e)
{
    uint8_t *data;
    size_t len;
    if (vm->board->info_pci || !vm->env.display ||
        !firmware_file(vm, "vgabios-isavga.bin", &data, &len)) {
        return true;
    }
    bool ok = fw_cfg_add_file(f, "vgaroms/vgabios-isavga.bin", data, len, e);
    free(data);
    return ok;
}

/* -fw_cfg name=NAME,file=PATH or name=NAME,string=TEXT (to the end, commas and all). */
static bool add_user(struct doppel_vm *vm, struct dev *f, const char *text, struct err *e)
{
    char name[FW_CFG_NAME_MAX];
    const char *v = strncmp(text, "name=", 5) == 0 ? text + 5 : text;
    size_t n = strcspn(v, ",");
    bool file = strncmp(v + n, ",file=", 6) == 0, string = strncmp(v + n, ",string=", 8) == 0;
    if ((!file && !string) || n >= sizeof name) {
        return err_usage(e, "-fw_cfg %s: want name=NAME,file=PATH or name=NAME,string=TEXT", text);
    }
    memcpy(name, v, n);
    name[n] = 0;
    if (string) {
        return fw_cfg_add_file(f, name, v + n + 8, strlen(v + n + 8), e);
    }
    struct image img;
    bool ok = files_read(vm, &img, v + n + 6, "-fw_cfg", 16u << 20, e) &&
              fw_cfg_add_file(f, name, img.data, img.len, e);
    image_free(&img);
    return ok;
}

bool firmware_fill(struct doppel_vm *vm, struct err *e)
{
    struct dev *f = dev_find(&vm->env, "fwcfg");
    struct boot_opts b;
    if (!parse_boot(vm, &b, e)) {
        return false;
    }
    if (!f) {
        return true;
    }
    /* S0 to S5: bit 7: there is one; its sleep type. */
    static const uint8_t states[6] = {
        0x80, 0, 0, 0x80 | ACPI_SLP_S3, 0x80 | ACPI_SLP_S4, 0x80 | ACPI_SLP_S5};
    bool by_rom = vm->firmware && vm->opt.kernel; /* the kernel comes before all drives */
    if (!firmware_tell_smbios(vm, f, e)) {
        return false;
    }
    add_items(vm, f, &b);
    if (!add_e820(vm, f, e) || !firmware_tell_acpi(vm, f, e) ||
        !fw_cfg_add_file(f, "etc/system-states", states, 6, e) ||
        !add_num_file(f, "etc/boot-menu-wait", 2, b.splash_ms, e) ||
        !add_num_file(f, "etc/boot-fail-wait", 4, b.retry_ms, e) || !add_vga_rom(vm, f, e) ||
        !firmware_tell_order(vm, by_rom ? NULL : f, b.ordered && !b.once[0] ? b.order : "", e)) {
        return false;
    }
    if (by_rom && !boot_tell_firmware(vm, f, e)) {
        return false;
    }
    for (unsigned i = 0; i < vm->opt.nfw_cfg; i++) {
        if (!add_user(vm, f, vm->opt.fw_cfg[i], e)) {
            return false;
        }
    }
    return true;
}
