#!/bin/sh
# Cross-built for aarch64 by Debian's compiler, run under qemu-user: instruction and unit tests.
. "$(dirname "$0")/lib.sh"
. tests/stages/cross.sh
cross aarch64 arm64
