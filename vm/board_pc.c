/*
 * The `pc` board: an i440FX/PIIX PC as direct boot needs it. Parts and wires only; what each part
 * is stands in hw/.
 */
#include <stdio.h>

#include "hw/hw.h"
#include "hw/intc/apic.h"
#include "hw/intc/i8259.h"
#include "vm/vm.h"

// clang-format off
static const struct board_part parts[] = {
    {"cpu%", "cpu", "model=$cpu,index=%,seed=$seed", "", PART_CPU},

    /* Interrupts. Without local APICs the 8259 drives the CPU itself. */
    {"apicbus", "apicbus", "", "", PART_APIC},
    {"lapic%", "lapic", "id=%,index=%,bsp=$bsp,virtual_wire=$bsp,pic=pic0",
     "intr>cpu%.intr nmi>cpu%.nmi smi>cpu%.smi init>cpu%.init", PART_CPU_APIC},
    {"ioapic", "ioapic", "base=0xfec00000,id=0", "", PART_APIC},
    {"pic1", "i8259", "master=off,iobase=0xa0,elcr=0x4d1", "intr>pic0.ir2", PART_ALWAYS},
    {"pic0", "i8259", "master=on,iobase=0x20,elcr=0x4d0,slave=pic1", "intr>lapic0.lint0|cpu0.intr",
     PART_ALWAYS},

    {"pit", "i8254", "iobase=0x40", "out0>pic0.ir0 out0>ioapic.pin2", PART_ALWAYS},
    {"rtc", "mc146818", "iobase=0x70,epoch=$epoch,ram=$low_ram,high_ram=$high_ram",
     "irq>pic1.ir0 irq>ioapic.pin8", PART_ALWAYS},
    {"com1", "uart16550", "iobase=0x3f8,chr=chr:serial0,turbo=64",
     "irq>pic0.ir4 irq>ioapic.pin4", PART_ALWAYS},
    {"com2", "uart16550", "iobase=0x2f8,chr=chr:serial1,turbo=64",
     "irq>pic0.ir3 irq>ioapic.pin3", PART_ALWAYS},
    {"com3", "uart16550", "iobase=0x3e8,chr=chr:serial2,turbo=64",
     "irq>pic0.ir4 irq>ioapic.pin4", PART_ALWAYS},
    {"com4", "uart16550", "iobase=0x2e8,chr=chr:serial3,turbo=64",
     "irq>pic0.ir3 irq>ioapic.pin3", PART_ALWAYS},
    {"debugcon", "debugcon", "iobase=0xe9,chr=chr:debugcon", "", PART_DEBUGCON},
    {"demo-exit", "isa-debug-exit", "iobase=0x501,iosize=2", "", PART_DEMO},
    {0},
};

static const char *const mandatory[] = {"cpu0.intr", "pic0.ir0", "pic0.ir2", "pic1.ir0", NULL};
// clang-format on

static void start_up(void *cpu, uint8_t vector)
{
    cpu_sipi(cpu, vector);
}

static const struct cpu_ops cpu_ops = {.sipi = start_up};

static bool bind(struct doppel_vm *vm, struct err *e)
{
    (void)e;
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
    return true;
}

const struct board board_pc = {
    .name = "pc",
    .help = "i440FX/PIIX PC",
    .parts = parts,
    .mandatory = mandatory,
    .bind = bind,
};

const struct board *const boards[] = {&board_pc, NULL};
