/*
 * The block cache; see block.h.
 *
 * Two hash tables over the same blocks: by (pa, mode) for look-up, by RAM page for invalidation.
 * Sizes are fixed; when the blocks' memory passes BLOCK_MEM_BYTES those that no code has are
 * dropped (three of four, as a rule: code that ran a few times, once); if that makes too little
 * room, the whole cache is. Nothing here can change what a guest sees: a block is a cache of its
 * bytes.
 */
#include "cpu/block.h"

#include "cpu/block_mem.h"
#include "cpu/code_pages.h"
#include "cpu/engine.h"
#include "cpu/holes.h"
#include "cpu/spied.h"
#include "util/disasm.h"

#include <assert.h>
#include <stdlib.h>

#define HASH_SIZE    65536u
#define PATIENCE_HOT 8 /* runs of a block whose place had compiled code before */
#define PATCHED_MAX  2 /* so often decoded with other immediates, they are holes */
#define MAX_CPUS     64u

struct block_cache {
    struct block *hash[HASH_SIZE];
    struct code_pages pages; /* the valid ones */
    struct block_mem mem;
    uint32_t serial; /* the last given */
    bool remapped;   /* flush before the next look-up */
    struct cpu *cpus[MAX_CPUS];
    unsigned ncpus;
    struct engine *engine; /* NULL: none */
    struct ram_watch {
        struct block_cache *bc;
        struct ram *ram;
    } watch[8];
    unsigned nwatch;
    struct block_stats stats;
    struct spied spied;
    bool cuts;                    /* any bit of: */
    uint64_t cut[PAGE_SIZE / 64]; /* by page offset */
};

static unsigned hash_of(gpa pa, uint32_t mode)
{
    return (unsigned)((pa ^ pa >> 15 ^ (uint64_t)mode << 9) & (HASH_SIZE - 1));
}

/* ---- invalidation ---- */

/* Does block b overlap bytes [off, off+len) of page pfn? */
static bool overlaps(const struct block *b, uint64_t pfn, unsigned off, unsigned len)
{
    unsigned start = b->pa & ~PAGE_MASK, end = start + b->bytes;
    if (b->pfn == pfn && start < off + len && off < end) {
        return !b->holes || off < start || !holes_cover(b, off - start, len);
    }
    return b->pfn2 == pfn && off + PAGE_SIZE < end;
}

static void invalidate(struct block_cache *bc, struct block *b)
{
    b->valid = false;
    b->serial = ++bc->serial;
    code_pages_remove(&bc->pages, b);
    bc->stats.invalidated++;
    engine_invalidate(bc->engine, b);
    for (unsigned k = 0; k < bc->ncpus; k++) {
        if (bc->cpus[k]->running == b) {
            bc->cpus[k]->exit_req = 1; /* the rest of it is stale */
        }
    }
}

/* A write, or a look at blocks, that concerns [off, off+len) of page pfn. */
struct near {
    struct block_cache *bc;
    uint64_t pfn;
    unsigned off, len;
    const struct jit_code *running; /* NULL: none */
};

/* Call fn for the valid blocks that may have bytes in lines [first, last]; what it returns, ORed.
 */
static uint64_t near_each(const struct near *n, const struct code_page *p, unsigned first,
                          unsigned last, uint64_t (*fn)(const struct near *n, struct block *b))
{
    uint64_t lines = 0;
    for (unsigned k = first > p->span ? first - p->span : 0; k <= last; k++) {
        for (struct block *b = p->line[k], *next; b; b = next) {
            next = code_next(p, k, b);
            lines |= fn(n, b);
        }
    }
    return lines;
}

static uint64_t hit_one(const struct near *n, struct block *b)
{
    if (!b->valid || !overlaps(b, n->pfn, n->off, n->len)) {
        return 0;
    }
    invalidate(n->bc, b);
    return code_lines(b, n->pfn);
}

static uint64_t busy_one(const struct near *n, struct block *b)
{
    return overlaps(b, n->pfn, n->off, n->len) && (!n->running || engine_code_of(b, n->running));
}

