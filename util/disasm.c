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

bool disasm_present(void)
{
    return HAVE_CAPSTONE;
}

void disasm_hex(const uint8_t *bytes, size_t n, char *out, size_t outlen)
{
    if (outlen) {
        put_bytes(bytes, n, out, outlen);
    }
}

#if HAVE_CAPSTONE
/* One instruction, or `unit` bytes that are none. */
static size_t disasm(cs_arch arch, cs_mode mode, size_t unit, uint64_t pc, const uint8_t *bytes,
                     size_t len, char *out, size_t outlen)
{
    csh handle;
    cs_insn *insn;
    if (cs_open(arch, mode, &handle) != CS_ERR_OK) {
        put_bytes(bytes, unit, out, outlen);
        return unit;
    }
    size_t n = cs_disasm(handle, bytes, len, pc, 1, &insn), used = unit;
    if (n) {
        used = insn->size;
        size_t at = put_bytes(bytes, used, out, outlen);
        snprintf(out + at, outlen - at, " %s%s%s", insn->mnemonic, insn->op_str[0] ? " " : "",
                 insn->op_str);
        cs_free(insn, n);
    } else {
        size_t at = put_bytes(bytes, unit, out, outlen);
        snprintf(out + at, outlen - at, " (bad)");
    }
    cs_close(&handle);
    return used;
}
#endif

size_t disasm_insn(unsigned bits, uint64_t pc, const uint8_t *bytes, size_t len, char *out,
                   size_t outlen)
{
    if (outlen == 0) {
        return 1;
    }
#if HAVE_CAPSTONE
    cs_mode mode = bits == 64 ? CS_MODE_64 : bits == 32 ? CS_MODE_32 : CS_MODE_16;
    return disasm(CS_ARCH_X86, mode, 1, pc, bytes, len, out, outlen);
#else
    (void)bits;
    (void)pc;
    (void)len;
    put_bytes(bytes, 1, out, outlen);
    return 1;
#endif
}

size_t disasm_host(uint64_t at, const uint8_t *bytes, size_t len, char *out, size_t outlen)
{
    if (outlen == 0) {
        return 1;
    }
#if HAVE_CAPSTONE && defined(__x86_64__)
    return disasm(CS_ARCH_X86, CS_MODE_64, 1, at, bytes, len, out, outlen);
#elif HAVE_CAPSTONE && defined(__aarch64__)
    return disasm(CS_ARCH_ARM64, CS_MODE_LITTLE_ENDIAN, len < 4 ? len : 4, at, bytes, len, out,
                  outlen);
#else
    size_t n = len < 16 ? len : 16; /* a line of bytes */
    (void)at;
    put_bytes(bytes, n, out, outlen);
    return n;
#endif
}
