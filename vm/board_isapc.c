/*
 * The `isapc` board: a PC/AT without PCI, for systems older than it. Parts and wires only.
 *
 * What an AT has and nothing else, so that old systems find no more than they know: two 8259s, an
 * 8254, the RTC, keyboard, DMA, floppies, serial and parallel ports, and cards on the ISA bus. No
 * local or I/O APIC, HPET, ACPI: a CPU model that brings a local APIC is made without it, as a chip
 * whose APIC pins are not wired. One CPU.
 */
#include "hw/hw.h"
#include "hw/intc/i8259.h"
#include "vm/vm.h"

// clang-format off
static const struct board_part parts[] = {
    {"cpu%", "cpu", "index=%,seed=$seed", "ferr>ferr.ferr", PART_CPU},
    {"pic1", "i8259", "master=off,iobase=0xa0,elcr=0x4d1", "intr>pic0.ir2", PART_ALWAYS},
    {"pic0", "i8259", "master=on,iobase=0x20,elcr=0x4d0,slave=pic1", "intr>cpu0.intr",
     PART_ALWAYS},
    {"kbc", "i8042", "reset=$reset", "irq1>pic0.ir1 irq12>pic1.ir4 a20>port92.kbc_a20 "
     "init>cpu0.init", PART_ALWAYS},
    {"port92", "port92", "reset=$reset", "a20m>cpu0.a20m init>cpu0.init", PART_ALWAYS},
    {"ferr", "ferr", "", "irq13>pic1.ir5 ignne>cpu0.ignne", PART_ALWAYS},
    {"pit", "i8254", "iobase=0x40", "out0>pic0.ir0", PART_ALWAYS},
    {"rtc", "mc146818", "iobase=0x70,epoch=$epoch,ram=$low_ram,high_ram=$high_ram",
     "irq>pic1.ir0", PART_ALWAYS},
    {"dma0", "i8237", "", "", PART_ALWAYS},
    {"fdc0", "fdc", "dma=dma0,driveA=drive:floppy.0,driveB=drive:floppy.1", "irq>pic0.ir6",
     PART_ALWAYS},
    {"ide0", "isa-ide", "iobase=0x1f0,iobase2=0x3f6,drive0=drive:ide.0,drive1=drive:ide.1",
     "irq>pic1.ir6", PART_ALWAYS},
    {"ide1", "isa-ide", "iobase=0x170,iobase2=0x376,drive0=drive:ide.2,drive1=drive:ide.3",
     "irq>pic1.ir7", PART_ALWAYS},
    {"com1", "uart16550", "iobase=0x3f8,chr=chr:serial0,turbo=64", "irq>pic0.ir4", PART_ALWAYS},
    {"com2", "uart16550", "iobase=0x2f8,chr=chr:serial1,turbo=64", "irq>pic0.ir3", PART_ALWAYS},
    {"com3", "uart16550", "iobase=0x3e8,chr=chr:serial2,turbo=64", "irq>pic0.ir4", PART_ALWAYS},
    {"com4", "uart16550", "iobase=0x2e8,chr=chr:serial3,turbo=64", "irq>pic0.ir3", PART_ALWAYS},
    {"lpt1", "parport", "iobase=0x378,chr=chr:parallel", "irq>pic0.ir7", PART_ALWAYS},
    {"vga", "isa-vga", "", "", PART_VGA},
    {"fwcfg", "fw_cfg", "", "", PART_ALWAYS},
    {"debugcon", "debugcon", "iobase=0xe9,chr=chr:debugcon", "", PART_DEBUGCON},
    {"debugcon2", "debugcon", "iobase=0x402,chr=chr:debugcon", "", PART_DEBUGCON},
    {"demo-exit", "isa-debug-exit", "iobase=0x501,iosize=2", "", PART_DEMO},
    {0},
};
// clang-format on

static const char *const mandatory[] = {"cpu0.intr", "pic0.ir0", "pic0.ir2", "pic1.ir0", NULL};

static bool bind(struct doppel_vm *vm, struct err *e)
{
    cpu_set_intc(vm->cpu[0], &i8259_intc_ops, dev_find(&vm->env, "pic0"));
    return board_tell_floppies(vm, e);
}

const struct board board_isapc = {
    .name = "isapc",
    .help = "PC/AT with an ISA bus only",
    .bios = "bios.bin",
    .nic = "ne2k_isa",
    .parts = parts,
    .mandatory = mandatory,
    .cpu = "486",
    .cpu_without = ",-apic,-x2apic,-tsc_deadline",
    .max_cpus = 1,
    .bind = bind,
    .key_source = "kbc.key",
    .mouse_source = "kbc.mouse",
};