static uint64_t lines_one(const struct near *n, struct block *b)
{
    return code_lines(b, n->pfn);
}

/* Blocks with bytes there are invalid from now on; the page keeps only the lines that others still
 * need, so that data beside dead code is cheap. */
static void overwrite(const struct near *n, struct ram *ram, const struct code_page *p)
{
    unsigned first = n->off >> 6, last = (n->off + n->len - 1) >> 6;
    uint64_t lines = UINT64_MAX << first & UINT64_MAX >> (63 - last);
    if (p) {
        lines |= near_each(n, p, first, last, hit_one);
        first = (unsigned)__builtin_ctzll(lines);
        last = 63 - (unsigned)__builtin_clzll(lines);
        lines &= ~near_each(n, p, first, last, lines_one);
    }
    ram->code[n->pfn] = (ram->code[n->pfn] & ~lines) | spied_lines(&n->bc->spied, ram, n->pfn);
}

static void code_hit(void *ctx, uint64_t pfn, unsigned off, unsigned len)
{
    const struct ram_watch *w = ctx;
    const struct near n = {w->bc, pfn, off, len, NULL};
    overwrite(&n, w->ram, code_pages_find(&w->bc->pages, w->ram, pfn));
    if (UNLIKELY(spied_lines(&w->bc->spied, w->ram, pfn) != 0)) {
        w->bc->spied.fn(w->bc->spied.ctx, w->ram, pfn, off, len);
    }
}

bool block_cache_overwrite(struct block_cache *bc, struct ram *ram, uint64_t pfn, unsigned off,
                           unsigned len, const struct jit_code *running)
{
    const struct near n = {bc, pfn, off, len, running};
    const struct code_page *p = code_pages_find(&bc->pages, ram, pfn);
    if (spied_lines(&bc->spied, ram, pfn) ||
        (p && near_each(&n, p, off >> 6, (off + len - 1) >> 6, busy_one))) {
        return false;
    }
    overwrite(&n, ram, p);
    return true;
}

/* The host address behind a RAM page changes: every soft TLB lets go of it. */
static void page_moved(void *ctx, uint64_t pfn)
{
    const struct ram_watch *w = ctx;
    for (unsigned k = 0; k < w->bc->ncpus; k++) {
        tlb_drop_ram(&w->bc->cpus[k]->tlb, w->ram, pfn);
    }
}

/* ---- lifecycle ---- */

struct block_cache *block_cache_new(void)
{
    return calloc(1, sizeof(struct block_cache));
}

/* Give back the memory of all blocks. The table still names them. */
static void free_blocks(struct block_cache *bc)
{
    for (unsigned h = 0; h < HASH_SIZE; h++) {
        block_mem_free_holes(bc->hash[h]);
    }
    block_mem_free(&bc->mem);
}

void block_cache_set_engine(struct block_cache *bc, struct engine *e)
{
    bc->engine = e;
}

static void drop_code(struct block *b, int32_t left)
{
    for (; b; b = b->hash_next) {
        b->in_code = false;
        b->code = NULL;
        b->supers = NULL;
        b->hot = 0;
        b->left = b->cut ? 0 : left;
    }
}

void block_cache_drop_code(struct block_cache *bc)
{
    for (unsigned h = 0; h < HASH_SIZE; h++) {
        drop_code(bc->hash[h], engine_patience(bc->engine));
    }
    for (unsigned k = 0; k < BLOCK_MEM_SIZES; k++) {
        drop_code(bc->mem.spare[k], 0);
    }
    engine_flush(bc->engine);
}

/* The jump caches may name blocks that go. */
static void empty_jump_caches(struct block_cache *bc)
{
    for (unsigned k = 0; k < bc->ncpus; k++) {
        assert(!bc->cpus[k]->running);
        memset(bc->cpus[k]->jc, 0xff, sizeof bc->cpus[k]->jc);
    }
}

