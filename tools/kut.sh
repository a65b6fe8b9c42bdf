#!/bin/sh
# kut.sh [OPTION...] BUILD...: runs kvm-unit-tests on doppel.
#
# BUILD is a folder in which kvm-unit-tests was configured (--arch=x86_64 or --arch=i386) and made;
# with one of each, the table has two columns. Every test of x86/unittests.cfg is run with the CPUs,
# memory and arguments that it names. One line each:
#
#   x86_64 smptest PASS 1 tests
#
#   PASS     the test ended and says so
#   SKIP     it found that the CPU lacks a feature, or names what only QEMU with KVM has
#   FAIL     it said so, or ended in any other way
#   TIMEOUT  it ran into the limit of instructions (-i) or of seconds (-s)
#
#   -d FILE    the program [./doppel]
#   -o DIR     where logs and results go [kut.out]: DIR/ARCH/NAME.log, DIR/ARCH/NAME.result and
#              DIR/table.md, the table of docs/conformance.md
#   -n NAMES   only these tests, separated by commas; results of the others are kept from before
#   -j N       so many at a time [1]
#   -i N       limit of instructions for a test [20000000000]
#   -s N       limit of seconds of host time for a test [1800]
#   -v         print each command
#
# QEMU's options become ours: -cpu max, host and none at all are doppel64; qemu64 is nehalem, others
# are core2 (36-bit addresses). Features that doppel knows go along, others are left out, and the
# test then finds by CPUID that they are not there. -machine pit=off, -overcommit and -enable-kvm
# say how KVM works inside and are left out.
#
# x2apic, xapic and syscall are told that they run on bare metal (TEST_DEVICE=0 in the environment
# that kvm-unit-tests reads from the first module): otherwise they use KVM's hypercall, or on a CPU
# of Intel's SYSCALL outside of 64-bit mode, both of which are #UD (SDM 3C VMCALL, 2B SYSCALL).
# realmode and s3 are started by SeaBIOS, as all are with QEMU: one needs its timer interrupt, the
# other that it wakes up.
#
# Ends with 0 when every test passed or was skipped.
set -eu
export LC_ALL=C

doppel=./doppel out=kut.out names='' jobs=1 icount=20000000000 seconds=1800 verbose=
one=

usage()
{
    sed -n '2,/^set -eu/s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

while getopts d:o:n:j:i:s:v1: opt; do
    case $opt in
    d) doppel=$OPTARG ;;
    o) out=$OPTARG ;;
    n) names=$OPTARG ;;
    j) jobs=$OPTARG ;;
    i) icount=$OPTARG ;;
    s) seconds=$OPTARG ;;
    v) verbose=-v ;;
    1) one=$OPTARG ;;
    *) usage ;;
    esac
done
shift $((OPTIND - 1))
[ $# -ge 1 ] || usage

# cfg_tests BUILD: "NAME<tab>KEY<tab>VALUE" for every line of unittests.cfg.
cfg_tests()
{
    awk '
        /^\[.*\]$/ { name = substr($0, 2, length($0) - 2); print name "\tname\t" name; next }
        name != "" && /^[a-z_]+ *= */ {
            key = $1
            sub(/^[a-z_]+ *= */, "")
            print name "\t" key "\t" $0
        }' "$1/x86/unittests.cfg"
}

# get KEY: a value of the test at hand.
get()
{
    printf '%s\n' "$test_lines" | awk -F '\t' -v key="$1" '$2 == key { print $3; exit }'
}

arch_of()
{
    sed -n 's/^ARCH=//p' "$1/config.mak"
}


# cpu_of QEMU_CPU: what it is for doppel; what doppel does not know is left out.
cpu_of()
{
    _model=${1%%,*}
    case $_model in
    max | host | Skylake-Server) _cpu=doppel64 ;;
    qemu64) _cpu=nehalem ;;
    *) _cpu=core2 ;;
    esac
    for _f in $(printf '%s' "$1" | tr ',' ' '); do
        case $_f in
        +*)
            _n=$(printf '%s' "${_f#+}" | tr '-' '_')
            _try=$_cpu,+$_n
            ;;
        -*)
            _n=$(printf '%s' "${_f#-}" | tr '-' '_')
            _try=$_cpu,-$_n
            ;;
        *) continue ;;
        esac
        if "$doppel" run -cpu "$_try" -icount-limit 0 -serial null </dev/null >/dev/null 2>&1; then
            _cpu=$_try
        fi
    done
    printf '%s\n' "$_cpu"
}

# result WHAT TEXT: ends the test at hand.
result()
{
    printf '%s\t%s\n' "$1" "$2" >"$dir/$name.result"
    printf '%s %s %s %s\n' "$arch" "$name" "$1" "$2"
    exit 0
}

