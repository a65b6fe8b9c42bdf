/*
 * SMBIOS of a machine: the options -smbios and -uuid, the files by which firmware installs the
 * tables, and the tables in memory for a boot without firmware.
 *
 * -smbios is QEMU's: type=N and then keys of that type; several of the same type add up, the later
 * one wins. What can be set is in SMBIOS_STRINGS and in `numbers`.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/sys.h"
#include "hw/firmware/fw_cfg.h"
#include "hw/firmware/smbios.h"
#include "util/keyval.h"
#include "util/suggest.h"
#include "vm/firmware.h"
#include "vm/vm.h"

#define DIRECT_BASE UINT64_C(0xf0000) /* the anchor; the tables follow */
#define DIRECT_MAX  0x8000u
#define MHZ         1000u /* of the time-stamp counter: an instruction takes a nanosecond */

struct opts {
    struct smbios_desc d;
    char *owned[SMBIOS_NSTRINGS + SMBIOS_MAX_OEM];
    unsigned nowned;
};

/* --- -uuid --- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_uuid(const char *option, const char *text, uint8_t uuid[16], struct err *e)
{
    unsigned n = 0;
    const char *p = text;
    while (*p && n < 32) {
        if (n == 8 || n == 12 || n == 16 || n == 20) {
            p += *p == '-';
        }
        int digit = hex_digit(*p);
        if (digit < 0) {
            break;
        }
        uuid[n / 2] = (uint8_t)(uuid[n / 2] << 4 | digit);
        n++;
        p++;
    }
    return (n == 32 && !*p) || err_usage(e,
                                         "%s%s: want 32 hexadecimal digits, "
                                         "as 01234567-89ab-cdef-0123-456789abcdef",
                                         option, text);
}

bool firmware_uuid(const struct doppel_vm *vm, uint8_t uuid[16], struct err *e)
{
    memset(uuid, 0, 16);
    return !vm->opt.uuid || parse_uuid("-uuid ", vm->opt.uuid, uuid, e);
}

/* --- -smbios --- */

static const struct {
    unsigned type;
    const char *key;
} strings[] = {
#define X(name, type, key) {type, key},
    SMBIOS_STRINGS(X)
#undef X
};

static const struct {
    unsigned type;
    const char *key;
    size_t off; /* of the uint16_t */
} numbers[] = {
    {4, "max-speed", offsetof(struct smbios_desc, max_speed)},
    {4, "current-speed", offsetof(struct smbios_desc, current_speed)},
    {17, "speed", offsetof(struct smbios_desc, dimm_speed)},
};

static const char *keep(struct opts *o, const char *value)
{
    char *s = strdup(value);
    if (!s || o->nowned == ARRAY_LEN(o->owned)) {
        abort();
    }
    return o->owned[o->nowned++] = s;
}

/* The i-th key of a type, for suggestions. */
static const char *key_of_type(void *ctx, unsigned i)
{
    unsigned type = *(unsigned *)ctx;
    for (unsigned n = 0; n < ARRAY_LEN(strings); n++) {
        if (strings[n].type == type && i-- == 0) {
            return strings[n].key;
        }
    }
    for (unsigned n = 0; n < ARRAY_LEN(numbers); n++) {
        if (numbers[n].type == type && i-- == 0) {
            return numbers[n].key;
        }
    }
    static const char *const more0[] = {"release", "uefi", NULL}, *const more1[] = {"uuid", NULL},
                             *const more11[] = {"value", NULL}, *const none[] = {NULL};
    const char *const *more = type == 0 ? more0 : type == 1 ? more1 : type == 11 ? more11 : none;
    while (i-- && *more) {
        more++;
    }
    return *more;
}

static bool set_release(struct smbios_desc *d, const struct keyval *kv, struct err *e)
{
    unsigned major, minor;
    char rest;
    if (sscanf(kv->value, "%3u.%3u%c", &major, &minor, &rest) != 2 || major > 255 || minor > 255) {
        return err_usage(e, "-smbios release=%s: want MAJOR.MINOR, each up to 255", kv->value);
    }
    d->bios_major = (uint8_t)major;
    d->bios_minor = (uint8_t)minor;
    return true;
}

/* Keys that are neither a string nor a number. *mine: this was one. */
static bool set_other(struct opts *o, unsigned type, const struct keyval *kv, bool *mine,
                      struct err *e)
{
    *mine = true;
    if (type == 0 && strcmp(kv->key, "release") == 0) {
        return set_release(&o->d, kv, e);
    }
    if (type == 0 && strcmp(kv->key, "uefi") == 0) {
        return keyval_bool(kv, &o->d.bios_uefi, e);
    }
    if (type == 1 && strcmp(kv->key, "uuid") == 0) {
        return parse_uuid("-smbios uuid=", kv->value, o->d.uuid, e);
    }
    if (type == 11 && strcmp(kv->key, "value") == 0) {
        if (o->d.noem == SMBIOS_MAX_OEM) {
            return err_usage(e, "-smbios type=11: more than %d strings", SMBIOS_MAX_OEM);
        }
        o->d.oem[o->d.noem++] = *kv->value ? keep(o, kv->value) : " ";
        return true;
    }
    *mine = false;
    return true;
}

