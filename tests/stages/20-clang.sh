#!/bin/sh
# clang 14 and the debug mode compile everything without a warning; the quick tests pass.
. "$(dirname "$0")/lib.sh"
build clang clang-14 tests --mode=debug
# What lint looks at is the tree, in the release stage; globals.sh looks at what a compiler made.
exec make -s -C build/check/clang check-quick LINT=tests/lint/globals.sh
