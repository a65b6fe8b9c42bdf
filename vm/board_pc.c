/*
 * The `pc` board: an i440FX/PIIX PC as direct boot needs it. Parts and wires only; what each part
 * is stands in hw/.
 */
#include <inttypes.h>
#include <stdio.h>

#include "hw/acpi/tables.h"
#include "hw/disk/fdc.h"
#include "hw/hw.h"
#include "hw/intc/apic.h"
#include "hw/intc/i8259.h"
#include "hw/pci/pci.h"
#include "vm/firmware.h"
#include "vm/monitor_info.h"
#include "vm/vm.h"

#define PCI_HOLE UINT64_C(0x80000000) /* PCI memory begins here, or behind RAM */
#define PM_BASE  0x600u               /* of the PM registers; SeaBIOS places them there too */

/* The line to every CPU's INIT. */
#define INIT_ALL                                                                                   \
    "init>cpu0.init init>cpu1.init init>cpu2.init init>cpu3.init init>cpu4.init init>cpu5.init "   \
    "init>cpu6.init init>cpu7.init"

// clang-format off
static const struct board_part parts[] = {
    {"cpu%", "cpu", "index=%,seed=$seed", "ferr>ferr.ferr smiact>pci0.smiact%", PART_CPU},

    /* Interrupts. Without local APICs the 8259 drives the CPU itself. */
    {"apicbus", "apicbus", "", "", PART_APIC},
    {"lapic%", "lapic", "id=%,index=%,bsp=$bsp,virtual_wire=$bsp,pic=pic0",
     "intr>cpu%.intr nmi>cpu%.nmi smi>cpu%.smi init>cpu%.init", PART_CPU_APIC},
    {"ioapic", "ioapic", "base=0xfec00000,id=0", "", PART_APIC},
    {"pic1", "i8259", "master=off,iobase=0xa0,elcr=0x4d1", "intr>pic0.ir2", PART_ALWAYS},
    {"pic0", "i8259", "master=on,iobase=0x20,elcr=0x4d0,slave=pic1", "intr>lapic0.lint0|cpu0.intr",
     PART_ALWAYS},

    {"pci0", "i440fx", "reset=$reset", INIT_ALL, PART_ALWAYS},
    /* routed: without firmware nobody sets the routes that tables for the OS could tell. */
    {"isa", "piix3", "bus=pci0,slot=1,routed=$no_firmware",
     "irq3>pic0.ir3 irq4>pic0.ir4 irq5>pic0.ir5 irq6>pic0.ir6 irq7>pic0.ir7 irq9>pic1.ir1 "
     "irq10>pic1.ir2 irq11>pic1.ir3 irq12>pic1.ir4 irq14>pic1.ir6 irq15>pic1.ir7 "
     "irq3>ioapic.pin3 irq4>ioapic.pin4 irq5>ioapic.pin5 irq6>ioapic.pin6 irq7>ioapic.pin7 "
     "irq9>ioapic.pin9 irq10>ioapic.pin10 irq11>ioapic.pin11 irq12>ioapic.pin12 "
     "irq14>ioapic.pin14 irq15>ioapic.pin15", PART_ALWAYS},
    {"pflash%", "pflash", "drive=drive:pflash.%,end=$flash_end", "", PART_FLASH},
    {"vga", "vga", "bus=pci0,slot=2", "", PART_VGA},
    /* enabled=on: out of reset PIIX3's channels do not answer. SeaBIOS enables them (IDETIM), boots
     * without firmware and OVMF, which expects an emulator that does not look, do not. */
    {"ide", "piix3-ide", "bus=pci0,slot=1,enabled=on,drive0=drive:ide.0,drive1=drive:ide.1,"
     "drive2=drive:ide.2,drive3=drive:ide.3",
     "irq14>pic1.ir6 irq14>ioapic.pin14 irq15>pic1.ir7 irq15>ioapic.pin15", PART_ALWAYS},
    {"pm", "piix4-pm", "bus=pci0,slot=1,pmbase=$pmbase",
     "sci>pic1.ir1 sci>ioapic.pin9 smi>cpu0.smi", PART_ALWAYS},

    {"kbc", "i8042", "reset=$reset", "irq1>pic0.ir1 irq1>ioapic.pin1 irq12>pic1.ir4 "
     "irq12>ioapic.pin12 a20>port92.kbc_a20 " INIT_ALL, PART_ALWAYS},
    {"port92", "port92", "reset=$reset", INIT_ALL " a20m>cpu0.a20m a20m>cpu1.a20m "
     "a20m>cpu2.a20m a20m>cpu3.a20m a20m>cpu4.a20m a20m>cpu5.a20m a20m>cpu6.a20m a20m>cpu7.a20m",
     PART_ALWAYS},

    {"ferr", "ferr", "", "irq13>pic1.ir5 irq13>ioapic.pin13 ignne>cpu0.ignne ignne>cpu1.ignne "
     "ignne>cpu2.ignne ignne>cpu3.ignne ignne>cpu4.ignne ignne>cpu5.ignne ignne>cpu6.ignne "
     "ignne>cpu7.ignne", PART_ALWAYS},

    /* The HPET can take the place of the 8254 and the RTC on their interrupts. */
    {"hpet", "hpet", "base=0xfed00000",
     "irq0>pic0.ir0 irq0>ioapic.pin2 irq8>pic1.ir0 irq8>ioapic.pin8 gsi20>ioapic.pin20 "
     "gsi21>ioapic.pin21 gsi22>ioapic.pin22 gsi23>ioapic.pin23", PART_ALWAYS},
    {"pit", "i8254", "iobase=0x40", "out0>hpet.pit", PART_ALWAYS},
    {"rtc", "mc146818", "iobase=0x70,epoch=$epoch,ram=$low_ram,high_ram=$high_ram",
     "irq>hpet.rtc irq>pm.rtc", PART_ALWAYS},
    {"com1", "uart16550", "iobase=0x3f8,chr=chr:serial0,turbo=64",
     "irq>pic0.ir4 irq>ioapic.pin4", PART_ALWAYS},
    {"com2", "uart16550", "iobase=0x2f8,chr=chr:serial1,turbo=64",
     "irq>pic0.ir3 irq>ioapic.pin3", PART_ALWAYS},
    {"com3", "uart16550", "iobase=0x3e8,chr=chr:serial2,turbo=64",
     "irq>pic0.ir4 irq>ioapic.pin4", PART_ALWAYS},
    {"com4", "uart16550", "iobase=0x2e8,chr=chr:serial3,turbo=64",
     "irq>pic0.ir3 irq>ioapic.pin3", PART_ALWAYS},
    {"lpt1", "parport", "iobase=0x378,chr=chr:parallel", "irq>pic0.ir7 irq>ioapic.pin7",
     PART_ALWAYS},
    {"dma0", "i8237", "", "", PART_ALWAYS},
    {"fdc0", "fdc", "dma=dma0,driveA=drive:floppy.0,driveB=drive:floppy.1",
     "irq>pic0.ir6 irq>ioapic.pin6", PART_ALWAYS},
    {"fwcfg", "fw_cfg", "", "", PART_ALWAYS},
    {"debugcon", "debugcon", "iobase=0xe9,chr=chr:debugcon", "", PART_DEBUGCON},
    {"debugcon2", "debugcon", "iobase=0x402,chr=chr:debugcon", "", PART_DEBUGCON},
    {"demo-exit", "isa-debug-exit", "iobase=0x501,iosize=2", "", PART_DEMO},
    {0},
};

