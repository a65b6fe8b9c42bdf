#!/bin/sh
# bench/guest/build.sh BITS OUT: the workloads as one static program for a 64- or 32-bit x86 Linux,
# OUT/work, and an initrd with nothing else, OUT/initrd. Idempotent.
set -eu
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../tools/packages.sh"
case ${1:-} in
64) cc=x86_64-linux-gnu-gcc packages='gcc-x86-64-linux-gnu libc6-dev-amd64-cross' ;;
32) cc=i686-linux-gnu-gcc packages='gcc-i686-linux-gnu libc6-dev-i386-cross' ;;
*)
    echo "usage: $0 64|32 OUT" >&2
    exit 2
    ;;
esac
out=$2
[ ! -e "$out/initrd" ] || [ -n "$(find "$here" -newer "$out/initrd")" ] || exit 0
command -v cpio >/dev/null || need_packages cpio
# shellcheck disable=SC2086
command -v $cc >/dev/null || need_packages $packages
mkdir -p "$out/root"
# A compiler takes its time over two thousand functions, and much more of it to optimize them.
$cc -O1 -Wall -Wextra -c -o "$out/bigcode.o" "$here/bigcode.c"
$cc -O2 -msse2 -mfpmath=sse -Wall -Wextra -static -o "$out/work" "$here/work.c" \
    "$here/integer.c" "$here/fp.c" "$here/system.c" "$here/rewrite.c" "$out/bigcode.o" -lm
cp "$out/work" "$out/root/init"
(cd "$out/root" && echo init | cpio --quiet -o -H newc -R 0:0) >"$out/initrd.tmp"
mv "$out/initrd.tmp" "$out/initrd"
