/*
 * The slow side of guest memory: everything that cpu/mem.h's fast compare lets through.
 *
 * One access goes through these steps, and each can only raise before any has an effect:
 *   1. canonical form (long mode), wrap or limit at 4 GiB (legacy): #GP(0), #SS(0)
 *   2. #AC: CPL 3, CR0.AM, EFLAGS.AC, misaligned
 *   3. translation of each page touched (one or two): #PF, lower page first
 *   4. the access: RAM by host pointer, or the address space (registers, ROM, nobody)
 *   5. notices: lines with code before the bytes change, data breakpoints and watchpoints after
 * The order of 1 to 3 is what processors do (seen on a Zen: a misaligned access to an absent page
 * raises #AC, one beyond the canonical range #GP).
 *
 * An access to two pages translates both before it touches either; if the first would only have
 * its dirty bit set by a store that then faults on the second page, it is not set.
 *
 * Sources: Intel SDM 1 3.3.7.1 (canonical), 3A 5.3 (limits), 6.15 (#AC), 3B 17.2 (breakpoints).
 */
#include "cpu/mem.h"

#include <assert.h>

#include "cpu/debug.h"

/* --- Checks before translation ----------------------------------------------------------------*/

/* #SS(0) for the stack segment, #GP(0) for the others. */
gva seg_fault(struct cpu *cpu, unsigned seg)
{
    /* The 80286 in real mode has one vector, 13, for every segment. */
    bool stack = seg == SEG_SS && (cpu_prot(cpu) || cpu_has(cpu, FEAT_i386));
    cpu_raise_err(cpu, stack ? EXC_SS : EXC_GP, 0);
}

static bool canonical(gva la)
{
    return bits_sext(la, 48) == la;
}

/* The bits of linear addresses that an access through `seg` makes: 32 in legacy modes and, but for
 * the system's own accesses, in compatibility mode. */
static gva linear_mask(const struct cpu *cpu, unsigned seg)
{
    bool wide = cpu_lma(cpu) && (cpu_code64(cpu) || seg >= SEG_LDTR);
    return wide ? ~(gva)0 : UINT32_MAX;
}

/* Step 1: the linear address as paging sees it, or a fault. len >= 1. */
static gva check_linear(struct cpu *cpu, unsigned seg, gva la, unsigned len, gva mask)
{
    if (mask != UINT32_MAX) {
        if (UNLIKELY(!canonical(la) || !canonical(la + (len - 1)))) {
            seg_fault(cpu, seg);
        }
        return la;
    }
    la &= mask;
    /* Flat segments are not checked on the fast path: their limit is met only here. Others have
     * been checked, and wrap at 4 GiB. */
    if (UNLIKELY(la + (len - 1) > mask) && seg < SEG_LDTR && cpu->segv[seg].base == 0) {
        seg_fault(cpu, seg);
    }
    return la;
}

static bool aligned_only(const struct cpu *cpu, enum tlb_view view)
{
    return view == TLB_USER && (cpu->s.rflags & FL_AC) && (cpu->s.cr0 & CR0_AM);
}

/* Step 2, for a misaligned access; canonical form comes first. */
static void check_align(struct cpu *cpu, unsigned seg, gva la, unsigned size, enum tlb_view view)
{
    if (UNLIKELY(aligned_only(cpu, view))) {
        check_linear(cpu, seg, la, size, linear_mask(cpu, seg));
        cpu_raise_err(cpu, EXC_AC, 0);
    }
}

void mem_check_align(struct cpu *cpu, unsigned seg, gva la, unsigned size)
{
    check_align(cpu, seg, la, size, cpu->view);
}

/* --- Data breakpoints -------------------------------------------------------------------------*/

/* Bytes that breakpoint n covers; 0: not a data breakpoint, or off. DR7: L/G in bits 2n, 2n+1; R/W
 * in 16+4n, LEN in 18+4n. */
static unsigned watch_len(const struct cpu *cpu, unsigned n)
{
    uint64_t dr7 = cpu->s.dr[7];
    unsigned rw = (unsigned)bits_get(dr7, 16 + 4 * n, 2);
    static const uint8_t len[4] = {1, 2, 8, 4};
    if (!bits_get(dr7, 2 * n, 2) || !(rw & 1)) {
        return 0;
    }
    return len[bits_get(dr7, 18 + 4 * n, 2)];
}

