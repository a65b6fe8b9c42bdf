#!/bin/bash
# Privileged behaviour: runs each image of tests/priv (or those named as arguments) in doppel and
# counts the cases it reports on port 0xe9. An image that does not come to its "DONE n" within the
# instruction limit, or loses cases, fails. tests/priv/lib.inc says how an image is written.
#
# BUILD is the build directory. To look at one:
#     doppel run -kernel BUILD/tests/priv/seg.bin -debugcon stdio -serial null -display none
#         -device isa-debug-exit,iobase=0xf4,iosize=4
set -u
export LC_ALL=C
SRC=${SRC:-$(cd "$(dirname "$0")/../.." && pwd)}
BUILD=$(cd "${BUILD:-.}" && pwd)
limit=500000000
passed=0 failed=0 skipped=0

if [ ! -x "$BUILD/doppel" ]; then
    echo "SKIP priv: no doppel in $BUILD"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
fi
if [ $# -eq 0 ]; then
    for f in "$SRC"/tests/priv/*.asm; do
        set -- "$@" "$(basename "$f" .asm)"
    done
fi
for name in "$@"; do
    image=$BUILD/tests/priv/$name.bin
    # Options of its own: a line "; doppel: -cpu 486" in the source.
    extra=$(sed -n 's/^; doppel: //p' "$SRC/tests/priv/$name.asm")
    # isa-debug-exit gives status 1 for the value 0.
    out=$(timeout "${T_TIMEOUT:-120}" ${TEST_WRAPPER:-} "$BUILD/doppel" run -kernel "$image" \
        -m 64 -display none -serial null -debugcon stdio -no-reboot -seed 1 \
        -device isa-debug-exit,iobase=0xf4,iosize=4 -icount-limit $limit \
        $extra 2>&1 </dev/null |
        tr -d '\r\0')
    p=$(grep -c '^PASS ' <<<"$out") f=$(grep -c '^FAIL ' <<<"$out")
    grep -v -e '^PASS ' -e '^DONE ' <<<"$out" | head -n 40 | sed "s/^FAIL /FAIL $name./"
    done=$(sed -n 's/^DONE //p' <<<"$out")
    if [ "${done:-none}" != $((p + f)) ]; then
        echo "FAIL $name.end: $((p + f)) cases seen, the image says ${done:-nothing}"
        f=$((f + 1))
    else
        echo "PASS $name ($p cases)"
    fi
    passed=$((passed + p)) failed=$((failed + f))
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
