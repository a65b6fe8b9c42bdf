/*
 * The VGA on ISA: always decoded, the frame buffer of VBE modes where the ISA build of the video
 * BIOS expects it, the vertical interrupt on IRQ 2 (9 on the 16-bit bus). Its BIOS comes through
 * fw_cfg (vm/fwcfg.c).
 */
#include "hw/display/vga.h"
#include "hw/hw.h"

#define VGA_ISA_STATE(S, V, A, N) N(S, vga_state, vga, 1, 1)

ST_DECLARE(vga_isa_state, VGA_ISA_STATE);
ST_DESCRIBE(vga_isa_state, VGA_ISA_STATE, 1);

struct vga_isa {
    struct vga vga;
    struct vga_isa_state s;
    uint32_t vgamem_mb, lfb;
};

static bool init(struct dev *d, struct err *e)
{
    struct vga_isa *x = (struct vga_isa *)d;
    uint32_t bytes = x->vgamem_mb << 20;
    if ((x->vgamem_mb & (x->vgamem_mb - 1)) || x->lfb % PAGE_SIZE) {
        return err_set(e, "vgamem_mb=%u, lfb=0x%x: want a power of two, a page",
                       (unsigned)x->vgamem_mb, (unsigned)x->lfb);
    }
    x->vga.has_irq = true;
    if (!vga_init(&x->vga, x->s.vga, bytes, e)) {
        return false;
    }
    if (x->lfb) {
        aspace_map_ram(d->env->mem, x->lfb, bytes, x->vga.vram, 0, false, "vga-lfb", 1);
    }
    return true;
}

static void reset(struct dev *d, enum reset_kind kind)
{
    (void)kind;
    vga_reset((struct vga *)d);
}

static void restored(struct dev *d)
{
    vga_restored((struct vga *)d);
}

static void fini(struct dev *d)
{
    vga_fini((struct vga *)d);
}

static const struct prop props[] = {
    {"vgamem_mb", PROP_U32, offsetof(struct vga_isa, vgamem_mb), "16", 1, 64, "video RAM, MiB"},
    {"lfb", PROP_U32, offsetof(struct vga_isa, lfb), "0xe0000000", 0, 0xf0000000,
     "frame buffer's address; 0: none"},
    {0},
};

static const char *const outputs[] = {"isa9", NULL}; /* IRQ 2 of the 8-bit bus */

const struct dev_class vga_isa_class = {
    .name = "isa-vga",
    .help = "VGA with Bochs VBE on ISA",
    .size = sizeof(struct vga_isa),
    .state_off = offsetof(struct vga_isa, s),
    .state = &vga_isa_state_desc,
    .props = props,
    .pins_out = outputs,
    .init = init,
    .reset = reset,
    .restored = restored,
    .fini = fini,
};