static const char *const mandatory[] = {"cpu0.intr", "pic0.ir0", "pic0.ir2", "pic1.ir0",
                                        "hpet.pit",  "hpet.rtc", NULL};
// clang-format on

static void start_up(void *cpu, uint8_t vector)
{
    cpu_sipi(cpu, vector);
}

static const struct cpu_ops cpu_ops = {.sipi = start_up};

/* INTx of every PCI card to the router: pins rotate by slot (PIIX3 as PC boards wire it). PIRQA..D
 * are also the I/O APIC's inputs 16..19, for those who know of them (ACPI's _PRT); what the router
 * sends to an ISA interrupt arrives at that input too (the MP table of firmware says so). */
static bool wire_intx(struct doppel_vm *vm, struct err *e)
{
    struct dev *bus = dev_find(&vm->env, "pci0"), *isa = dev_find(&vm->env, "isa");
    struct dev *ioapic = dev_find(&vm->env, "ioapic");
    for (unsigned devfn = 0; devfn < 256; devfn++) {
        const struct pci_func *f = pci_bus_func(bus, (uint8_t)devfn);
        if (f && f->id->int_pin && dev_has_out(f->dev, "inta")) {
            char pin[8], gsi[8];
            unsigned pirq = ((devfn >> 3) + f->id->int_pin - 2) & 3;
            snprintf(pin, sizeof pin, "pirq%c", "abcd"[pirq]);
            snprintf(gsi, sizeof gsi, "pin%u", 16 + pirq);
            if (!dev_connect(f->dev, "inta", isa, pin, e) ||
                (ioapic && !dev_connect(f->dev, "inta", ioapic, gsi, e))) {
                return false;
            }
        }
    }
    return true;
}

