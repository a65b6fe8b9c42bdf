/*
 * Builds a machine from its board's rows: parts, properties, wires, then what is not a wire; checks
 * that no two register ranges overlap and that every mandatory input is driven.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/block.h"
#include "cpu/engine.h"
#include "cpu/cpu.h"
#include "cpu/model.h"
#include "hw/hw.h"
#include "util/suggest.h"
#include "vm/drives.h"
#include "vm/nets.h"
#include "vm/firmware.h"
#include "vm/vm.h"

/* `text` with each % replaced by the number. */
static void number(char *out, size_t size, const char *text, unsigned n)
{
    size_t at = 0;
    for (; *text && at + 12 < size; text++) {
        if (*text == '%') {
            at += (size_t)snprintf(out + at, size - at, "%u", n);
        } else {
            out[at++] = *text;
        }
    }
    assert(!*text); /* board rows are short */
    out[at] = 0;
}

static const char *class_name(void *ctx, unsigned i)
{
    (void)ctx;
    return hw_classes[i] ? hw_classes[i]->name : NULL;
}

static const struct dev_class *class_find(const char *name)
{
    return strcmp(name, "cpu") == 0 ? &cpu_class : hw_class_find(name);
}

/* --- Properties --- */

/* Values that a board takes from the machine's options: "$name". */
static bool option_value(struct doppel_vm *vm, const char *name, unsigned n, char *out, size_t size)
{
    if (strcmp(name, "reset") == 0) { /* what the lines to the CPU's INIT reset */
        snprintf(out, size, "%s", vm_resets_cpu_alone(vm) ? "cpu" : "machine");
        return true;
    }
    const struct doppel_options *o = &vm->opt;
    uint64_t v;
    if (strcmp(name, "bsp") == 0) {
        v = n == 0;
    } else if (strcmp(name, "epoch") == 0) {
        v = vm->epoch;
    } else if (strcmp(name, "seed") == 0) {
        v = vm->seed;
    } else if (strcmp(name, "low_ram") == 0) {
        v = vm->low_bytes;
    } else if (strcmp(name, "high_ram") == 0) {
        v = o->ram_bytes - vm->low_bytes;
    } else if (strcmp(name, "no_firmware") == 0) {
        v = !vm->firmware;
    } else if (strcmp(name, "pmbase") == 0) {
        v = vm->firmware ? 0 : 0x600; /* firmware places it */
    } else if (strcmp(name, "flash_end") == 0) {
        v = VM_HIGH - (n ? firmware_flash_size(vm) : 0);
    } else if (strcmp(name, "cpus") == 0) {
        v = o->cpus;
    } else {
        return false;
    }
    snprintf(out, size, "%" PRIu64, v);
    return true;
}

static struct chr *backend_find(struct doppel_vm *vm, const char *name)
{
    unsigned port;
    if (strcmp(name, "debugcon") == 0) {
        return vm->debugcon;
    }
    if (strcmp(name, "parallel") == 0) {
        return vm->parallel;
    }
    int ok = sscanf(name, "serial%u", &port);
    assert(ok == 1 && port < DOPPEL_MAX_SERIAL);
    (void)ok;
    return &vm->serial[port].chr;
}

static bool set_one(struct doppel_vm *vm, struct dev *d, const char *prop, const char *value,
                    const unsigned *trusted, struct err *e)
{
    if (trusted && strncmp(value, "chr:", 4) == 0) {
        return dev_set_backend(d, prop, PROP_CHR, backend_find(vm, value + 4), e);
    }
    if (trusted && strncmp(value, "drive:", 6) == 0) {
        return dev_set_backend(d, prop, PROP_DRIVE, drives_find(vm, value + 6), e);
    }
    enum prop_kind kind;
    if (!trusted && dev_prop_kind(d, prop, &kind) && kind == PROP_DRIVE) {
        struct drive *drive;
        return drives_take(vm, value, &drive, e) && dev_set_backend(d, prop, kind, drive, e);
    }
    if (!trusted && strcmp(prop, "bootindex") == 0) {
        return firmware_boot_index(vm, value, d, e);
    }
    char text[64];
    if (trusted && *value == '$') {
        bool known = option_value(vm, value + 1, *trusted, text, sizeof text);
        assert(known);
        (void)known;
        value = text;
    }
    if (!trusted && dev_prop_kind(d, prop, &kind) && kind == PROP_NET) {
        struct net *n = nets_find(vm, value);
        if (!n || n->gate) {
            return err_usage(e, "%s.%s=%s: %s", d->cls->name, prop, value,
                             n ? "another card is attached to it"
                               : "there is no -netdev of that id");
        }
        return dev_set_backend(d, prop, PROP_NET, n, e);
    }
    return dev_set(d, prop, value, e);
}

