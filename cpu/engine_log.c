/* What the engine compiles, as text; see engine_log.h. */
#include "cpu/engine_log.h"

#include "cpu/jit/text.h"
#include "util/disasm.h"

void engine_log_uops(const struct cpu *cpu, const struct block *head, const struct uop *u,
                     unsigned n)
{
    struct log *log = cpu->dev.env->log;
    if (LIKELY(!log_on(log, LOG_uops))) {
        return;
    }
    log_line(log, LOG_uops, "---- micro-operations of the block at physical 0x%llx",
             (unsigned long long)head->pa);
    for (unsigned k = 0; k < n; k++) {
        char text[160];
        jit_uop_text(&u[k], text, sizeof text);
        log_line(log, LOG_uops, "%4u: %s", u[k].k, text);
    }
}

void engine_log_code(const struct cpu *cpu, const struct jit *j, const struct jit_code *code)
{
    struct log *log = cpu->dev.env->log;
    if (LIKELY(!log_on(log, LOG_out_asm))) {
        return;
    }
    const struct block *head = code->owner;
    const unsigned char *bytes = jit_bytes(j, code);
    log_line(log, LOG_out_asm, "---- host code of the block at physical 0x%llx, %u bytes at 0x%x",
             (unsigned long long)head->pa, code->bytes, code->entry);
    for (size_t at = 0; at < code->bytes;) {
        char text[160];
        uint64_t pc = code->entry + at;
        at += disasm_host(pc, bytes + at, code->bytes - at, text, sizeof text);
        log_line(log, LOG_out_asm, "0x%08llx:  %s", (unsigned long long)pc, text);
    }
}