void mem_update_watch(struct cpu *cpu)
{
    gva pages[4];
    unsigned n = 0;
    for (unsigned i = 0; i < 4; i++) {
        if (watch_len(cpu, i)) {
            pages[n++] = cpu->s.dr[i];
        }
    }
    if (n || cpu->tlb.nwatch) {
        tlb_set_watch(&cpu->tlb, pages, n);
    }
}

/* An access was made: note the breakpoints it met, a trap after this instruction. */
static void watch_notice(struct cpu *cpu, gva la, unsigned len, enum mem_access acc)
{
    for (unsigned i = 0; i < 4; i++) {
        unsigned wlen = watch_len(cpu, i);
        gva at = cpu->s.dr[i] & ~(gva)(wlen - 1);
        bool both = bits_get(cpu->s.dr[7], 16 + 4 * i, 2) == 3; /* reads too */
        if (wlen && (both || acc == ACC_WRITE) && la < at + wlen && at < la + len) {
            cpu->s.db_pending |= UINT64_C(1) << i;
            cpu_kick(cpu);
        }
    }
}

/* --- One page ---------------------------------------------------------------------------------*/

/* The host address of la if L1 holds the page for this access, else NULL. */
static uint8_t *l1_ptr(struct cpu *cpu, gva la, enum mem_access acc, enum tlb_view view)
{
    const struct tlb_entry *e = &cpu->tlb.l1[view][la >> PAGE_BITS & TLB_L1_MASK];
    bool wr = acc == ACC_WRITE;
    if (((la ^ (wr ? e->tag_w : e->tag_r)) & PAGE_MASK) == 0) {
        return (uint8_t *)(uintptr_t)(la + (wr ? e->bias_w : e->bias_r));
    }
    return NULL;
}

/* Step 3. */
static gpa translate(struct cpu *cpu, gva la, enum mem_access acc, enum tlb_view view)
{
    struct tlb_result r = tlb_translate(&cpu->tlb, &cpu->walk, cpu->mem, la, acc, view);
    if (UNLIKELY(!r.ok)) {
        cpu_raise_pf(cpu, la, r.pf_err);
    }
    return r.addr;
}

/* Fault as the access would, without an accessed or dirty bit. */
static void probe(struct cpu *cpu, gva la, enum mem_access acc, enum tlb_view view)
{
    if (!l1_ptr(cpu, la, acc, view)) {
        struct tlb_result r = tlb_probe(&cpu->tlb, &cpu->walk, cpu->mem, la, acc, view);
        if (UNLIKELY(!r.ok)) {
            cpu_raise_pf(cpu, la, r.pf_err);
        }
    }
}

/* Bytes at a physical address that L1 could not serve, all in one page. len <= 4096. */
static void phys_read(struct cpu *cpu, gpa addr, void *buf, unsigned len)
{
    if (len <= 8) {
        uint8_t bytes[8];
        le64_put(bytes, aspace_read(cpu->mem, addr, len));
        memcpy(buf, bytes, len);
    } else {
        aspace_read_buf(cpu->mem, addr, buf, len);
    }
}

/* The same for writes: registers, ROM, and RAM with code lines. */
static void phys_write(struct cpu *cpu, gpa addr, const void *buf, unsigned len)
{
    struct aspace_hit hit = aspace_find(cpu->mem, addr);
    if (LIKELY(hit.ram && hit.whole_page && !hit.split)) {
        if (!hit.readonly) {
            unsigned off = (unsigned)(addr % PAGE_SIZE);
            if (ram_has_code(hit.ram, hit.pfn, off, len)) {
                ram_tell_write(hit.ram, hit.pfn, off, len);
                cpu->exit_req = 1; /* the running block may have changed itself */
            }
            memcpy(ram_write_ptr(hit.ram, hit.pfn) + off, buf, len);
        }
    } else if (len <= 8) {
        uint8_t bytes[8] = {0};
        memcpy(bytes, buf, len);
        aspace_write(cpu->mem, addr, len, le64_get(bytes));
    } else {
        aspace_write_buf(cpu->mem, addr, buf, len);
    }
}

/* --- Any bytes, in one page or two ------------------------------------------------------------*/

/* An access cut at its page's end; where each part lies. Translation is done, nothing else. */
struct parts {
    unsigned n;      /* bytes in the first page */
    uint8_t *ptr[2]; /* host address, or NULL: */
    gpa addr[2];     /* physical address */
    gva la2;         /* the second page; if n is less than the whole */
};

