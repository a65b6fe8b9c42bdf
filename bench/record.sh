#!/bin/bash
# bench/run record [-n RUNS]: what recording costs, how long a log is, how fast it replays.
#
# Two guests: a boot of Debian's amd64 kernel to power-off, and compute (bench/compute.asm). Each
# runs plain, with -record, and is replayed with and without --verify; the kinds alternate, and the
# least user and system time of each counts, since other load only ever adds. About 45 seconds on a
# host that is quiet. BUILD names a release build, GUESTS the guests' folder.
set -eu
export LC_ALL=C
top=$(cd "$(dirname "$0")/.." && pwd)
BUILD=$(cd "${BUILD:-$top/build}" && pwd)
guests=${GUESTS:-$top/build/guests}
work=$BUILD/bench/record
runs=3
[ "${1:-}" != record ] || shift
[ "${1:-}" != -n ] || runs=$2
mkdir -p "$work"
cd "$work"
[ -s compute.bin ] || "${NASM:-nasm}" -f bin -DPERCENT=20 -o compute.bin "$top/bench/compute.asm"

# timed NAME COMMAND...: appends user and system seconds to times.NAME.
timed()
{
    local name=$1
    shift
    TIMEFORMAT='%U %S'
    { time timeout 600 "$@" >out 2>&1 </dev/null || true; } 2>>"times.$name"
}

# least NAME
least()
{
    awk '{ print $1 + $2 }' "times.$1" | sort -n | head -n 1
}

# one GUEST OPTIONS...
one()
{
    local guest=$1 i
    shift
    rm -f times.*
    for ((i = 0; i < runs; i++)); do
        timed plain "$BUILD/doppel" run -display none -serial null "$@"
        timed record "$BUILD/doppel" run -display none -serial null "$@" -record "$guest.log"
        timed replay "$BUILD/doppel" replay "$guest.log" -serial null
        timed verify "$BUILD/doppel" replay "$guest.log" -serial null --verify
    done
    awk -v guest="$guest" -v plain="$(least plain)" -v record="$(least record)" \
        -v replay="$(least replay)" -v verify="$(least verify)" \
        -v bytes="$(stat -c %s "$guest.log")" 'BEGIN {
            printf "%-8s %6.2f s  recorded %.3f  replayed %.3f  verified %.3f  " \
                "log %d bytes\n", guest, plain, record / plain, replay / plain, verify / plain,
                bytes }'
}

one boot -m 256 -kernel "$guests/vmlinuz-amd64" -initrd "$guests/initrd-test-amd64" \
    -append 'console=ttyS0 panic=-1' -no-reboot
one compute -kernel compute.bin -device isa-debug-exit,iobase=0xf4,iosize=1
