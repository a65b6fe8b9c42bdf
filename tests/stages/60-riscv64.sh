#!/bin/sh
# Cross-built for riscv64 by Debian's compiler, run under qemu-user: a host without a back end of
# the JIT. What byte order and word size could break s390x finds, so only instructions run here,
# and the digests.
. "$(dirname "$0")/lib.sh"
. tests/stages/cross.sh
cross riscv64 riscv64