void block_cache_flush(struct block_cache *bc)
{
    engine_flush(bc->engine);
    for (unsigned h = 0; h < HASH_SIZE; h++) {
        for (struct block *b = bc->hash[h]; b; b = b->hash_next) {
            b->ram->code[b->pfn] = 0;
            if (b->pfn2 != UINT64_MAX) {
                b->ram->code[b->pfn2] = 0;
            }
        }
    }
    free_blocks(bc);
    memset(bc->hash, 0, sizeof bc->hash);
    bc->remapped = false;
    code_pages_clear(&bc->pages);
    spied_mark(&bc->spied);
    empty_jump_caches(bc);
    bc->stats.flushes++;
}

/* Take those of a list out of the table that no code has. */
static void trim_list(struct block_cache *bc, struct block **at)
{
    while (*at) {
        struct block *b = *at;
        if (b->in_code) {
            at = &b->hash_next;
            continue;
        }
        *at = b->hash_next;
        if (b->valid) {
            code_pages_remove(&bc->pages, b);
        }
        block_mem_give(&bc->mem, b);
    }
}

/* Make room. Lines of RAM stay marked as code; the next write to one of them finds out. */
static void trim(struct block_cache *bc)
{
    engine_forget_path(bc->engine);
    for (unsigned h = 0; h < HASH_SIZE; h++) {
        trim_list(bc, &bc->hash[h]);
    }
    empty_jump_caches(bc);
    bc->stats.trims++;
}

void block_cache_free(struct block_cache *bc)
{
    if (bc) {
        bc->ncpus = 0; /* the vCPUs may be gone already */
        free_blocks(bc);
        code_pages_clear(&bc->pages);
        free(bc->spied.page);
        free(bc);
    }
}

bool block_cache_add_cpu(struct block_cache *bc, struct cpu *cpu)
{
    if (bc->ncpus == MAX_CPUS) {
        return false;
    }
    bc->cpus[bc->ncpus++] = cpu;
    cpu->blocks = bc;
    memset(cpu->jc, 0xff, sizeof cpu->jc);
    return true;
}

void block_cache_watch(struct block_cache *bc, struct ram *ram)
{
    assert(bc->nwatch < ARRAY_LEN(bc->watch));
    struct ram_watch *w = &bc->watch[bc->nwatch++];
    *w = (struct ram_watch){bc, ram};
    ram->ctx = w;
    ram->moved = page_moved;
    ram->code_hit = code_hit;
}

struct block_stats block_cache_stats(const struct block_cache *bc)
{
    struct block_stats s = bc->stats;
    s.bytes = bc->mem.bytes;
    return s;
}

/* ---- decoding ---- */

/* Mark the lines of [off, off+len) of a page as code. On a page's first line the write tags of all
 * soft TLBs must go, so that the next write comes to the slow path. */
static void mark_lines(struct block_cache *bc, struct ram *ram, uint64_t pfn, unsigned off,
                       unsigned len)
{
    if (ram->code[pfn] == 0) {
        for (unsigned k = 0; k < bc->ncpus; k++) {
            tlb_drop_ram(&bc->cpus[k]->tlb, ram, pfn);
        }
    }
    ram_mark_code(ram, pfn, off, len);
}

static void mark_block(struct block_cache *bc, struct block *b)
{
    unsigned off = (unsigned)(b->pa & ~PAGE_MASK);
    unsigned first = off + b->bytes > PAGE_SIZE ? (unsigned)PAGE_SIZE - off : b->bytes;
    mark_lines(bc, b->ram, b->pfn, off, first);
    if (b->pfn2 != UINT64_MAX) {
        mark_lines(bc, b->ram, b->pfn2, 0, b->bytes - first);
    }
}

static void end_insn(struct insn *e, unsigned n, unsigned off)
{
    memset(e, 0, sizeof *e);
    e->fn = block_end;
    e->k = (uint16_t)n;
    e->off = (uint16_t)off;
    e->row = 0xffff;
}

static bool is_cut(const struct block_cache *bc, gpa pa)
{
    unsigned off = (unsigned)(pa & ~PAGE_MASK);
    return bc->cuts && (bc->cut[off / 64] >> off % 64 & 1);
}