run_one()
{
    build=$1 name=$2
    arch=$(arch_of "$build")
    dir=$out/$arch
    test_lines=$(cfg_tests "$build" | awk -F '\t' -v name="$name" '$1 == name')
    : >"$dir/$name.log"
    only=$(get arch)
    [ -z "$only" ] || [ "$only" = "$arch" ] || result - "$only only"

    cpu=doppel64 mem=128
    set -f
    # shellcheck disable=SC2046
    set -- $(get qemu_params)
    set +f
    while [ $# -gt 0 ]; do
        case $1 in
        -cpu) cpu=$(cpu_of "$2") && shift ;;
        -m) mem=$2 && shift ;;
        -M | -machine)
            case $2 in
            q35*) result SKIP 'needs the board q35 with its IOMMU' ;;
            *vmport=on*) result SKIP "needs VMware's backdoor port" ;;
            esac
            shift
            ;;
        -device | -overcommit) shift ;;
        -enable-kvm) ;;
        *) result FAIL "unknown option in unittests.cfg: $1" ;;
        esac
        shift
    done
    case $name in
    hypercall | vmexit_vmcall)
        result SKIP "needs KVM's hypercalls; VMCALL outside VMX operation is #UD (SDM 3C)"
        ;;
    esac
    smp=$(get smp)
    kernel=$build/x86/$(get file)
    [ -f "$kernel" ] || result SKIP 'not built for this architecture'
    args=$(get test_args)
    args=$(eval "printf '%s ' $(printf '%s' "$args" | sed 's/\([*;&|<>]\)/\\\1/g')") || args=
    args=${args% }

    set -- "$doppel" run -kernel "$kernel" -m "$mem" -smp "${smp:-1}" -cpu "$cpu" \
        -display none -serial stdio -no-reboot -icount-limit "$icount" -seed 1 \
        -rtc base=2024-01-01T00:00:00 \
        -device pc-testdev -device isa-debug-exit,iobase=0xf4,iosize=4 -device pci-testdev
    case $name in
    x2apic | xapic | syscall) set -- "$@" -initrd "$out/bare-metal" ;;
    realmode | s3) set -- "$@" -bios bios-256k.bin -vga none ;;
    esac
    [ -z "$args" ] || set -- "$@" -append "$args"
    [ -z "$verbose" ] || echo "+ $*"
    status=0
    timeout "$seconds" "$@" </dev/null >"$dir/$name.log" 2>"$dir/$name.err" || status=$?
    tr -d '\r' <"$dir/$name.log" >"$dir/$name.tmp" && mv "$dir/$name.tmp" "$dir/$name.log"
    summary=$(tail -n 5 "$dir/$name.log" | sed -n 's/^SUMMARY: //p')
    skipped=$(sed -n -e 's/^SKIP: //p' \
        -e 's/^.* not \(supported\|detected\|available\|enabled\).*/&/p' "$dir/$name.log" |
        sed -e 's/^WARNING: //' -e 's/, add .*//' -e 1q)
    failed=$(sed -n 's/^FAIL: //p' "$dir/$name.log" | head -n 1)
    last=$(tail -n 1 "$dir/$name.log" | cut -c 1-100)
    # The guest writes V to the debug port and doppel ends with 2 V + 1: 77 means skipped.
    case $status in
    1) result PASS "$summary" ;;
    77) result SKIP "${skipped:-$summary}" ;;
    0) result TIMEOUT "no end after $icount instructions; last line: $last" ;;
    124) result TIMEOUT "no end after $seconds seconds; last line: $last" ;;
    *) result FAIL "${summary:-status $status, last line: $last}${failed:+; first: $failed}" ;;
    esac
}

# table ARCH...: markdown from the results in $out.
table()
{
    for _a in "$@"; do
        for _r in "$out/$_a"/*.result; do
            printf '%s\t%s\t%s\n' "$_a" "$(basename "$_r" .result)" "$(cat "$_r")"
        done
    done | awk -F '\t' -v arches="$*" -v order="$order" '
        { what[$1, $2] = $3; text[$1, $2] = $4; gsub(/\|/, "/", text[$1, $2]); count[$1, $3]++ }
        function cell(a, t) {
            return what[a, t] == "" ? "?" : tolower(what[a, t])
        }
        END {
            n = split(arches, arch, " ")
            line = "| test |"; rule = "|---|"
            for (i = 1; i <= n; i++) { line = line " " arch[i] " |"; rule = rule "---|" }
            print line " remarks |"; print rule "---|"
            tests = split(order, test, " ")
            for (k = 1; k <= tests; k++) {
                t = test[k]; line = "| " t " |"; note = ""
                for (i = 1; i <= n; i++) {
                    a = arch[i]
                    line = line " " cell(a, t) " |"
                    if (what[a, t] != "-" && text[a, t] != "" && index(note, text[a, t]) == 0) {
                        note = note (note == "" ? "" : "; ") text[a, t]
                    }
                }
                print line " " note " |"
            }
            print ""
            for (i = 1; i <= n; i++) {
                a = arch[i]
                printf "%s: %d pass, %d skip, %d fail, %d time out\n", a, count[a, "PASS"],
                    count[a, "SKIP"], count[a, "FAIL"], count[a, "TIMEOUT"]
            }
        }'
}

if [ -n "$one" ]; then
    run_one "$1" "$one"
fi

mkdir -p "$out"
printf 'TEST_DEVICE=0\n' >"$out/bare-metal"
arches=
for build in "$@"; do
    [ -f "$build/config.mak" ] || {
        echo "kut.sh: $build: configure and make kvm-unit-tests there first" >&2
        exit 2
    }
    order=$(cfg_tests "$build" | awk -F '\t' '$2 == "name" { print $1 }')
    arch=$(arch_of "$build")
    arches="$arches $arch"
    mkdir -p "$out/$arch"
    for name in $order; do
        case ,${names:-$name}, in
        *,"$name",*) echo "$name" ;;
        esac
    done | xargs -P "$jobs" -I '{}' sh "$0" -d "$doppel" -o "$out" -i "$icount" -s "$seconds" \
        ${verbose:+-v} -1 '{}' "$build"
done
# shellcheck disable=SC2086
table $arches >"$out/table.md"
tail -n $# "$out/table.md"
for arch in $arches; do
    ! grep -lE '^(FAIL|TIMEOUT)' "$out/$arch"/*.result >/dev/null || exit 1
done
