#!/bin/bash
# The bench guest's workloads (bench/guest), at a hundredth of their size, 64 and 32 bits on
# Debian's cloud kernel: interpreted and compiled they take the same path, to the digest, and their
# checksums are those that this machine's own processor gives, if it is an x86. BUILD is the build
# directory, GUESTS what tests/boot/guests.sh made.
. "$(dirname "$0")/../t.sh"

lines() # NAME FILE WANTED: the same lines
{
    diff "$2" "$3" >diff
    ok "$1" $? diff
}

for bits in 64 32; do
    initrd=$guests/bench$bits/initrd work=$guests/bench$bits/work
    if [ ! -e "$guests/vmlinuz-cloud" ] || [ ! -e "$initrd" ]; then
        if [ -n "${CI:-}" ]; then
            failed "bench_$bits: no bench guest: tests/boot/guests.sh did not run"
        else
            skipped bench_$bits 'no bench guest: run tests/boot/guests.sh build/guests'
        fi
        continue
    fi
    for engine in interp jit; do
        timeout 300 "$doppel" run -m 256 -engine $engine -seed 1 -rtc base=2024-01-01 \
            -kernel "$guests/vmlinuz-cloud" -initrd "$initrd" -display none -serial stdio \
            -no-reboot -digest -append \
            'console=ttyS0 quiet panic=-1 mitigations=off work=all scale=1' \
            >$engine 2>&1 </dev/null
        grep -e ' digest ' -e '^end ' -e '^failed' -e '^done' $engine | tr -d '\r' >$engine.end
    done
    lines bench_${bits}_engines jit.end interp.end
    # What a count says: every workload ended.
    { grep -c '^end ' jit.end && grep '^done' jit.end; } >ended
    { grep -c '^    {"' "$top/bench/guest/work.c" && echo 'done'; } >wanted
    lines bench_${bits}_ended ended wanted
    if "$work" list >/dev/null 2>&1; then
        "$work" all 1 2>&1 | grep '^end ' >native
        grep '^end ' jit.end >sums
        lines bench_${bits}_native sums native
    else
        skipped bench_${bits}_native "this machine does not run $work"
    fi
done
total
