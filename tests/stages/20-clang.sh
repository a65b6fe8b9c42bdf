#!/bin/sh
# clang 14 and the debug mode compile everything without a warning; the quick tests pass.
. "$(dirname "$0")/lib.sh"
build clang clang-14 tests --mode=debug
exec make -s -C build/check/clang check-quick
