/*
 * Port I/O: IN, OUT, INS, OUTS, their permission checks and I/O breakpoints.
 *
 * Units and stops of REP INS and REP OUTS are those of cpu/string.c: one unit an iteration, the
 * first one charged with the block. An iteration does its memory access's checks before the device
 * sees the port, so a fault repeats nothing. As there, iterations within a page are done without
 * looking everything up again (disks are read so: 256 words a sector).
 *
 * Sources: Intel SDM 1 chapter 18 (18.5 permission), SDM 3B 17.2.4 (I/O breakpoints), SDM 2 IN,
 * INS.
 */
#include "cpu/desc.h"
#include "cpu/string.h"

/* #GP(0) unless the program may use ports [port, port+size): by IOPL, else by the TSS's bitmap. */
static void check_port(struct cpu *cpu, unsigned port, unsigned size)
{
    unsigned iopl = (unsigned)(cpu->s.rflags >> 12) & 3;
    if (!cpu_prot(cpu) || (!cpu_v86(cpu) && cpu->s.cpl <= iopl)) {
        return;
    }
    const struct seg *tr = &cpu->s.seg[SEG_TR];
    if ((tr->attr & SEG_A_NULL) || !(tr->attr & 8) || tr->limit < 103) {
        cpu_gp0(cpu);
    }
    gva mask = cpu_lma(cpu) ? ~(gva)0 : UINT32_MAX;
    uint32_t map = (uint32_t)mem_rd_sys(cpu, (tr->base + 102) & mask, 2) + port / 8;
    if (map + 1 > tr->limit) { /* two bytes are always read */
        cpu_gp0(cpu);
    }
    uint64_t bits = mem_rd_sys(cpu, (tr->base + map) & mask, 2) >> (port & 7);
    if (bits & bits_mask(size)) {
        cpu_gp0(cpu);
    }
}

static void check_io_breakpoints(struct cpu *cpu, unsigned port, unsigned size)
{
    static const uint8_t len[4] = {1, 2, 8, 4};
    uint64_t dr7 = cpu->s.dr[7];
    if (LIKELY(!(dr7 & 0xff)) || !(cpu->s.cr4 & CR4_DE)) {
        return;
    }
    for (unsigned n = 0; n < 4; n++) {
        uint64_t first = cpu->s.dr[n], last = first + len[bits_get(dr7, 18 + 4 * n, 2)] - 1;
        if (bits_get(dr7, 2 * n, 2) && bits_get(dr7, 16 + 4 * n, 2) == 2 && port <= last &&
            first <= port + size - 1) {
            cpu->s.db_pending |= UINT64_C(1) << n;
            cpu_kick(cpu);
        }
    }
}

static uint64_t port_in(struct cpu *cpu, unsigned port, unsigned size)
{
    uint64_t val = aspace_read(cpu->io, port, size);
    check_io_breakpoints(cpu, port, size);
    return val;
}

static void port_out(struct cpu *cpu, unsigned port, unsigned size, uint64_t val)
{
    aspace_write(cpu->io, port, size, val);
    check_io_breakpoints(cpu, port, size);
}

/* Bytes moved: opcode bit 0 says byte or z. */
static unsigned io_size(const struct insn *i)
{
    return i->opcode & 1 ? (i->osz == 2 ? 2 : 4) : 1;
}

/* The port: DX, or the immediate of E4..E7. */
static unsigned io_port(const struct cpu *cpu, const struct insn *i)
{
    return i->opcode & 8 ? cpu->s.gpr[REG_RDX] & 0xffff : (uint8_t)i->imm;
}

SEM_END(in)
{
    unsigned port = io_port(cpu, i), size = io_size(i);
    check_port(cpu, port, size);
    gpr_set(cpu, REG_RAX, size, port_in(cpu, port, size));
}

SEM_END(out)
{
    unsigned port = io_port(cpu, i), size = io_size(i);
    check_port(cpu, port, size);
    port_out(cpu, port, size, gpr_get(cpu, REG_RAX, size));
}

