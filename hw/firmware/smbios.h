/*
 * SMBIOS 2.8 tables: what the machine is called and made of, for firmware and operating systems.
 */
#ifndef DOPPEL_HW_FIRMWARE_SMBIOS_H
#define DOPPEL_HW_FIRMWARE_SMBIOS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Every string that -smbios can set: name, type, key. */
// clang-format off
#define SMBIOS_STRINGS(X)                                                                          \
    X(BIOS_VENDOR, 0, "vendor") X(BIOS_VERSION, 0, "version") X(BIOS_DATE, 0, "date")              \
    X(SYS_MANUFACTURER, 1, "manufacturer") X(SYS_PRODUCT, 1, "product")                            \
    X(SYS_VERSION, 1, "version") X(SYS_SERIAL, 1, "serial") X(SYS_SKU, 1, "sku")                   \
    X(SYS_FAMILY, 1, "family")                                                                     \
    X(BOARD_MANUFACTURER, 2, "manufacturer") X(BOARD_PRODUCT, 2, "product")                        \
    X(BOARD_VERSION, 2, "version") X(BOARD_SERIAL, 2, "serial") X(BOARD_ASSET, 2, "asset")         \
    X(BOARD_LOCATION, 2, "location")                                                               \
    X(CASE_MANUFACTURER, 3, "manufacturer") X(CASE_VERSION, 3, "version")                          \
    X(CASE_SERIAL, 3, "serial") X(CASE_ASSET, 3, "asset") X(CASE_SKU, 3, "sku")                    \
    X(CPU_SOCKET, 4, "sock_pfx") X(CPU_MANUFACTURER, 4, "manufacturer")                            \
    X(CPU_VERSION, 4, "version") X(CPU_SERIAL, 4, "serial") X(CPU_ASSET, 4, "asset")               \
    X(CPU_PART, 4, "part")                                                                         \
    X(DIMM_LOCATOR, 17, "loc_pfx") X(DIMM_BANK, 17, "bank")                                        \
    X(DIMM_MANUFACTURER, 17, "manufacturer") X(DIMM_SERIAL, 17, "serial")                          \
    X(DIMM_ASSET, 17, "asset") X(DIMM_PART, 17, "part")
// clang-format on

enum smbios_string {
#define X(name, type, key) SMBIOS_##name,
    SMBIOS_STRINGS(X)
#undef X
        SMBIOS_NSTRINGS,
};

enum {
    SMBIOS_ANCHOR = 31,       /* bytes of the entry point */
    SMBIOS_MAX_OEM = 16,      /* strings of type 11 */
    SMBIOS_MAX_BYTES = 32768, /* of tables; the entry point has 16 bits for it */
};

struct smbios_desc {
    const char *str[SMBIOS_NSTRINGS]; /* NULL or "": not said */
    bool bios;                        /* type 0; without it firmware adds its own */
    bool bios_uefi;
    uint8_t bios_major, bios_minor;       /* of its release */
    bool board;                           /* type 2 */
    uint8_t uuid[16];                     /* as it is written; all zeros: none */
    unsigned cpus;                        /* processors, each in a socket of its own */
    uint32_t cpu_signature, cpu_features; /* CPUID leaf 1: EAX, EDX */
    uint16_t max_speed, current_speed;    /* MHz */
    uint16_t dimm_speed;                  /* MT/s; 0: unknown */
    uint64_t ram_low, ram_high;           /* bytes from 0 and from 4 GiB, whole KiB */
    const char *oem[SMBIOS_MAX_OEM];      /* type 11 */
    unsigned noem;
};

/* The structures, up to and with type 127; and the entry point for tables at `addr`. The number of
 * bytes of the structures; 0: more than `cap`. */
size_t smbios_build(const struct smbios_desc *d, uint32_t addr, uint8_t *buf, size_t cap,
                    uint8_t anchor[SMBIOS_ANCHOR]);

#endif
