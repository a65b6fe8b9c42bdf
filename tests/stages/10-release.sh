#!/bin/sh
# The release build with gcc: every test of the tree, at its full size.
. "$(dirname "$0")/lib.sh"
build release gcc tests --mode=release
exec make -s -C build/check/release check
