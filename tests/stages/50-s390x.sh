#!/bin/sh
# Cross-built for s390x by Debian's compiler, run under qemu-user: instruction and unit tests.
. "$(dirname "$0")/lib.sh"
. tests/stages/cross.sh
cross s390x s390x
