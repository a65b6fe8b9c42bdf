/*
 * The VGA on PCI (1234:1111): frame buffer in BAR 0, registers in BAR 2, video BIOS in the ROM.
 *
 * BAR 2: EDID at 0, the ports 0x3c0..0x3df at 0x400, the VBE registers at 0x500, two bytes each; at
 * 0x600 the size of what follows and the byte order of the frame buffer (little).
 *
 * Source: "QEMU Standard VGA" (docs/specs/standard-vga), for the layout; VESA E-EDID 1.4.
 */
#include "hw/display/vga.h"
#include "hw/hw.h"
#include "hw/pci/pci.h"
#include "util/bits.h"

enum { MMIO_SIZE = 4096, PORTS = 0x400, DISPI = 0x500, EXTRA = 0x600, LITTLE = 0x1e1e1e1e };

#define VGA_PCI_STATE(S, V, A, N)                                                                  \
    N(S, pci_cfg, pci, 1, 1)                                                                       \
    N(S, vga_state, vga, 1, 1)

ST_DECLARE(vga_pci_state, VGA_PCI_STATE);
ST_DESCRIBE(vga_pci_state, VGA_PCI_STATE, 1);

struct vga_pci {
    struct vga vga;
    struct pci_func pci;
    struct vga_pci_state s;
    uint32_t slot, vgamem_mb;
    char bus[32];
};

static const struct pci_ident ident = {
    .vendor = 0x1234,
    .device = 0x1111,
    .subsys_vendor = 0x1af4,
    .subsys = 0x1100,
    .class_code = 0x030000,
    .revision = 2,
};

/* 1024 x 768 at 60 Hz preferred; 640 x 480 and 800 x 600 too. */
static uint8_t edid(unsigned off)
{
    static const uint8_t base[126] = {
        0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x12, 0x0c, 0x01, 0x00, 0x01, 0x00,
        0x00, 0x00, 0x01, 0x1e, 0x01, 0x04, 0xa5, 0x20, 0x18, 0x78, 0x06, 0xee, 0x91, 0xa3,
        0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54, 0x21, 0x08, 0x00, 0x01, 0x01, 0x01, 0x01,
        0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x64, 0x19,
        0x00, 0x40, 0x41, 0x00, 0x26, 0x30, 0x18, 0x88, 0x36, 0x00, 0x40, 0xf0, 0x10, 0x00,
        0x00, 0x18, 0x00, 0x00, 0x00, 0xfc, 0x00, 'd',  'o',  'p',  'p',  'e',  'l',  '\n',
        ' ',  ' ',  ' ',  ' ',  ' ',  ' ',  0x00, 0x00, 0x00, 0xfd, 0x00, 0x32, 0x55, 0x1e,
        0xa0, 0x1e, 0x00, '\n', ' ',  ' ',  ' ',  ' ',  ' ',  ' ',  0x00, 0x00, 0x00, 0x10};
    if (off < sizeof base) {
        return base[off];
    }
    uint8_t sum = 0;
    for (unsigned i = 0; i < sizeof base; i++) {
        sum = (uint8_t)(sum + base[i]);
    }
    return off == 127 ? (uint8_t)-sum : 0;
}

static uint64_t mmio_read(struct dev *d, uint64_t off, unsigned size)
{
    struct vga *v = (struct vga *)d;
    uint64_t val = 0;
    for (unsigned i = 0; i < size; i++) {
        unsigned at = (unsigned)off + i;
        uint8_t b = 0;
        if (at < 256) {
            b = edid(at);
        } else if (at >= PORTS && at < PORTS + 0x20) {
            b = vga_port_read(v, 0x3c0 + at - PORTS);
        } else if (at >= DISPI && at < DISPI + 2 * VBE_REGS) {
            b = (uint8_t)(vbe_read(v, (at - DISPI) / 2) >> (at & 1 ? 8 : 0));
        } else if (at >= EXTRA && at < EXTRA + 8) {
            b = at == EXTRA ? 8 : at < EXTRA + 4 ? 0 : LITTLE & 0xff;
        }
        val |= (uint64_t)b << (8 * i);
    }
    return val;
}

static void mmio_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    struct vga *v = (struct vga *)d;
    if (off >= DISPI && off < DISPI + 2 * VBE_REGS) {
        if (size >= 2) {
            vbe_write(v, ((unsigned)off - DISPI) / 2, (uint16_t)val);
        }
        return;
    }
    for (unsigned i = 0; i < size; i++) {
        unsigned at = (unsigned)off + i;
        if (at >= PORTS && at < PORTS + 0x20) {
            vga_port_write(v, 0x3c0 + at - PORTS, (uint8_t)(val >> (8 * i)));
        }
    }
}

static const struct io_ops mmio_ops = {mmio_read, mmio_write, 1, 2};

static void written(struct pci_func *f, unsigned off, unsigned size)
{
    struct vga_pci *x = (struct vga_pci *)f->dev;
    uint8_t command = f->s->cfg[PCI_COMMAND];
    if (off <= PCI_COMMAND && off + size > PCI_COMMAND) {
        vga_decode(&x->vga, command & PCI_COMMAND_IO, command & PCI_COMMAND_MEM);
    }
}

static bool init(struct dev *d, struct err *e)
{
    struct vga_pci *x = (struct vga_pci *)d;
    uint32_t bytes = x->vgamem_mb << 20;
    if (x->vgamem_mb & (x->vgamem_mb - 1)) {
        return err_set(e, "vgamem_mb=%u: want a power of two", (unsigned)x->vgamem_mb);
    }
    e->msg[0] = 0;
    if (!pci_func_init(&x->pci, d, x->s.pci, &ident, x->bus, pci_slot_devfn(x->slot), e) ||
        !vga_init(&x->vga, x->s.vga, bytes, e)) {
        return false;
    }
    x->pci.written = written;
    pci_bar_ram(&x->pci, 0, bytes, x->vga.vram, false, "vga-lfb");
    x->pci.initial[PCI_BAR0] = 8; /* prefetchable */
    pci_bar_mem(&x->pci, 2, MMIO_SIZE, &mmio_ops, "vga-mmio");
    return pci_rom_file(&x->pci, "vgabios-stdvga.bin", e) || !e->msg[0];
}

static void reset(struct dev *d, enum reset_kind kind)
{
    struct vga_pci *x = (struct vga_pci *)d;
    (void)kind;
    pci_func_reset(&x->pci);
    vga_reset(&x->vga);
    written(&x->pci, PCI_COMMAND, 1);
}

static void restored(struct dev *d)
{
    struct vga_pci *x = (struct vga_pci *)d;
    pci_func_restored(&x->pci);
    written(&x->pci, PCI_COMMAND, 1);
    vga_restored(&x->vga);
}

static void fini(struct dev *d)
{
    vga_fini((struct vga *)d);
}

static const struct prop props[] = {
    {"bus", PROP_STR, offsetof(struct vga_pci, bus), "pci0", 0, 0, "host bridge"},
    {"slot", PROP_U32, offsetof(struct vga_pci, slot), "32", 0, 32, "PCI slot; 32: a free one"},
    {"vgamem_mb", PROP_U32, offsetof(struct vga_pci, vgamem_mb), "16", 1, 64, "video RAM, MiB"},
    {0},
};

const struct dev_class vga_pci_class = {
    .name = "vga",
    .help = "VGA with Bochs VBE on PCI",
    .size = sizeof(struct vga_pci),
    .state_off = offsetof(struct vga_pci, s),
    .state = &vga_pci_state_desc,
    .props = props,
    .init = init,
    .reset = reset,
    .restored = restored,
    .fini = fini,
};