static void ins_one(struct cpu *cpu, const struct insn *i, unsigned port, unsigned size)
{
    gva la = string_la(cpu, i, REG_RDI, SEG_ES, size, ACC_WRITE);
    mem_probe(cpu, SEG_ES, la, size, ACC_WRITE, cpu->view);
    mem_wr(cpu, SEG_ES, la, size, port_in(cpu, port, size));
    string_step(cpu, i, REG_RDI, 1, size);
}

static void outs_one(struct cpu *cpu, const struct insn *i, unsigned port, unsigned size)
{
    unsigned seg = i->segovr == SEG_NONE ? SEG_DS : i->segovr;
    gva la = string_la(cpu, i, REG_RSI, seg, size, ACC_READ);
    port_out(cpu, port, size, mem_rd(cpu, seg, la, size));
    string_step(cpu, i, REG_RSI, 1, size);
}

static void io_one(struct cpu *cpu, const struct insn *i, bool in, unsigned port, unsigned size)
{
    if (in) {
        ins_one(cpu, i, port, size);
    } else {
        outs_one(cpu, i, port, size);
    }
}

/* Up to n iterations between one register and one page of plain RAM; returns how many are left. The
 * device sees the time of each, and may change anything: after each call the rest goes on only if
 * nothing asks for attention, and the host address is looked up anew. */
static uint64_t io_bulk(struct cpu *cpu, const struct insn *i, bool in, unsigned port, unsigned w,
                        uint64_t n, bool first)
{
    unsigned seg = in ? SEG_ES : i->segovr == SEG_NONE ? SEG_DS : i->segovr;
    unsigned reg = in ? REG_RDI : REG_RSI;
    enum mem_access acc = in ? ACC_WRITE : ACC_READ;
    uint64_t fit = string_fit(cpu, n, first), step = cpu->s.rflags & FL_DF ? 0 - (uint64_t)w : w;
    uint32_t gen = cpu->io->gen;
    struct aspace_port p;
    uint8_t *host;
    if (fit < 2 || !aspace_port(cpu->io, port, w, &p)) {
        return n;
    }
    fit = string_span(cpu, i, reg, seg, w, acc, fit, &host);
    gva la = fit ? mem_la(cpu, seg, gpr_get(cpu, reg, i->asz), w, acc) : 0;
    while (fit && host) {
        cpu->budget -= !first;
        if (in) {
            uint64_t val = p.ops->read ? p.ops->read(p.dev, p.off, w) : ~UINT64_C(0);
            mem_wr(cpu, seg, la, w, val);
        } else if (p.ops->write) {
            p.ops->write(p.dev, p.off, w, le_get(host, w));
        }
        string_step(cpu, i, reg, 1, w);
        gpr_set(cpu, REG_RCX, i->asz, --n);
        first = false;
        la += step;
        fit = string_must_stop(cpu) || cpu->io->gen != gen ? 0 : fit - 1;
        host = fit ? mem_host_ptr(cpu, la, w, acc, cpu->view) : NULL;
    }
    return n;
}

static void io_string(struct cpu *cpu, const struct insn *i, bool in)
{
    unsigned port = cpu->s.gpr[REG_RDX] & 0xffff, size = io_size(i);
    check_port(cpu, port, size);
    if (!(i->pfx & (PFX_REP | PFX_REPNE))) {
        io_one(cpu, i, in, port, size);
        return;
    }
    uint64_t n = gpr_get(cpu, REG_RCX, i->asz);
    for (bool first = true; n; first = false) {
        if (!first && string_must_stop(cpu)) {
            string_stop(cpu, i);
            break;
        }
        uint64_t left = io_bulk(cpu, i, in, port, size, n, first);
        if (left == n) {
            cpu->budget -= !first; /* before it may fault */
            io_one(cpu, i, in, port, size);
            gpr_set(cpu, REG_RCX, i->asz, --left);
        }
        n = left;
    }
}

SEM_END(ins)
{
    io_string(cpu, i, true);
}

SEM_END(outs)
{
    io_string(cpu, i, false);
}