/* Decode a run of instructions from `bytes`, which are at pa, into `insn`. Returns how many; *used:
 * their bytes. 0: the first one needs more bytes than there are. */
static unsigned decode_run(const struct cpu *cpu, gpa pa, const uint8_t *bytes, unsigned avail,
                           struct insn *insn, unsigned max, unsigned *used)
{
    unsigned n = 0, off = 0;
    while (n < max) {
        struct decode_in in = {bytes + off, avail - off, cpu->mode, off, cpu->features};
        enum decode_status st = insn_decode(&in, &insn[n]);
        if (st == DECODE_MORE) {
            break;
        }
        insn[n].k = (uint16_t)n;
        off += insn[n].len;
        n++;
        if (st != DECODE_OK || insn_rows[insn[n - 1].row].sem->ends || off >= avail ||
            is_cut(cpu->blocks, pa + off)) {
            break;
        }
    }
    *used = off;
    end_insn(&insn[n], n, off);
    return n;
}

/* Physical address of a code byte; raises #PF. */
static gpa fetch_translate(struct cpu *cpu, uint64_t lin)
{
    enum tlb_view view = cpu->s.cpl == 3 ? TLB_USER : TLB_SUPER;
    const struct tlb_fetch *x = &cpu->tlb.x[view][lin >> PAGE_BITS & (TLB_X_SIZE - 1)];
    if (x->tag == (lin & PAGE_MASK)) {
        return x->page | (lin & ~PAGE_MASK);
    }
    struct tlb_result r = tlb_translate(&cpu->tlb, &cpu->walk, cpu->mem, lin, ACC_FETCH, view);
    if (!r.ok) {
        cpu_raise_pf(cpu, lin, r.pf_err);
    }
    return r.addr;
}

/* The general way: gather up to 15 bytes one by one (page ends, IP wrap, limits, registers as
 * memory) and decode one instruction. Returns its length. Raises #PF or #GP(0) of the fetch. */
static unsigned fetch_one(struct cpu *cpu, struct insn *insn)
{
    uint8_t bytes[16];
    uint64_t page = 1; /* of the last byte fetched; 1: none yet */
    gpa pa = 0;
    for (unsigned k = 0; k < 16; k++) {
        struct decode_in in = {bytes, k, cpu->mode, 0, cpu->features};
        if (k && insn_decode(&in, insn) != DECODE_MORE) {
            break;
        }
        uint64_t ip = (cpu->s.rip + k) & cpu->ip_mask;
        bool code64 = cpu->mode & MODE_C64;
        /* Only the 8086 goes on at offset 0 behind 0xffff; others fault, unless the limit is 4 GiB.
         */
        bool wraps = cpu_has(cpu, FEAT_only86) || cpu->s.seg[SEG_CS].limit == 0xffffffffu;
        if (!code64 && (wraps ? ip : cpu->s.rip + k) > cpu->s.seg[SEG_CS].limit) {
            cpu_gp0(cpu);
        }
        uint64_t lin = code64 ? ip : (uint32_t)(cpu->s.seg[SEG_CS].base + ip);
        if ((lin & PAGE_MASK) != page) {
            pa = fetch_translate(cpu, lin);
            page = lin & PAGE_MASK;
        } else {
            pa = (pa & PAGE_MASK) | (lin & ~PAGE_MASK);
        }
        bytes[k] = (uint8_t)aspace_read(cpu->mem, pa, 1);
    }
    insn->k = 0;
    return insn->len;
}

static struct block *find(struct block_cache *bc, gpa pa, uint32_t mode)
{
    for (struct block *b = bc->hash[hash_of(pa, mode)]; b; b = b->hash_next) {
        if (b->pa == pa && b->mode == mode) {
            return b;
        }
    }
    return NULL;
}