/* "a=1,b=2". trusted: a row of ours, which may name back ends and options of the machine; the
 * part's number. NULL: text of the user's. */
static bool set_props(struct doppel_vm *vm, struct dev *d, const char *props,
                      const unsigned *trusted, struct err *e)
{
    while (*props) {
        char item[128];
        size_t n = strcspn(props, ",");
        if (n >= sizeof item) {
            return err_usage(e, "%s: \"%.40s...\": property too long", d->name, props);
        }
        memcpy(item, props, n);
        item[n] = 0;
        char *eq = strchr(item, '=');
        if (!eq) {
            return err_usage(e, "%s: \"%s\": want name=value", d->cls->name, item);
        }
        *eq = 0;
        if (!set_one(vm, d, item, eq + 1, trusted, e)) {
            return false;
        }
        props += n + (props[n] == ',');
    }
    return true;
}

/* --- Parts --- */

static bool attach_cpu(struct doppel_vm *vm, struct cpu *cpu, struct err *e)
{
    vm->cpu[vm->ncpus++] = cpu;
    cpu->yields = true;
    cpu->paused = vm_cpu_paused;
    cpu->paused_ctx = vm;
    engine_add_cpu(vm->engine, cpu);
    return block_cache_add_cpu(vm->blocks, cpu) || err_set(e, "no host memory for a vCPU");
}

/* -cpu: a model and its features, longer than a property may be. */
static bool set_model(const struct doppel_vm *vm, struct cpu *cpu, struct err *e)
{
    const struct board *b = vm->board;
    const char *text = vm->opt.cpu ? vm->opt.cpu : b->cpu ? b->cpu : cpu_models[0].name;
    const char *without = b->cpu_without ? b->cpu_without : "";
    size_t max = sizeof cpu->model_name - 1 - strlen(without);
    if (strlen(text) > max) {
        return err_usage(e, "-cpu: want at most %zu characters", max);
    }
    snprintf(cpu->model_name, sizeof cpu->model_name, "%s%s", text, without);
    return true;
}

static bool make_part(struct doppel_vm *vm, const struct board_part *p, unsigned n, struct err *e)
{
    char name[32], props[256];
    const struct dev_class *cls = class_find(p->cls);
    if (!cls && p->when == PART_OPTIONAL) {
        return true;
    }
    assert(cls);
    number(name, sizeof name, p->name, n);
    number(props, sizeof props, p->props, n);
    struct dev *d = dev_new(&vm->env, cls, name, e);
    if (!d || !set_props(vm, d, props, &n, e)) {
        return false;
    }
    if (cls == &cpu_class && !set_model(vm, (struct cpu *)d, e)) {
        return false;
    }
    if (!dev_init(d, e)) {
        return false;
    }
    return cls != &cpu_class || attach_cpu(vm, (struct cpu *)d, e);
}

/* One "out>part.in|part.in". */
static bool make_wire(struct doppel_vm *vm, struct dev *from, const char *text, struct err *e)
{
    char out[32], to[32], in[32];
    int used = 0;
    int n = sscanf(text, "%31[^>]%n", out, &used);
    for (text += used; n == 1 && *text; text += used) {
        n = sscanf(text + 1, "%31[^.].%31[^|]%n", to, in, &used) - 1;
        assert(n == 1);
        used++;
        struct dev *d = dev_find(&vm->env, to);
        if (d) {
            return dev_connect(from, out, d, in, e);
        }
    }
    return true;
}

static bool make_wires(struct doppel_vm *vm, const struct board_part *p, unsigned n, struct err *e)
{
    char name[32], wires[1024], one[96];
    number(name, sizeof name, p->name, n);
    number(wires, sizeof wires, p->wires ? p->wires : "", n);
    struct dev *d = dev_find(&vm->env, name);
    for (const char *w = wires; d && *w;) {
        size_t len = strcspn(w, " ");
        assert(len < sizeof one);
        memcpy(one, w, len);
        one[len] = 0;
        if (len && !make_wire(vm, d, one, e)) {
            return false;
        }
        w += len + (w[len] == ' ');
    }
    return true;
}

