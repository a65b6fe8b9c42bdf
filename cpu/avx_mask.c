/*
 * AVX and AVX2 memory accesses under a mask: VMASKMOV, VPMASKMOV, and the gathers.
 *
 * An element whose mask bit is clear is not accessed at all and cannot fault. A masked store checks
 * every element that it will write before it writes the first. A gather that faults leaves the
 * elements before the fault loaded and their mask cleared, so that it can be restarted (SDM 2C
 * VPGATHERDD): the one kind of instruction here that changes state before it faults, as documented.
 *
 * None of them checks alignment, whatever EFLAGS.AC says (the same pages: "no #AC reported").
 *
 * VSIB: the decoder gives the index register as a general register's offset, whose number is the
 * vector register's; "none" is number 4.
 *
 * Sources: SDM 2A 2.3.12 (VSIB), SDM 2C VMASKMOV, VPMASKMOV, VGATHERDPS and the like.
 */
#include "cpu/sem.h"
#include "cpu/vec.h"

/* Linear address of element k of `size` bytes of the memory operand. */
static inline gva element_la(struct cpu *cpu, const struct insn *i, unsigned k, unsigned size,
                             enum mem_access acc)
{
    uint64_t off = (insn_ea(cpu, i) + k * size) << i->ashift >> i->ashift;
    return insn_la_off(cpu, i, off, size, acc);
}

static inline bool mask_bit(const union vec *m, unsigned k, unsigned size)
{
    return size == 4 ? m->d[VD(k)] >> 31 : m->q[k] >> 63;
}

static inline void put_element(union vec *v, unsigned k, unsigned size, uint64_t val)
{
    if (size == 4) {
        v->d[VD(k)] = (uint32_t)val;
    } else {
        v->q[k] = val;
    }
}

static inline uint64_t get_element(const union vec *v, unsigned k, unsigned size)
{
    return size == 4 ? v->d[VD(k)] : v->q[k];
}

/* An element of any alignment. */
static uint64_t element_rd(struct cpu *cpu, const struct insn *i, gva la, unsigned size)
{
    uint8_t b[8];
    if (LIKELY(!(la & (size - 1)))) {
        return mem_rd(cpu, i->seg, la, size);
    }
    mem_rd_buf(cpu, i->seg, la, b, size, cpu->view);
    return le_get(b, size);
}

static void mask_load(struct cpu *cpu, const struct insn *i, unsigned size)
{
    unsigned n = insn_vl(i);
    union vec d = {.q = {0, 0, 0, 0}};
    avx_check(cpu);
    union vec m = vec_get(cpu, i->vvvv, 32);
    for (unsigned k = 0; k < n / size; k++) {
        if (mask_bit(&m, k, size)) {
            gva la = element_la(cpu, i, k, size, ACC_READ);
            put_element(&d, k, size, element_rd(cpu, i, la, size));
        }
    }
    vec_set_zx(cpu, i->reg, &d, n);
}

static void mask_store(struct cpu *cpu, const struct insn *i, unsigned size)
{
    unsigned n = insn_vl(i);
    avx_check(cpu);
    union vec m = vec_get(cpu, i->vvvv, 32), v = vec_get(cpu, i->reg, 32);
    for (unsigned k = 0; k < n / size; k++) {
        if (mask_bit(&m, k, size)) {
            gva la = element_la(cpu, i, k, size, ACC_WRITE);
            mem_probe(cpu, i->seg, la, 1, ACC_WRITE, cpu->view);
            if (la % PAGE_SIZE > PAGE_SIZE - size) { /* and the page behind */
                mem_probe(cpu, i->seg, (la | (PAGE_SIZE - 1)) + 1, 1, ACC_WRITE, cpu->view);
            }
        }
    }
    for (unsigned k = 0; k < n / size; k++) {
        if (mask_bit(&m, k, size)) {
            gva la = element_la(cpu, i, k, size, ACC_WRITE);
            uint8_t b[8];
            le_put(b, size, get_element(&v, k, size));
            mem_wr_buf(cpu, i->seg, la, b, size, cpu->view);
        }
    }
}

// clang-format off
SEM(vmaskmov4_load)  { mask_load(cpu, i, 4); }
SEM(vmaskmov8_load)  { mask_load(cpu, i, 8); }
SEM(vmaskmov4_store) { mask_store(cpu, i, 4); }
SEM(vmaskmov8_store) { mask_store(cpu, i, 8); }
// clang-format on

static unsigned vsib_index(const struct insn *i)
{
    const size_t gpr = offsetof(struct cpu, s.gpr);
    return i->index == offsetof(struct cpu, zero) ? 4u : (unsigned)((i->index - gpr) / 8);
}

/* Indices of `isize` bytes, elements of `size`. The fewer of both that fit decide the count. */
static void gather(struct cpu *cpu, const struct insn *i, unsigned isize, unsigned size)
{
    unsigned n = insn_vl(i), x = vsib_index(i);
    unsigned count = n / (isize > size ? isize : size);
    const char *env = (const char *)cpu;
    avx_check(cpu);
    if ((i->modrm & 7) != 4 || i->asz == 2 || x == i->reg || x == i->vvvv || i->reg == i->vvvv) {
        cpu_ud(cpu);
    }
    union vec idx = vec_get(cpu, x, 32), m = vec_get(cpu, i->vvvv, 32);
    union vec d = vec_get(cpu, i->reg, 32);
    uint64_t base = *(const uint64_t *)(const void *)(env + i->base) + (uint64_t)i->disp;
    for (unsigned k = 0; k < count; k++) {
        if (mask_bit(&m, k, size)) {
            uint64_t index = isize == 4 ? (uint64_t)(int64_t)idx.sd[VD(k)] : idx.q[k];
            uint64_t off = (base + (index << i->scale)) << i->ashift >> i->ashift;
            gva la = insn_la_off(cpu, i, off, size, ACC_READ);
            put_element(&d, k, size, element_rd(cpu, i, la, size));
        }
        put_element(&m, k, size, 0);
        vec_set(cpu, i->reg, &d, 32);
        vec_set(cpu, i->vvvv, &m, 32);
    }
    vec_set_zx(cpu, i->reg, &d, count * size < 16 ? 8 : count * size);
    vec_set_zx(cpu, i->vvvv, &(const union vec){.q = {0}}, 16);
}

// clang-format off
SEM(vgather_d4) { gather(cpu, i, 4, 4); }
SEM(vgather_d8) { gather(cpu, i, 4, 8); }
SEM(vgather_q4) { gather(cpu, i, 8, 4); }
SEM(vgather_q8) { gather(cpu, i, 8, 8); }
// clang-format on
