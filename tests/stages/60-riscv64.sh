#!/bin/sh
# Cross-built for riscv64 by Debian's compiler, run under qemu-user: a host without a back end of
# the JIT. What depends on byte order is s390x's to find, so only instruction tests and digests run.
. "$(dirname "$0")/lib.sh"
. tests/stages/cross.sh
cross riscv64 riscv64 few
