/*
 * The PCI test device of kvm-unit-tests and other guests' bus tests (1b36:0005): a guest picks a
 * test by number, is told where, how wide and what to write, and reads back how many such writes
 * arrived. BAR 0 is 4 KiB of memory, BAR 1 256 ports; each begins with the same header:
 *
 *   00 test (write)  01 width  04 offset  08 data  0c count  10 name, ends with 0
 *
 * Tests 0 to 2 exist on each BAR, named after the ways in which a hypervisor hears of a write; here
 * all are one. Tests 0 and 2 count only writes of `data`, test 1 those of any value. A test that
 * does not exist stops the one before, and everything reads as 0 then: width 0 says "no such test".
 *
 * Source: QEMU docs/specs/pci-testdev.rst; the names and numbers are those that guests know.
 */
#include "hw/hw.h"

#include <stdio.h>
#include <string.h>

#include "hw/pci/pci.h"
#include "util/bits.h"

enum {
    TESTS = 3,
    NO_TEST = 0xff,
    MEM_SIZE = 0x1000,
    IO_SIZE = 0x100,
    HDR_NAME = 0x10,
    HDR_SIZE = 0x28,
    DATA_MATCHED = 0xfa,
    DATA_ANY = 0xce,
};

/* `current` is bar * TESTS + test, or NO_TEST. */
#define PCI_TESTDEV_STATE(S, V, A, N)                                                              \
    V(S, uint8_t, current, 1)                                                                      \
    V(S, uint32_t, count, 1)                                                                       \
    N(S, pci_cfg, pci, 1, 1)

ST_DECLARE(pci_testdev_state, PCI_TESTDEV_STATE);
ST_DESCRIBE(pci_testdev_state, PCI_TESTDEV_STATE, 1);

struct pci_testdev {
    struct dev dev;
    struct pci_testdev_state s;
    struct pci_func pci;
    uint32_t slot;
    char bus[32];
};

static const struct pci_ident ident = {
    .vendor = 0x1b36,
    .device = 0x0005,
    .subsys_vendor = 0x1af4,
    .subsys = 0x1100,
    .class_code = 0xff0000,
};

/* Where test `t` wants its writes: behind the header, each test at a byte of its own. */
static uint32_t test_offset(unsigned t)
{
    return (t < TESTS ? MEM_SIZE / 2 : IO_SIZE / 2) + t;
}

static uint8_t test_data(unsigned t)
{
    return t % TESTS == 1 ? DATA_ANY : DATA_MATCHED;
}

static void header_fill(const struct pci_testdev *p, uint8_t hdr[HDR_SIZE])
{
    static const char *const names[TESTS] = {"no-eventfd", "wildcard-eventfd", "datamatch-eventfd"};
    unsigned t = p->s.current;
    memset(hdr, 0, HDR_SIZE);
    if (t >= 2 * TESTS) {
        return;
    }
    hdr[0] = (uint8_t)t;
    hdr[1] = 1;
    le32_put(hdr + 4, test_offset(t));
    hdr[8] = test_data(t);
    le32_put(hdr + 12, p->s.count);
    snprintf((char *)hdr + HDR_NAME, HDR_SIZE - HDR_NAME, "%s-%s", t < TESTS ? "mmio" : "portio",
             names[t % TESTS]);
}

static uint64_t testdev_read(struct dev *d, uint64_t off, unsigned size)
{
    uint8_t hdr[HDR_SIZE];
    header_fill((struct pci_testdev *)d, hdr);
    uint64_t v = 0;
    for (unsigned i = 0; i < size && off + i < HDR_SIZE; i++) {
        v |= (uint64_t)hdr[off + i] << (8 * i);
    }
    return v;
}

static void testdev_write(struct pci_testdev *p, unsigned bar, uint64_t off, unsigned size,
                          uint64_t val)
{
    if (off == 0) {
        unsigned test = (unsigned)(val & 0xff);
        p->s.current = test < TESTS ? (uint8_t)(bar * TESTS + test) : NO_TEST;
        p->s.count = 0;
        return;
    }
    unsigned t = p->s.current;
    if (t >= 2 * TESTS || off != test_offset(t)) {
        return;
    }
    if (t % TESTS == 1 || (size == 1 && val == test_data(t))) {
        p->s.count++;
    }
}

static void mem_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    testdev_write((struct pci_testdev *)d, 0, off, size, val);
}

static void io_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    testdev_write((struct pci_testdev *)d, 1, off, size, val);
}

static const struct io_ops mem_ops = {testdev_read, mem_write, 1, 8};
static const struct io_ops io_ops = {testdev_read, io_write, 1, 4};

static bool pci_testdev_init(struct dev *d, struct err *e)
{
    struct pci_testdev *p = (struct pci_testdev *)d;
    if (!pci_func_init(&p->pci, d, p->s.pci, &ident, p->bus, pci_slot_devfn(p->slot), e)) {
        return false;
    }
    pci_bar_mem(&p->pci, 0, MEM_SIZE, &mem_ops, d->name);
    pci_bar_io(&p->pci, 1, IO_SIZE, &io_ops, d->name);
    return true;
}

static void pci_testdev_reset(struct dev *d, enum reset_kind kind)
{
    struct pci_testdev *p = (struct pci_testdev *)d;
    (void)kind;
    pci_func_reset(&p->pci);
    p->s.current = NO_TEST;
    p->s.count = 0;
}

static void pci_testdev_restored(struct dev *d)
{
    pci_func_restored(&((struct pci_testdev *)d)->pci);
}

static const struct prop pci_testdev_props[] = {
    {"bus", PROP_STR, offsetof(struct pci_testdev, bus), "pci0", 0, 0, "name of the host bridge"},
    {"slot", PROP_U32, offsetof(struct pci_testdev, slot), "32", 0, 32, "PCI device; 32: any"},
    {0},
};

const struct dev_class pci_testdev_class = {
    .name = "pci-testdev",
    .help = "PCI registers that count writes, for kvm-unit-tests",
    .size = sizeof(struct pci_testdev),
    .state_off = offsetof(struct pci_testdev, s),
    .state = &pci_testdev_state_desc,
    .props = pci_testdev_props,
    .init = pci_testdev_init,
    .reset = pci_testdev_reset,
    .restored = pci_testdev_restored,
};
