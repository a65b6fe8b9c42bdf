/* Paths for superblocks; see super.h. */
#include "cpu/super.h"

#include "cpu/insn.h"

void super_begin(struct super_path *p, struct cpu *cpu, struct block *head)
{
    *p = (struct super_path){.cpu = cpu, .b = {head}};
}

static bool contains(const struct super_path *p, const struct block *b)
{
    for (unsigned k = 0; k < p->n; k++) {
        if (p->b[k] == b) {
            return true;
        }
    }
    return false;
}

bool super_step(struct super_path *p, struct block *b)
{
    uint64_t page = p->cpu->s.rip & PAGE_MASK;
    if (!b || !b->valid || b->pfn2 != UINT64_MAX) {
        return false;
    }
    if (p->n == 0) {
        p->page = page;
        p->view = p->cpu->view; /* when the path ends, the vCPU may be in another ring */
        if (b != p->b[0]) {
            return false;
        }
    } else {
        const struct block *head = p->b[0];
        p->loop = b == head && page == p->page;
        if (contains(p, b) || page != p->page || b->ram != head->ram || b->pfn != head->pfn ||
            b->mode != head->mode || p->n == JIT_PARTS_MAX || p->insns + b->n > SUPER_INSNS) {
            return false;
        }
    }
    p->b[p->n++] = b;
    p->insns += b->n;
    return true;
}