/* Do the guest's bytes equal the block's copy? For a straddling one the caller knows page two. */
static bool same_bytes(const struct block *b)
{
    uint8_t now[BLOCK_INSNS * 15];
    unsigned off = (unsigned)(b->pa & ~PAGE_MASK);
    unsigned first = off + b->bytes > PAGE_SIZE ? (unsigned)PAGE_SIZE - off : b->bytes;
    memcpy(now, ram_read_ptr(b->ram, b->pfn) + off, first);
    if (first < b->bytes) {
        memcpy(now + first, ram_read_ptr(b->ram, b->pfn2), b->bytes - first);
    }
    if (b->holes) {
        holes_mask(b, now);
    }
    return memcmp(now, b->copy, b->bytes) == 0;
}

/* Take an invalid block that will not come back out of the tables. */
static void bury(struct block_cache *bc, struct block *dead)
{
    struct block **p = &bc->hash[hash_of(dead->pa, dead->mode)];
    while (*p != dead) {
        p = &(*p)->hash_next;
    }
    *p = dead->hash_next;
    block_mem_give(&bc->mem, dead);
}

/* Make an invalid block valid again if its bytes are back. */
static bool revive(struct block_cache *bc, struct block *b)
{
    if (!b->valid && same_bytes(b)) {
        b->valid = true;
        code_pages_add(&bc->pages, b);
        mark_block(bc, b);
        bc->stats.revived++;
    }
    return b->valid;
}

/* -d in_asm: the block's instructions, as they were decoded. */
static void log_block(const struct cpu *cpu, const struct block *b)
{
    struct log *log = cpu->dev.env->log;
    unsigned bits = b->mode & MODE_C64 ? 64 : b->mode & MODE_C32 ? 32 : 16;
    log_line(log, LOG_in_asm, "---- block at physical 0x%llx, %u-bit, %u instructions",
             (unsigned long long)b->pa, bits, b->n);
    for (unsigned k = 0; k < b->n; k++) {
        char text[128];
        uint64_t pc = cpu->s.rip + b->insn[k].off;
        if (disasm_present()) {
            disasm_insn(bits, pc, b->copy + b->insn[k].off, b->insn[k].len, text, sizeof text);
        } else {
            disasm_hex(b->copy + b->insn[k].off, b->insn[k].len, text, sizeof text);
        }
        log_line(log, LOG_in_asm, "0x%08llx:  %s", (unsigned long long)pc, text);
    }
}

/* Memory for a block of `size` bytes: that of `old`, which stays in its place in the table, or
 * other.
 */
static struct block *room_for(struct block_cache *bc, struct block *old, size_t size)
{
    if (old && old->size >= size && old->size <= 2 * size) {
        return old;
    }
    if (old) {
        bury(bc, old);
    }
    return block_mem_take(&bc->mem, size);
}

/* old: the invalid block of the same key, in the tables, or NULL. */
static struct block *insert(struct cpu *cpu, gpa pa, const struct aspace_hit *hit, uint64_t pfn2,
                            const struct insn *insn, unsigned n, const uint8_t *bytes,
                            unsigned nbytes, struct block *old)
{
    struct block_cache *bc = cpu->blocks;
    int32_t patience = engine_patience(bc->engine);
    if (old && old->code && patience > PATIENCE_HOT) {
        patience = PATIENCE_HOT; /* what was here before ran often */
    }
    struct holes holes;
    unsigned patched = 0;
    if (old && holes_find(old, insn, n, bytes, nbytes, &holes)) {
        patched = old->patched < PATCHED_MAX ? old->patched + 1u : PATCHED_MAX;
    }
    struct block *b =
        room_for(bc, old, sizeof(struct block) + (n + 1) * sizeof(struct insn) + nbytes);
    free(b->holes);
    *b = (struct block){.pa = pa,
                        .ram = hit->ram,
                        .pfn = hit->pfn,
                        .pfn2 = pfn2,
                        .mode = cpu->mode,
                        .n = (uint16_t)n,
                        .bytes = (uint16_t)nbytes,
                        .size = b->size,
                        .serial = ++bc->serial,
                        .valid = true,
                        .in_code = b->in_code,
                        .cut = is_cut(bc, pa),
                        .left = is_cut(bc, pa) ? 0 : patience,
                        .patched = (uint8_t)patched,
                        .hash_next = b->hash_next};
    memcpy(b->insn, insn, (n + 1) * sizeof *insn);
    b->copy = (uint8_t *)&b->insn[n + 1];
    memcpy(b->copy, bytes, nbytes);
    if (patched == PATCHED_MAX) {
        holes_make(b, &holes);
    }
    if (b != old) {
        b->hash_next = bc->hash[hash_of(pa, b->mode)];
        bc->hash[hash_of(pa, b->mode)] = b;
    }
    code_pages_add(&bc->pages, b);
    bc->stats.decoded++;
    mark_block(bc, b);
    if (UNLIKELY(log_on(cpu->dev.env->log, LOG_in_asm))) {
        log_block(cpu, b);
    }
    return b;
}

