#!/bin/bash
# bench/run guest [OPTIONS]: programs in a Linux guest, under doppel, QEMU TCG and on the host.
# bench/run boots [OPTIONS]: the four Debian kernels from power-on to user space.
# bench/run jit [OPTIONS]: what compiling costs, and the code, for boots of those kernels (and -w).
#
#   -n RUNS       runs of each emulator, alternated (default 3)
#   -w LIST       workloads, comma between two (default all: `bench/guest/work.c` lists them)
#   -b 64|32|all  programs and kernel of so many bits (default 64)
#   -s PERCENT    of each workload's size (default 100)
#   -k KERNEL     instead of cloud (64) and 686-pae (32), which boot fastest
#   -e OPTIONS    doppel's engine (as for `doppel run -engine`)
#   -d DOPPEL     the program (default that of $BUILD)
#   -q            doppel alone, once; the others' figures from the last full run
#   -o            appends the result to bench/history.jsonl
#
# Kernel, initrd, memory and command line are the same for both. The initrd is one static program of
# ours (bench/guest) that prints a line on the serial port before and after each workload;
# bench/stamp.c takes the emulator's processor time (and the host's clock) when a line comes. Guest
# clocks are not used. The host runs the same program, pinned to one processor: the ceiling.
# Checksums of all three must be equal.
#
# doppel runs its default CPU model, QEMU `-cpu max` without LA57 (which would make its page tables
# deeper): both have AVX2, FMA and ERMS, so that the C library picks the same functions, and
# mitigations=off keeps the kernel from asking how either CPU wants to be protected.
set -u
export LC_ALL=C
top=$(cd "$(dirname "$0")/.." && pwd)
BUILD=$(cd "${BUILD:-$top/build}" && pwd)
GUESTS=${GUESTS:-$top/build/guests}
doppel=$BUILD/doppel
out=$BUILD/bench/guest
runs=3 list='' bits=64 scale=100 kernel='' engine='' quick='' history=''
what=$1
shift
while getopts n:w:b:s:k:e:d:qo opt; do
    case $opt in
    n) runs=$OPTARG ;;
    w) list=$OPTARG ;;
    b) bits=$OPTARG ;;
    s) scale=$OPTARG ;;
    k) kernel=$OPTARG ;;
    e) engine=$OPTARG ;;
    d) doppel=$(realpath "$OPTARG") ;;
    q) quick=1 runs=1 ;;
    o) history=1 ;;
    *)
        sed -n '2,/^set/{ /^set/d; s/^# \{0,1\}//; p }' "$0" >&2
        exit 2
        ;;
    esac
done
[ "$bits" != all ] || bits='64 32'
. "$top/tools/packages.sh"
need_packages qemu-system-x86 cpio gcc || exit 1
mkdir -p "$out"
append='console=ttyS0 quiet panic=-1 mitigations=off'

die()
{
    echo "bench: $*" >&2
    exit 1
}

need_kernel()
{
    [ -e "$GUESTS/vmlinuz-$1" ] && [ -e "$GUESTS/initrd-$1" ] ||
        "$top/tools/guest-kernels.sh" "$GUESTS" "$1" || exit 1
}

# run_doppel FILE WORDS KERNEL INITRD, and run_tcg: one boot until a line with $until; its stamped
# lines in FILE. WORDS follow the common command line.
run_doppel()
{
    # shellcheck disable=SC2086
    "$BUILD/bench/stamp" -u "$until" "$doppel" run ${engine:+-engine $engine} -m 256 -smp 1 \
        -kernel "$3" -initrd "$4" -append "$append $2" -display none -serial stdio -no-reboot \
        >"$1" 2>"$1.err"
}

run_tcg()
{
    "$BUILD/bench/stamp" -u "$until" qemu-system-x86_64 -accel tcg -cpu max,la57=off -m 256 \
        -nodefaults -no-user-config -kernel "$3" -initrd "$4" -append "$append $2" -display none \
        -serial stdio -no-reboot >"$1" 2>"$1.err"
}

# gather WHO FILE...: "WHO NAME CPU WALL CHECKSUM" for each workload, and one for the boot.
gather()
{
    [ -e "$2" ] || return 0
    awk -v who="$1" '
    $3 == "begin" { name = $4; wall = $1; cpu = $2 }
    $3 == "end" && $4 == name { line = who " " name " " $2 - cpu " " $1 - wall " " $5 }
    $3 == "end" && who != "native" { print line }
    $3 == "exit" && who == "native" { # with its children; nobody else measures it
        split(line, f, " "); print f[1], f[2], $2, f[4], f[5] }
    $3 == "userspace" || $4 == "Linux" { print who " boot " $2 " " $1 " -" }
    $3 == "failed:" { print who, $0 >"/dev/stderr" }' "${@:2}"
}

# report LIST FILE: the table of FILE (gathered) for the names and classes in LIST.
report()
{
    awk -v bits="$b" -v kernel="$name" -v scale="$scale" -v engine="$engine" -v runs="$runs" \
        -v load="$(cut -d ' ' -f 1 /proc/loadavg)" -v date="$(date -u +%FT%TZ)" \
        -v commit="$(git -C "$top" describe --always --dirty 2>/dev/null)" \
        -v cpu="$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)" -v entry="$out/entry" \
        -v works="$list" -f "$top/bench/guest.awk" "$1" "$2"
    status_of_report=$?
    [ -z "$history" ] || cat "$out/entry" >>"$top/bench/history.jsonl"
    return $status_of_report
}

