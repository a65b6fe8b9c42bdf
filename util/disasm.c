/* Disassembly; see disasm.h. A capstone handle is opened for each call: this is for eyes, not
 * speed, and a kept handle would be a mutable global. */
#include "util/disasm.h"

#include <stdio.h>

#include "config.h"

#if HAVE_CAPSTONE
#include <capstone/capstone.h>
#endif

/* "48 89 e5" padded to the width of seven bytes. */
static size_t put_bytes(const uint8_t *bytes, size_t n, char *out, size_t outlen)
{
    size_t at = 0;
    for (size_t k = 0; k < n && at + 4 < outlen; k++) {
        at += (size_t)snprintf(out + at, outlen - at, "%02x ", bytes[k]);
    }
    while (at < 21 && at + 1 < outlen) {
        out[at++] = ' ';
    }
    out[at] = '\0';
    return at;
}

size_t disasm_insn(unsigned bits, uint64_t pc, const uint8_t *bytes, size_t len, char *out,
                   size_t outlen)
{
    if (outlen == 0) {
        return 1;
    }
    *out = '\0';
#if HAVE_CAPSTONE
    cs_mode mode = bits == 64 ? CS_MODE_64 : bits == 32 ? CS_MODE_32 : CS_MODE_16;
    csh handle;
    cs_insn *insn;
    if (cs_open(CS_ARCH_X86, mode, &handle) == CS_ERR_OK) {
        size_t n = cs_disasm(handle, bytes, len, pc, 1, &insn);
        size_t used = 1;
        if (n) {
            used = insn->size;
            size_t at = put_bytes(bytes, used, out, outlen);
            snprintf(out + at, outlen - at, " %s%s%s", insn->mnemonic, insn->op_str[0] ? " " : "",
                     insn->op_str);
            cs_free(insn, n);
        } else {
            size_t at = put_bytes(bytes, 1, out, outlen);
            snprintf(out + at, outlen - at, " (bad)");
        }
        cs_close(&handle);
        return used;
    }
#else
    (void)bits;
    (void)pc;
    (void)len;
#endif
    put_bytes(bytes, 1, out, outlen);
    return 1;
}