static void find_part(struct cpu *cpu, struct parts *p, unsigned i, gva la, enum mem_access acc,
                      enum tlb_view view)
{
    p->ptr[i] = l1_ptr(cpu, la, acc, view);
    if (!p->ptr[i]) {
        p->addr[i] = translate(cpu, la, acc, view);
        p->ptr[i] = l1_ptr(cpu, la, acc, view);
    }
}

/* la is as check_linear gave it; 1 <= len <= 4096. */
static struct parts find_parts(struct cpu *cpu, gva la, unsigned len, gva mask, enum mem_access acc,
                               enum tlb_view view)
{
    struct parts p;
    unsigned room = (unsigned)(PAGE_SIZE - la % PAGE_SIZE);
    p.n = len < room ? len : room;
    p.la2 = 0;
    if (LIKELY(p.n == len)) {
        find_part(cpu, &p, 0, la, acc, view);
        return p;
    }
    p.la2 = (la + p.n) & mask;
    probe(cpu, la, acc, view);
    probe(cpu, p.la2, acc, view);
    find_part(cpu, &p, 1, p.la2, acc, view);
    find_part(cpu, &p, 0, la, acc, view);
    /* The two may share an L1 index in no case (neighbours), but filling the first may have moved
     * the host page of the second (copy on write of an alias). */
    if (p.ptr[1]) {
        p.ptr[1] = l1_ptr(cpu, p.la2, acc, view);
        if (!p.ptr[1]) {
            p.addr[1] = translate(cpu, p.la2, acc, view);
        }
    }
    return p;
}

/* Does the block cache tell of writes there? */
static bool writes_are_told(struct cpu *cpu, gpa addr)
{
    struct aspace_hit hit = aspace_find(cpu->mem, addr);
    return hit.ram && hit.ram->code_hit;
}

/* An access was made: note the debugger's watchpoints that it met. Its writes to physical RAM are
 * told by the block cache. */
static void spy_notice(struct cpu *cpu, gva la, const struct parts *p, unsigned len, bool write)
{
    struct cpu_debug *d = cpu->debug;
    for (unsigned i = 0, n = p->n; i < 2 && n; i++, n = len - p->n) {
        debug_access(d, cpu, false, i ? p->la2 : la, n, write);
        if (!p->ptr[i] && !(write && writes_are_told(cpu, p->addr[i]))) {
            debug_access(d, cpu, true, p->addr[i], n, write);
        }
    }
}

/* Steps 1 and 3 to 5 for [la, la+len), 1 <= len <= 4096. */
static void get_bytes(struct cpu *cpu, unsigned seg, gva la, void *buf, unsigned len,
                      enum tlb_view view)
{
    gva mask = linear_mask(cpu, seg);
    la = check_linear(cpu, seg, la, len, mask);
    struct parts p = find_parts(cpu, la, len, mask, ACC_READ, view);
    uint8_t *to = buf;
    for (unsigned i = 0, n = p.n; i < 2 && n; i++, to += p.n, n = len - p.n) {
        if (LIKELY(p.ptr[i] != NULL)) {
            memcpy(to, p.ptr[i], n);
        } else {
            phys_read(cpu, p.addr[i], to, n);
        }
    }
    if (UNLIKELY(cpu->tlb.nwatch)) {
        watch_notice(cpu, la, len, ACC_READ);
    }
    if (UNLIKELY(cpu->tlb.spy != NULL)) {
        spy_notice(cpu, la, &p, len, false);
    }
}

static void put_bytes(struct cpu *cpu, unsigned seg, gva la, const void *buf, unsigned len,
                      enum tlb_view view)
{
    gva mask = linear_mask(cpu, seg);
    la = check_linear(cpu, seg, la, len, mask);
    struct parts p = find_parts(cpu, la, len, mask, ACC_WRITE, view);
    const uint8_t *from = buf;
    for (unsigned i = 0, n = p.n; i < 2 && n; i++, from += p.n, n = len - p.n) {
        if (LIKELY(p.ptr[i] != NULL)) {
            memcpy(p.ptr[i], from, n);
        } else {
            phys_write(cpu, p.addr[i], from, n);
        }
    }
    if (UNLIKELY(cpu->tlb.nwatch)) {
        watch_notice(cpu, la, len, ACC_WRITE);
    }
    if (UNLIKELY(cpu->tlb.spy != NULL)) {
        spy_notice(cpu, la, &p, len, true);
    }
}

/* Misaligned, but in one page that L1 holds: where it is, else NULL. By far the most frequent of
 * all that comes here. L1 holds no watched page, and no address that step 1 refuses. */