# guest_run: programs of $b bits.
guest_run()
{
    local dir=$out/$b until=done r w works
    mkdir -p "$dir"
    "$top/bench/guest/build.sh" "$b" "$GUESTS/bench$b" || exit 1
    name=${kernel:-$([ "$b" = 64 ] && echo cloud || echo 686-pae)}
    need_kernel "$name"
    "$GUESTS/bench$b/work" list >"$dir/list"
    echo 'boot boot' >>"$dir/list"
    works=${list:-$("$GUESTS/bench$b/work" list | cut -d ' ' -f 1 | paste -s -d ,)}
    rm -f "$dir"/doppel-*
    [ -n "$quick" ] || rm -f "$dir"/tcg-* "$dir"/native-*
    set -- "work=$works scale=$scale" "$GUESTS/vmlinuz-$name" "$GUESTS/bench$b/initrd"
    for r in $(seq "$runs"); do
        run_doppel "$dir/doppel-$r" "$@"
        [ -z "$quick" ] || break
        run_tcg "$dir/tcg-$r" "$@"
        for w in ${works//,/ }; do
            "$BUILD/bench/stamp" -p "$GUESTS/bench$b/work" "$w" "$scale" >"$dir/native-$r-$w"
        done
    done
    for w in doppel tcg native; do
        gather $w "$dir/$w"-*[0-9a-z]
    done >"$dir/gathered"
    report "$dir/list" "$dir/gathered"
}

boots_run()
{
    local dir=$out/boots until='doppel: Linux' r k
    mkdir -p "$dir"
    rm -f "$dir"/list "$dir"/doppel-* "$dir"/gathered
    [ -n "$quick" ] || rm -f "$dir"/tcg-*
    for k in ${kernel:-cloud amd64 686-pae 686}; do
        need_kernel "$k"
        echo "$k boot" >>"$dir/list"
        set -- '' "$GUESTS/vmlinuz-$k" "$GUESTS/initrd-$k"
        for r in $(seq "$runs"); do
            run_doppel "$dir/doppel-$k-$r" "$@"
            [ -n "$quick" ] || run_tcg "$dir/tcg-$k-$r" "$@"
        done
        for w in doppel tcg; do
            gather $w "$dir/$w-$k"-*[0-9] | sed "s/ boot / $k /" >>"$dir/gathered"
        done
    done
    name='' b=''
    report "$dir/list" "$dir/gathered"
}

# jit_run: one boot with count=on for the counters, one under perf for the time. The cost of
# compiling is the samples in the functions of the compiler's objects.
jit_run()
{
    local dir=$out/jit k args
    need_packages linux-perf binutils || exit 1
    mkdir -p "$dir"
    (cd "$BUILD/obj/cpu" && nm lift*.o jit/*.o jit/*/*.o) | awk '
        / [tT] / && !/ jit_(run|host|site|link|unlink|stats|check|count|runs|running)$/ {
            sub(/\..*/, "", $3); print $3 }' >"$dir/symbols"
    for k in ${kernel:-cloud amd64 686-pae 686}; do
        need_kernel "$k"
        b=64
        case $k in 686*) b=32 ;; esac
        "$top/bench/guest/build.sh" "$b" "$GUESTS/bench$b" || exit 1
        args=(run -m 256 -smp 1 -kernel "$GUESTS/vmlinuz-$k" -initrd "$GUESTS/bench$b/initrd"
            -append "$append work=$list scale=$scale" -display none -serial stdio -no-reboot)
        echo "--- $k${list:+, $list}; $(git -C "$top" describe --always --dirty 2>/dev/null)"
        "$doppel" "${args[@]}" -engine "${engine:-jit},count=on" -info jit 2>&1 </dev/null |
            tee "$dir/counters-$k" | grep -e ' blocks' -e ' per guest' -e ' ran in code'
        "$BUILD/bench/stamp" perf record -q -e cpu-clock -F 997 -o "$dir/perf" \
            "$doppel" "${args[@]}" ${engine:+-engine "$engine"} -info mem >"$dir/run-$k" \
            2>"$dir/err"
        perf report -i "$dir/perf" --comm doppel --no-children --sort symbol -F period,symbol \
            2>/dev/null |
            awk -v insns="$(sed -n 's/.*since start: \([0-9]*\) instructions.*/\1/p' \
                "$dir/counters-$k")" '
                NR == FNR { compiler[$1] = 1; next }
                $1 + 0 > 0 { all += $1; name = $3; sub(/\..*/, "", name)
                    if (name in compiler) { ns += $1 } }
                END { printf "compiling: %.3f us for each of %d guest instructions, %.1f %% of " \
                          "all\n", ns / 1000 / insns, insns, all ? 100 * ns / all : 0
                }' "$dir/symbols" -
        awk '/ bytes of code/ && NR == FNR { code = $3 }
             / RAM: / { guest = $6 }
             / flushes, / { sub(/.* flushes, /, ""); blocks = $1 }
             $3 == "exit" { top = $5 }
             END { printf "memory: code %.1f MiB, decoded blocks %.1f MiB; resident beside " \
                          "guest RAM at most %.1f MiB\n", code / 1048576, blocks / 1024,
                          (top - guest) / 1024 }' "$dir/counters-$k" "$dir/run-$k"
    done
}

[ -x "$doppel" ] || die "no $doppel: make it first"
make -s -C "$BUILD" bench/stamp || exit 1
status=0
[ "$what" = guest ] || bits=all
for b in $bits; do
    "${what}_run" || status=1
done
exit $status