static unsigned part_count(struct doppel_vm *vm, const struct board_part *p)
{
    switch (p->when) {
    case PART_CPU:
        return vm->opt.cpus;
    case PART_APIC:
        return cpu_has(vm->cpu[0], FEAT_apic);
    case PART_CPU_APIC:
        return cpu_has(vm->cpu[0], FEAT_apic) ? vm->opt.cpus : 0;
    case PART_DEBUGCON:
        return vm->debugcon != NULL;
    case PART_FLASH:
        return !firmware_flash_size(vm) ? 0 : drives_find(vm, "pflash.1") ? 2 : 1;
    case PART_VGA:
        return vm->opt.vga ? strcmp(vm->opt.vga, "std") == 0 : firmware_wanted(vm);
    case PART_DEMO:
        return !vm->opt.kernel && !vm->firmware;
    default:
        return 1;
    }
}

static bool each_part(struct doppel_vm *vm,
                      bool (*fn)(struct doppel_vm *, const struct board_part *, unsigned,
                                 struct err *),
                      struct err *e)
{
    for (const struct board_part *p = vm->board->parts; p->name; p++) {
        for (unsigned n = 0; n < part_count(vm, p); n++) {
            if (!fn(vm, p, n, e)) {
                return false;
            }
        }
    }
    return true;
}

/* -device CLASS,prop=value,... */
static bool make_device(struct doppel_vm *vm, const char *text, struct err *e)
{
    char cls_name[32], name[32];
    size_t n = strcspn(text, ",");
    snprintf(cls_name, sizeof cls_name, "%.*s", (int)(n < 31 ? n : 31), text);
    const struct dev_class *cls = hw_class_find(cls_name);
    if (!cls) {
        const char *near = suggest_nearest(cls_name, class_name, NULL);
        return err_usage(e, "-device %s: no such device%s%s", cls_name,
                         near ? "; the nearest is " : "", near ? near : "");
    }
    for (unsigned i = 0;; i++) {
        snprintf(name, sizeof name, "%.24s.%u", cls_name, i);
        if (!dev_find(&vm->env, name)) {
            break;
        }
    }
    struct dev *d = dev_new(&vm->env, cls, name, e);
    return d && set_props(vm, d, text[n] ? text + n + 1 : "", NULL, e) && dev_init(d, e);
}

/* --- Checks --- */

static bool check_mandatory(struct doppel_vm *vm, struct err *e)
{
    for (const char *const *m = vm->board->mandatory; m && *m; m++) {
        char part[32], pin[32];
        int n = sscanf(*m, "%31[^.].%31s", part, pin);
        assert(n == 2);
        (void)n;
        struct dev *d = dev_find(&vm->env, part);
        if (d && !dev_pin_driven(&vm->env, d, pin)) {
            return err_set(e, "board %s: nothing drives %s", vm->board->name, *m);
        }
    }
    return true;
}

/* ISA cards: an output "isaN" is interrupt N of the bus, to the 8259s and the I/O APIC. */
static bool wire_isa(struct doppel_vm *vm, struct err *e)
{
    struct dev *ioapic = dev_find(&vm->env, "ioapic");
    for (unsigned i = 0; i < vm->env.ndevs; i++) {
        struct dev *d = vm->env.devs[i];
        for (unsigned irq = 0; irq < 16; irq++) {
            char out[8], in[8], pin[8];
            snprintf(out, sizeof out, "isa%u", irq);
            struct dev *pic = dev_find(&vm->env, irq < 8 ? "pic0" : "pic1");
            if (irq == 2 || !pic || !dev_has_out(d, out)) {
                continue;
            }
            snprintf(in, sizeof in, "ir%u", irq & 7);
            snprintf(pin, sizeof pin, "pin%u", irq ? irq : 2);
            if (!dev_connect(d, out, pic, in, e) ||
                (ioapic && !dev_connect(d, out, ioapic, pin, e))) {
                return false;
            }
        }
    }
    return true;
}

bool vm_build(struct doppel_vm *vm, struct err *e)
{
    if (!each_part(vm, make_part, e)) {
        return false;
    }
    for (unsigned i = 0; i < vm->opt.ndevices; i++) {
        if (!make_device(vm, vm->opt.device[i], e)) {
            return false;
        }
    }
    for (unsigned i = 0; nets_card(vm, i); i++) {
        if (!make_device(vm, nets_card(vm, i), e)) {
            return false;
        }
    }
    return each_part(vm, make_wires, e) && wire_isa(vm, e) &&
           (!vm->board->bind || vm->board->bind(vm, e)) && check_mandatory(vm, e) &&
           aspace_check(&vm->mem, e) && aspace_check(&vm->io, e);
}