static uint8_t *misaligned_ptr(struct cpu *cpu, gva la, unsigned size, enum mem_access acc,
                               enum tlb_view view)
{
    if (la % PAGE_SIZE + size > PAGE_SIZE || UNLIKELY(aligned_only(cpu, view))) {
        return NULL;
    }
    return l1_ptr(cpu, la, acc, view);
}

/* --- The interface ----------------------------------------------------------------------------*/

/* On the 8086 a word at offset FFFFH has its high byte at offset 0. (A word there is odd, so it
 * always comes to the slow side: segments begin at multiples of 16.) */
static bool wraps86(const struct cpu *cpu, unsigned seg, gva la, unsigned size)
{
    return size == 2 && seg < SEG_LDTR && cpu_has(cpu, FEAT_only86) &&
           la - cpu->segv[seg].base == 0xffff;
}

uint64_t mem_rd_slow(struct cpu *cpu, unsigned seg, gva la, unsigned size, enum tlb_view view)
{
    if (UNLIKELY(wraps86(cpu, seg, la, size))) {
        uint64_t low = mem_rd_slow(cpu, seg, la, 1, view);
        return low | mem_rd_slow(cpu, seg, la - 0xffff, 1, view) << 8;
    }
    const uint8_t *p = misaligned_ptr(cpu, la, size, ACC_READ, view);
    if (LIKELY(p != NULL)) {
        return le_get(p, size);
    }
    uint8_t bytes[8];
    if (UNLIKELY(la & (size - 1))) {
        check_align(cpu, seg, la, size, view);
    }
    get_bytes(cpu, seg, la, bytes, size, view);
    return le_get(bytes, size);
}

void mem_wr_slow(struct cpu *cpu, unsigned seg, gva la, unsigned size, uint64_t val,
                 enum tlb_view view)
{
    if (UNLIKELY(wraps86(cpu, seg, la, size))) {
        mem_wr_slow(cpu, seg, la, 1, val & 0xff, view);
        mem_wr_slow(cpu, seg, la - 0xffff, 1, val >> 8 & 0xff, view);
        return;
    }
    uint8_t *p = misaligned_ptr(cpu, la, size, ACC_WRITE, view);
    if (LIKELY(p != NULL)) {
        le_put(p, size, val);
        return;
    }
    uint8_t bytes[8];
    if (UNLIKELY(la & (size - 1))) {
        check_align(cpu, seg, la, size, view);
    }
    le_put(bytes, size, val);
    put_bytes(cpu, seg, la, bytes, size, view);
}

void mem_probe(struct cpu *cpu, unsigned seg, gva la, unsigned len, enum mem_access acc,
               enum tlb_view view)
{
    assert(len >= 1 && len <= PAGE_SIZE);
    gva mask = linear_mask(cpu, seg);
    if ((la & (len - 1)) && bits_pow2(len) && len <= 8) {
        check_align(cpu, seg, la, len, view);
    }
    la = check_linear(cpu, seg, la, len, mask);
    probe(cpu, la, acc, view);
    gva last = (la + (len - 1)) & mask;
    if ((la ^ last) & PAGE_MASK) {
        probe(cpu, last & PAGE_MASK, acc, view);
    }
}

void mem_rd_buf(struct cpu *cpu, unsigned seg, gva la, void *buf, unsigned len, enum tlb_view view)
{
    assert(len <= PAGE_SIZE);
    if (len) {
        get_bytes(cpu, seg, la, buf, len, view);
    }
}

void mem_wr_buf(struct cpu *cpu, unsigned seg, gva la, const void *buf, unsigned len,
                enum tlb_view view)
{
    assert(len <= PAGE_SIZE);
    if (len) {
        put_bytes(cpu, seg, la, buf, len, view);
    }
}

uint8_t *mem_host_ptr(struct cpu *cpu, gva la, unsigned len, enum mem_access acc,
                      enum tlb_view view)
{
    bool lma = cpu_lma(cpu);
    if (len == 0 || len > PAGE_SIZE - la % PAGE_SIZE || (lma ? !canonical(la) : la >> 32 != 0)) {
        return NULL;
    }
    uint8_t *p = l1_ptr(cpu, la, acc, view);
    if (!p) {
        tlb_probe(&cpu->tlb, &cpu->walk, cpu->mem, la, acc, view);
        p = l1_ptr(cpu, la, acc, view);
    }
    return p;
}