/* An instruction that may straddle into a second page, or cannot be cached. */
static struct block *decode_odd(struct cpu *cpu, gpa pa, const struct aspace_hit *hit, uint64_t lin)
{
    unsigned len = fetch_one(cpu, &cpu->scratch[0]);
    end_insn(&cpu->scratch[1], 1, len);
    unsigned room = (unsigned)(PAGE_SIZE - (pa & ~PAGE_MASK));
    bool legacy = !(cpu->mode & MODE_C64);
    bool wraps = legacy && ((cpu->s.rip + len - 1) & cpu->ip_mask) != cpu->s.rip + len - 1;
    if (!hit->ram || !hit->whole_page || len <= room || wraps) {
        return NULL;
    }
    gpa pa2 = fetch_translate(cpu, legacy ? (uint32_t)(lin + room) : lin + room);
    struct aspace_hit hit2 = aspace_find(cpu->mem, pa2);
    if (hit2.ram != hit->ram || !hit2.whole_page) {
        return NULL;
    }
    uint8_t bytes[16];
    memcpy(bytes, ram_read_ptr(hit->ram, hit->pfn) + (pa & ~PAGE_MASK), room);
    memcpy(bytes + room, ram_read_ptr(hit->ram, hit2.pfn), len - room);
    struct block *old = find(cpu->blocks, pa, cpu->mode);
    if (old && old->pfn2 == hit2.pfn && revive(cpu->blocks, old)) {
        return old;
    }
    if (old) {
        if (old->valid) {
            invalidate(cpu->blocks, old); /* the second page is another one now */
        }
    }
    return insert(cpu, pa, hit, hit2.pfn, cpu->scratch, 1, bytes, len, old);
}

/* old: as for insert, or it straddles. */
static struct block *decode_new(struct cpu *cpu, gpa pa, uint64_t lin, struct block *old)
{
    struct aspace_hit hit = aspace_find(cpu->mem, pa);
    unsigned off = (unsigned)(pa & ~PAGE_MASK);
    unsigned avail = (unsigned)PAGE_SIZE - off;
    if (!(cpu->mode & MODE_C64)) {
        uint64_t limit = cpu->s.seg[SEG_CS].limit;
        if (cpu->s.rip > limit) {
            cpu_gp0(cpu);
        }
        uint64_t left = limit - cpu->s.rip + 1;
        uint64_t wrap = cpu->ip_mask - cpu->s.rip + 1; /* 0 for the full 4 GiB */
        left = wrap && wrap < left ? wrap : left;
        avail = left < avail ? (unsigned)left : avail;
    }
    if (hit.ram && hit.whole_page) {
        unsigned used;
        const uint8_t *bytes = ram_read_ptr(hit.ram, hit.pfn) + off;
        unsigned max = engine_max_block(cpu->blocks->engine);
        unsigned n = decode_run(cpu, pa, bytes, avail, cpu->scratch, max, &used);
        if (n) {
            if (old && old->valid) {
                invalidate(cpu->blocks, old); /* it straddles: with less of the page it did not */
            }
            return insert(cpu, pa, &hit, UINT64_MAX, cpu->scratch, n, bytes, used, old);
        }
    }
    return decode_odd(cpu, pa, &hit, lin);
}