static bool set_key(struct opts *o, unsigned type, const struct keyval *kv, struct err *e)
{
    bool mine;
    if (!set_other(o, type, kv, &mine, e) || mine) {
        return mine && !e->msg[0];
    }
    for (unsigned i = 0; i < ARRAY_LEN(strings); i++) {
        if (strings[i].type == type && strcmp(strings[i].key, kv->key) == 0) {
            if (o->nowned == SMBIOS_NSTRINGS) {
                return err_usage(e, "-smbios: too many values");
            }
            o->d.str[i] = keep(o, kv->value);
            return true;
        }
    }
    for (unsigned i = 0; i < ARRAY_LEN(numbers); i++) {
        if (numbers[i].type == type && strcmp(numbers[i].key, kv->key) == 0) {
            unsigned n;
            if (!keyval_number(kv, 0xffff, &n, e)) {
                return false;
            }
            uint16_t v = (uint16_t)n;
            memcpy((char *)&o->d + numbers[i].off, &v, sizeof v);
            return true;
        }
    }
    return err_usage(e, "-smbios type=%u,%s: not known; the nearest is %s", type,
                     *kv->key ? kv->key : kv->value,
                     suggest_nearest(*kv->key ? kv->key : kv->value, key_of_type, &type));
}

static bool parse_one(struct opts *o, const char *text, struct err *e)
{
    const char *all = text;
    struct keyval kv;
    unsigned type;
    e->msg[0] = 0;
    if (!keyval_next(&text, &kv, e) || strcmp(kv.key, "type") != 0 ||
        !keyval_number(&kv, 127, &type, e) || !key_of_type(&type, 0)) {
        return err_usage(e, "-smbios %s: want type=0, 1, 2, 3, 4, 11 or 17 and its values", all);
    }
    o->d.bios |= type == 0;
    o->d.board |= type == 2;
    while (keyval_next(&text, &kv, e)) {
        if (!set_key(o, type, &kv, e)) {
            return false;
        }
    }
    return !e->msg[0];
}

static void describe(struct doppel_vm *vm, struct smbios_desc *d)
{
    uint32_t leaf[4];
    cpuid_query(vm->cpu[0], 1, 0, leaf);
    *d = (struct smbios_desc){
        .str =
            {
                [SMBIOS_SYS_MANUFACTURER] = "doppel",
                [SMBIOS_SYS_PRODUCT] = "Standard PC (i440FX + PIIX, 1996)",
                [SMBIOS_SYS_VERSION] = vm->board->name,
                [SMBIOS_BOARD_MANUFACTURER] = "doppel",
                [SMBIOS_CASE_MANUFACTURER] = "doppel",
                [SMBIOS_CASE_VERSION] = vm->board->name,
                [SMBIOS_CPU_SOCKET] = "CPU",
                [SMBIOS_CPU_MANUFACTURER] = "doppel",
                [SMBIOS_CPU_VERSION] = vm->board->name,
                [SMBIOS_DIMM_LOCATOR] = "DIMM",
                [SMBIOS_DIMM_MANUFACTURER] = "doppel",
            },
        .cpus = vm->ncpus,
        .cpu_signature = leaf[0],
        .cpu_features = leaf[3],
        .max_speed = MHZ,
        .current_speed = MHZ,
        .ram_low = vm->low_bytes,
        .ram_high = vm->opt.ram_bytes - vm->low_bytes,
    };
}

static void free_opts(struct opts *o)
{
    while (o->nowned) {
        free(o->owned[--o->nowned]);
    }
}

/* The tables for `addr` and their entry point. The number of bytes; 0: e says why. */
static size_t make(struct doppel_vm *vm, uint32_t addr, uint8_t *buf, size_t cap,
                   uint8_t anchor[SMBIOS_ANCHOR], struct err *e)
{
    struct opts o = {0};
    size_t n = 0;
    describe(vm, &o.d);
    bool ok = firmware_uuid(vm, o.d.uuid, e);
    for (unsigned i = 0; ok && i < vm->opt.nsmbios; i++) {
        ok = parse_one(&o, vm->opt.smbios[i], e);
    }
    if (ok) {
        n = smbios_build(&o.d, addr, buf, cap, anchor);
        if (!n) {
            err_usage(e, "-smbios: the strings take more than %zu bytes", cap);
        }
    }
    free_opts(&o);
    return n;
}

bool firmware_tell_smbios(struct doppel_vm *vm, struct dev *f, struct err *e)
{
    uint8_t tables[SMBIOS_MAX_BYTES], anchor[SMBIOS_ANCHOR];
    size_t n = make(vm, 0, tables, DIRECT_MAX - 32, anchor, e);
    if (!n) {
        return false;
    }
    return !vm->firmware || !vm->board->acpi ||
           (fw_cfg_add_file(f, "etc/smbios/smbios-anchor", anchor, sizeof anchor, e) &&
            fw_cfg_add_file(f, "etc/smbios/smbios-tables", tables, n, e));
}

void smbios_direct(struct doppel_vm *vm)
{
    uint8_t bytes[DIRECT_MAX] = {0};
    struct err e;
    if (!vm->board->acpi) {
        return;
    }
    size_t n = make(vm, (uint32_t)DIRECT_BASE + 32, bytes + 32, sizeof bytes - 32, bytes, &e);
    assert(n); /* it did when the machine was made */
    aspace_write_buf(&vm->mem, DIRECT_BASE, bytes, n + 32);
}
