#!/bin/sh
# Who may include whom (DESIGN.md section 3), and which system headers may be used where.
# The table below is the rule; nothing else in the tree repeats it.
. "$(dirname "$0")/lib.sh"

{
    files '*.c' '*.h' '*.def' '*.inc' | grep -v -e '^tests/' -e '^tools/' -e '^bench/' |
        xargs grep -nH '^[[:space:]]*#[[:space:]]*include' /dev/null | awk -F: '
BEGIN {
    # folder: prefixes of the paths it may include, besides its own folder and config.h
    may["include"]   = ""
    may["util"]      = ""
    may["core"]      = "util/"
    may["mmu"]       = "util/ core/"
    may["cpu/jit"]   = "util/"
    may["cpu"]       = "util/ core/ mmu/ cpu/"
    may["hw"]        = "util/ core/ mmu/aspace.h"
    may["host"]      = "util/ core/backend"
    may["vm"]        = "util/ core/ mmu/ cpu/ hw/ host/ include/ doppel.h"
    may["frontends"] = "util/ include/doppel.h doppel.h"
    # Folders and files that talk to the host system; everyone else has ISO C only.
    split("host vm frontends util/os", w, " ")
    for (i in w) { os[w[i]] = 1 }
    iso = " assert.h ctype.h errno.h float.h inttypes.h limits.h setjmp.h stdalign.h stdarg.h"
    iso = iso " stdatomic.h stdbool.h stddef.h stdint.h stdio.h stdlib.h stdnoreturn.h string.h "
    # The host fast paths of floating point and SIMD.
    cpu = " immintrin.h emmintrin.h arm_neon.h cpuid.h "
}
{
    file = $1; line = $2
    text = $0; sub(/^[^:]*:[^:]*:/, "", text)
    folder = file; sub(/\/.*/, "", folder)
    if (file ~ /^cpu\/jit\//) { folder = "cpu/jit" }
    if (match(text, /"[^"]*"/)) {
        inc = substr(text, RSTART + 1, RLENGTH - 2)
        if (inc == "config.h" || index(inc, folder "/") == 1) { next }
        n = split(may[folder], allowed, " ")
        for (i = 1; i <= n; i++) {
            if (index(inc, allowed[i]) == 1) { next }
        }
        if (folder == "frontends" && inc ~ /^SDL/) { next }
        print file ":" line ": " folder " may not include \"" inc "\" (may: " may[folder] ")"
    } else if (match(text, /<[^>]*>/)) {
        inc = substr(text, RSTART + 1, RLENGTH - 2)
        if (index(iso, " " inc " ")) { next }
        if (folder == "cpu" && index(cpu, " " inc " ")) { next }
        if (folder in os || file ~ /^util\/os/) { next }
        # The gate is where other threads meet a machine.
        if (inc == "pthread.h" && file ~ /^core\/gate/) { next }
        if (inc ~ /^endian.h$/ && folder == "util") { next }
        if (inc ~ /^capstone/ && file ~ /^util.disasm/) { next }
        print file ":" line ": <" inc "> belongs behind util/os*, host/, vm/ or frontends/"
    }
}'
} | verdict includes