/* There is room for any block, behind this. */
static void make_room(struct block_cache *bc)
{
    if (UNLIKELY(bc->mem.bytes > BLOCK_MEM_BYTES)) {
        trim(bc);
        bc->remapped |= bc->mem.bytes > BLOCK_MEM_BYTES - BLOCK_MEM_BYTES / 4;
    }
    bc->remapped |= block_mem_full(&bc->mem);
    if (UNLIKELY(bc->remapped)) {
        block_cache_flush(bc);
    }
}

struct block *block_lookup_slow(struct cpu *cpu, uint64_t lin)
{
    struct block_cache *bc = cpu->blocks;
    make_room(bc);
    bool code64 = cpu->mode & MODE_C64;
    if (code64 && bits_sext(lin, 48) != lin) {
        cpu_gp0(cpu);
    }
    gpa pa = fetch_translate(cpu, lin);
    struct block *b = find(bc, pa, cpu->mode);
    if (b && b->pfn2 == UINT64_MAX && revive(bc, b)) {
        if (!code64 && cpu->s.rip + b->bytes - 1u > cpu->s.seg[SEG_CS].limit) {
            return decode_odd(cpu, pa, &(struct aspace_hit){0}, lin);
        }
    } else {
        b = decode_new(cpu, pa, lin, b);
    }
    if (b) {
        enum tlb_view view = cpu->s.cpl == 3 ? TLB_USER : TLB_SUPER;
        const struct tlb_fetch *x = &cpu->tlb.x[view][lin >> PAGE_BITS & (TLB_X_SIZE - 1)];
        bool global = x->tag == (lin & PAGE_MASK) && x->global && b->pfn2 == UINT64_MAX;
        cpu->jc[lin & (JC_SIZE - 1)] = (struct jc_entry){
            lin, global ? cpu->tlb.gen_global : cpu->tlb.gen, b, cpu->mode, b->serial};
    }
    return b;
}

void block_cache_remapped(struct block_cache *bc)
{
    bc->remapped = true;
}

/* ---- for a debugger ---- */

void block_cache_cut(struct block_cache *bc, unsigned off)
{
    assert(off < PAGE_SIZE);
    uint64_t bit = UINT64_C(1) << off % 64;
    if (bc->cut[off / 64] & bit) {
        return;
    }
    bc->cut[off / 64] |= bit;
    bc->cuts = true;
    for (unsigned h = 0; h < HASH_SIZE; h++) {
        for (struct block *b = bc->hash[h], *next; b; b = next) {
            next = b->hash_next;
            unsigned start = (unsigned)(b->pa & ~PAGE_MASK);
            if (start <= off && off < start + b->bytes) {
                if (b->valid) {
                    invalidate(bc, b);
                }
                bury(bc, b);
            }
        }
    }
}

void block_cache_uncut(struct block_cache *bc)
{
    bc->cuts = false;
    memset(bc->cut, 0, sizeof bc->cut);
    for (unsigned h = 0; h < HASH_SIZE; h++) {
        for (struct block *b = bc->hash[h]; b; b = b->hash_next) {
            b->left = b->cut ? engine_patience(bc->engine) : b->left;
            b->cut = false;
        }
    }
}

void block_cache_on_spied(struct block_cache *bc,
                          void (*fn)(void *ctx, struct ram *ram, uint64_t pfn, unsigned off,
                                     unsigned len),
                          void *ctx)
{
    bc->spied.fn = fn;
    bc->spied.ctx = ctx;
}

void block_cache_spy(struct block_cache *bc, struct ram *ram, uint64_t pfn, uint64_t lines)
{
    uint64_t gone = spied_set(&bc->spied, ram, pfn, lines);
    struct code_page *p = gone ? code_pages_find(&bc->pages, ram, pfn) : NULL;
    const struct near n = {bc, pfn, 0, PAGE_SIZE, NULL};
    uint64_t code = p ? near_each(&n, p, 0, CODE_LINES - 1, lines_one) : 0;
    for (unsigned c = 0; lines && c < bc->ncpus; c++) {
        tlb_drop_ram(&bc->cpus[c]->tlb, ram, pfn); /* writes go the slow way from now on */
    }
    ram->code[pfn] = (ram->code[pfn] & ~(gone & ~code)) | lines;
}
