#!/bin/bash
# The instruction tests again, every block compiled at its first run (T_ENGINE=jit, see
# tests/lib/bare.h): host CPU, silicon and known answers against the JIT. At the quick amount of
# random cases, since it is the operand shapes that matter. On a host without a back end it is the
# interpreter once more.
set -u
export LC_ALL=C T_ENGINE=jit T_LEVEL=quick
BUILD=${BUILD:-.}
pass=0 fail=0 skip=0
tests="oracle align_native loadall silicon sse_checks sse_digest sse_native string x87 x87_state"
for t in $tests; do
    out=$(timeout 300 ${TEST_WRAPPER:-} "$BUILD/tests/insn/test_$t" 2>&1)
    status=$?
    last=$(tail -n 1 <<<"$out")
    if [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed,\ ([0-9]+)\ skipped$ ]]; then
        pass=$((pass + BASH_REMATCH[1]))
        fail=$((fail + BASH_REMATCH[2]))
        skip=$((skip + BASH_REMATCH[3]))
    else
        fail=$((fail + 1))
    fi
    if [ $status -ne 0 ]; then
        echo "$out"
        echo "FAIL test_$t; repeat: T_ENGINE=jit $BUILD/tests/insn/test_$t"
    fi
done
echo "$pass passed, $fail failed, $skip skipped"
[ "$fail" -eq 0 ]
