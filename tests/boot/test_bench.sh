#!/bin/bash
# The bench guest's workloads (bench/guest), at a hundredth of their size, 64 and 32 bits on
# Debian's cloud kernel: interpreted and compiled they take the same path, to the digest, and their
# checksums are those that this machine's own processor gives, if it is an x86. BUILD is the build
# directory, GUESTS what tests/boot/guests.sh made.

set -u
export LC_ALL=C
BUILD=$(cd "${BUILD:-.}" && pwd)
top=$(cd "$(dirname "$0")/../.." && pwd)
guests=${GUESTS:-$top/build/guests}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp" || exit 1
pass=0 fail=0 skip=0

verdict() # NAME FILE WANTED: the same lines
{
    if diff "$2" "$3" >diff; then
        echo "PASS $1"
        pass=$((pass + 1))
    else
        head -n 20 diff
        echo "FAIL $1"
        fail=$((fail + 1))
    fi
}

for bits in 64 32; do
    initrd=$guests/bench$bits/initrd work=$guests/bench$bits/work
    if [ ! -e "$guests/vmlinuz-cloud" ] || [ ! -e "$initrd" ]; then
        if [ -n "${CI:-}" ]; then
            echo "FAIL bench_$bits: no bench guest: tests/boot/guests.sh did not run"
            fail=$((fail + 1))
        else
            echo "SKIP bench_$bits: no bench guest: run tests/boot/guests.sh build/guests"
            skip=$((skip + 1))
        fi
        continue
    fi
    for engine in interp jit; do
        timeout 300 "$BUILD/doppel" run -m 256 -engine $engine -seed 1 -rtc base=2024-01-01 \
            -kernel "$guests/vmlinuz-cloud" -initrd "$initrd" -display none -serial stdio \
            -no-reboot -digest -append \
            'console=ttyS0 quiet panic=-1 mitigations=off work=all scale=1' \
            >$engine 2>&1 </dev/null
        grep -e ' digest ' -e '^end ' -e '^failed' -e '^done' $engine | tr -d '\r' >$engine.end
    done
    verdict bench_${bits}_engines jit.end interp.end
    # What a count says: every workload ended.
    { grep -c '^end ' jit.end && grep '^done' jit.end; } >ended
    { grep -c '^    {"' "$top/bench/guest/work.c" && echo 'done'; } >wanted
    verdict bench_${bits}_ended ended wanted
    if "$work" list >/dev/null 2>&1; then
        "$work" all 1 2>&1 | grep '^end ' >native
        grep '^end ' jit.end >sums
        verdict bench_${bits}_native sums native
    else
        echo "SKIP bench_${bits}_native: this machine does not run $work"
        skip=$((skip + 1))
    fi
done
echo "$pass passed, $fail failed, $skip skipped"
[ $fail -eq 0 ]
