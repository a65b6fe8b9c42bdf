/*
 * ACPI tables of a machine: put into memory for direct boot, or told to firmware through fw_cfg.
 *
 * The tables say where the PM registers are, which firmware decides; so their file is made when it
 * is first selected after a reset (struct fw_cfg_live), with that one parameter.
 */
#include <assert.h>
#include <stdlib.h>

#include "hw/acpi/tables.h"
#include "hw/firmware/fw_cfg.h"
#include "vm/firmware.h"
#include "vm/vm.h"

#define DIRECT_BASE UINT64_C(0xe0000) /* below 1 MiB, where no firmware is */
#define MAX_BYTES   0x10000u

uint64_t acpi_direct(struct doppel_vm *vm)
{
    struct acpi_desc d;
    if (!vm->board->acpi) {
        return 0;
    }
    uint8_t tables[MAX_BYTES];
    vm->board->acpi(vm, &d);
    d.base = DIRECT_BASE;
    size_t n = acpi_build(&d, tables, sizeof tables);
    assert(n);
    aspace_write_buf(&vm->mem, DIRECT_BASE, tables, n);
    return DIRECT_BASE;
}

static void lay_out(struct doppel_vm *vm, uint32_t pmbase, struct acpi_image *im)
{
    struct acpi_desc d;
    vm->board->acpi(vm, &d);
    d.pmbase = (uint16_t)pmbase;
    bool fits = acpi_layout(&d, im);
    assert(fits);
    (void)fits;
    acpi_loader_prepare(im);
}

static void sample(void *ctx, uint32_t param[FW_CFG_PARAMS])
{
    struct doppel_vm *vm = ctx;
    struct acpi_desc d;
    vm->board->acpi(vm, &d);
    param[0] = d.pmbase;
}

static void build(void *ctx, const uint32_t param[FW_CFG_PARAMS])
{
    struct doppel_vm *vm = ctx;
    uint8_t bytes[MAX_BYTES];
    struct acpi_image im = {.buf = bytes, .cap = sizeof bytes};
    lay_out(vm, param[0], &im);
    fw_cfg_replace(dev_find(&vm->env, "fwcfg"), ACPI_FILE_TABLES, bytes + ACPI_TABLES_AT,
                   im.len - ACPI_TABLES_AT);
}

bool firmware_tell_acpi(struct doppel_vm *vm, struct dev *f, struct err *e)
{
    static const struct fw_cfg_live live = {sample, build};
    if (!vm->board->acpi || !vm->firmware) {
        return true;
    }
    uint8_t bytes[MAX_BYTES], script[ACPI_LOADER_MAX];
    struct acpi_image im = {.buf = bytes, .cap = sizeof bytes};
    lay_out(vm, 0, &im);
    size_t n = acpi_loader(&im, script, sizeof script);
    if (!fw_cfg_add_file(f, ACPI_FILE_RSDP, bytes, ACPI_RSDP_SIZE, e) ||
        !fw_cfg_add_file(f, ACPI_FILE_TABLES, bytes + ACPI_TABLES_AT, im.len - ACPI_TABLES_AT, e) ||
        !fw_cfg_add_file(f, ACPI_FILE_LOADER, script, n, e)) {
        return false;
    }
    fw_cfg_set_live(f, &live, vm);
    fw_cfg_mark_live(f, ACPI_FILE_TABLES);
    return true;
}
