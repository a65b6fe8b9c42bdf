#!/bin/sh
# The release build with gcc: every test of the tree, at its full size.
. "$(dirname "$0")/lib.sh"
# The boot tests' guests: Debian's kernels and an initrd with tests in it.
tests/boot/guests.sh build/guests || {
    echo 'FAIL no guest kernels'
    echo '0 passed, 1 failed, 0 skipped'
    exit 1
}
build release gcc tests --mode=release
# What the cross builds must reproduce.
rm -f build/check/digests
export DIGESTS_OUT=$TOP/build/check/digests
exec make -s -C build/check/release check
