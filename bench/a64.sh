#!/bin/bash
# bench/run a64 [OPTIONS]: host instructions per guest instruction on aarch64 and on x86-64, one
# workload after the other, by our own counters (cpu/jit/count.h). Time under qemu-user says
# nothing, so no time is taken.
#
#   -w LIST     workloads, comma between two (default all: `bench/guest/work.c` lists them)
#   -b 64|32    programs and kernel of so many bits (default 64)
#   -s PERCENT  of each workload's size (default 2)
#   -c CPU      qemu-user's processor (default cortex-a57, which is ARMv8.0)
#   -e OPTIONS  more of doppel's engine (as for `doppel run -engine`)
#
# It builds both doppels itself, in build/bench/a64: without zlib, which cross builds do not have,
# so that one reads what the other saved.
#
# One boot on x86-64 finds at how many instructions the kernel starts the workload; each workload's
# boot is saved there, and both hosts go on from the saved machine to its end, which must be the
# same. So both count the same guest instructions, and each compiles for itself.
#
# "left": percent of the guest instructions run in code that code left to the interpreter. Such an
# instruction counts as the few that call it, so a ratio means little where that is much.
set -u
export LC_ALL=C
top=$(cd "$(dirname "$0")/.." && pwd)
BUILD=$(cd "${BUILD:-$top/build}" && pwd)
GUESTS=${GUESTS:-$top/build/guests}
list='' bits=64 scale=2 cpu=cortex-a57 engine=''
[ "${1:-}" != a64 ] || shift
while getopts w:b:s:c:e: opt; do
    case $opt in
    w) list=$OPTARG ;;
    b) bits=$OPTARG ;;
    s) scale=$OPTARG ;;
    c) cpu=$OPTARG ;;
    e) engine=,$OPTARG ;;
    *)
        sed -n '2,/^set/{ /^set/d; s/^# \{0,1\}//; p }' "$0" >&2
        exit 2
        ;;
    esac
done
. "$top/tools/packages.sh"
need_packages qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross cpio gcc || exit 1
dir=$BUILD/bench/a64
mkdir -p "$dir"

# build NAME CC OPTIONS...: $dir/NAME/doppel.
build()
{
    local cc=$2
    mkdir -p "$dir/$1"
    command -v ccache >/dev/null && cc="ccache $cc"
    (cd "$dir/$1" && { [ -e Makefile ] || CC=$cc "$top/configure" --without-zlib "${@:3}"; } &&
        make -j2 doppel) >"$dir/$1.log" 2>&1 && return
    tail -n 5 "$dir/$1.log" >&2
    exit 1
}
build x64 gcc
build a64 aarch64-linux-gnu-gcc --host=aarch64-linux-gnu
doppel=$dir/x64/doppel other=$dir/a64/doppel
kernel=$([ "$bits" = 64 ] && echo cloud || echo 686-pae)
[ -e "$GUESTS/vmlinuz-$kernel" ] || "$top/tools/guest-kernels.sh" "$GUESTS" "$kernel" || exit 1
"$top/bench/guest/build.sh" "$bits" "$GUESTS/bench$bits" || exit 1
list=${list:-$("$GUESTS/bench$bits/work" list | cut -d ' ' -f 1 | paste -s -d ,)}

# machine WORK OPTIONS...: the command line of a run of WORK, in args.
machine()
{
    args=(run -m 256 -smp 1 -kernel "$GUESTS/vmlinuz-$kernel" -initrd "$GUESTS/bench$bits/initrd"
        -append "console=ttyS0 quiet panic=-1 mitigations=off work=$1 scale=$scale" -seed 1
        -rtc base=2024-01-01T00:00:00 -display none -serial null -no-reboot "${@:2}")
}

# count WHO WORK COMMAND...: "WHO WORK work address flags budget glue sum insns left digest".
count()
{
    machine "$2" -load-state "$dir/state" -engine "jit,count=on$engine" -info jit -digest
    "${@:3}" "${args[@]}" >"$dir/$1-$2.txt" 2>&1 </dev/null
    awk -v who="$1" -v work="$2" '
        / as run:/ { for (i = 8; i <= 17; i += 2) { c = c " " $(i + 1) } sum = $19 }
        / ran in code / { n = $1; left = $12; sub(/^\(/, "", left) }
        /^icount / { digest = $2 "-" $6 }
        END { print who, work c, sum, n, n ? 100 * left / n : 0, digest }' "$dir/$1-$2.txt"
}

# Where workloads begin: a little before a boot without one powers off.
machine none -digest
ends=$("$doppel" "${args[@]}" 2>&1 </dev/null | sed -n 's/^icount \([0-9]*\) .*/\1/p')
[ -n "$ends" ] || {
    echo 'bench: the boot does not end' >&2
    exit 1
}
: >"$dir/gathered"
for w in ${list//,/ }; do
    machine "$w" -save-state "$dir/state@$((ends - 2000000))" -icount-limit "$((ends - 1999999))"
    "$doppel" "${args[@]}" >"$dir/save-$w" 2>&1 </dev/null
    count x64 "$w" "$doppel" >>"$dir/gathered"
    count a64 "$w" qemu-aarch64 -cpu "$cpu" "$other" >>"$dir/gathered"
done
awk '
    $1 == "x64" { for (i = 3; i <= 10; i++) { x[i] = $i } digest = $NF; next }
    FNR == 2 {
        printf "%-10s %27s %27s %6s %6s\n", "", "a64: work addr flags bud glue", "x64", "a/x", \
               "left"
    }
    {
        if ($NF != digest) { print $2 ": the ends differ:", digest, $NF; bad = 1 }
        r = x[8] ? $8 / x[8] : 0
        printf "%-10s %5.2f %5.2f %4.2f %4.2f %4.2f = %5.2f" \
               "  %5.2f %5.2f %4.2f %4.2f %4.2f = %5.2f" \
               "  %5.2f  %5.2f %5.2f\n", $2, $3, $4, $5, $6, $7, $8, x[3], x[4], x[5], x[6], x[7],
               x[8], r, $10, x[10]
        worst = r > worst ? r : worst
    }
    END { printf "the worst ratio is %.2f\n", worst; exit bad }' "$dir/gathered"