static bool bind(struct doppel_vm *vm, struct err *e)
{
    for (unsigned i = 0; i < vm->ncpus; i++) {
        char name[32];
        snprintf(name, sizeof name, "lapic%u", i);
        struct dev *lapic = dev_find(&vm->env, name);
        if (lapic) {
            lapic_set_cpu(lapic, &cpu_ops, vm->cpu[i]);
            cpu_set_intc(vm->cpu[i], &lapic_intc_ops, lapic);
        }
    }
    if (!vm->cpu[0]->intc) {
        cpu_set_intc(vm->cpu[0], &i8259_intc_ops, dev_find(&vm->env, "pic0"));
    }
    firmware_bind_i440fx(vm, dev_find(&vm->env, "pci0"));
    return wire_intx(vm, e) && board_tell_floppies(vm, e);
}

static void info_pci(struct doppel_vm *vm, struct mon_out *o)
{
    struct dev *bus = dev_find(&vm->env, "pci0");
    for (unsigned devfn = 0; devfn < 256; devfn++) {
        const struct pci_func *f = pci_bus_func(bus, (uint8_t)devfn);
        if (!f) {
            continue;
        }
        mon_printf(o, "00:%02x.%x %04" PRIx32 ":%04" PRIx32 " class %06" PRIx32 "  %s\n",
                   devfn >> 3, devfn & 7, pci_cfg_read(f, PCI_VENDOR, 2),
                   pci_cfg_read(f, PCI_DEVICE, 2), pci_cfg_read(f, PCI_REVISION, 4) >> 8,
                   f->dev->cls->help);
        for (unsigned i = 0; i < PCI_BARS; i++) {
            if (f->bar[i].size) {
                mon_printf(o, "    BAR%u: %s %#" PRIx32 ", %" PRIu64 " bytes\n", i,
                           f->bar[i].io ? "ports" : "memory",
                           pci_cfg_read(f, PCI_BAR0 + 4 * i, 4) & ~UINT32_C(15), f->bar[i].size);
            }
        }
    }
}

/* Where firmware has put the PM registers, or the property of `pm`. */
static uint16_t pm_base(struct doppel_vm *vm)
{
    const struct pci_func *f = pci_bus_func(dev_find(&vm->env, "pci0"), PCI_DEVFN(1, 3));
    return pci_cfg_read(f, PIIX4_PMREGMISC, 1) & 1 ? pci_cfg_read(f, PIIX4_PMBA, 2) & 0xffc0
                                                   : PM_BASE;
}

static void describe_acpi(struct doppel_vm *vm, struct acpi_desc *d)
{
    struct dev *fdc = dev_find(&vm->env, "fdc0");
    unsigned types = fdc ? fdc_floppy_types(fdc) : 0;
    *d = (struct acpi_desc){
        .ncpus = vm->ncpus,
        .apic = cpu_has(vm->cpu[0], FEAT_apic),
        .lapic_addr = 0xfee00000,
        .ioapic_addr = 0xfec00000,
        .pmbase = pm_base(vm),
        .smi_cmd = vm->firmware ? 0xb2 : 0,
        .sleep = vm->firmware != NULL,
        .pci = true,
        .pci_hole = vm->low_bytes > PCI_HOLE ? vm->low_bytes : PCI_HOLE,
        .hpet_addr = dev_find(&vm->env, "hpet") ? 0xfed00000 : 0,
        .i8042 = dev_find(&vm->env, "kbc") != NULL,
        .rtc = dev_find(&vm->env, "rtc") != NULL,
        .fdc = fdc != NULL,
        .floppies = (types & 0xf0 ? 1 : 0) | (types & 0x0f ? 2 : 0),
        .lpt = dev_find(&vm->env, "lpt1") != NULL,
        .fw_cfg = dev_find(&vm->env, "fwcfg") != NULL,
        .ncom = 4,
    };
}

const struct board board_pc = {
    .name = "pc",
    .help = "i440FX/PIIX PC",
    .bios = "bios-256k.bin",
    .nic = "e1000",
    .pam = true,
    .parts = parts,
    .mandatory = mandatory,
    .bind = bind,
    .power_source = "pm.power",
    .key_source = "kbc.key",
    .mouse_source = "kbc.mouse",
    .info_pci = info_pci,
    .acpi = describe_acpi,
};

const struct board *const boards[] = {&board_pc, &board_isapc, NULL};
