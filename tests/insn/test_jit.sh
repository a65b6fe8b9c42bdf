#!/bin/bash
# Instruction tests again, compiled in several ways (T_ENGINE, see tests/lib/bare.h): host CPU,
# silicon and known answers against the JIT. (test_oracle is not among them: it calls semantics.)
# At the quick amount of random cases, since it is the
# operand shapes that matter; the first way gets all tests, the others those that are quick. T_LEVEL
# long: all tests in all ways. On a host without a back end it would be the interpreter once more.
set -u
export LC_ALL=C
BUILD=${BUILD:-.}
level=${T_LEVEL:-full}
if [ "${JIT_HOST:-}" = none ]; then
    echo 'SKIP jit: no back end for this host'
    echo '0 passed, 0 failed, 1 skipped'
    exit 0
fi
export T_LEVEL=quick
pass=0 fail=0 skip=0
all="align_native loadall silicon sse_checks sse_digest sse_native string x87 x87_state"
some="loadall sse_checks string x87_state"

# way ENGINE TESTS...: each of them under T_ENGINE=ENGINE.
way()
{
    local engine=$1 t out status last
    shift
    for t in "$@"; do
        out=$(T_ENGINE=$engine timeout 600 ${TEST_WRAPPER:-} "$BUILD/tests/insn/test_$t" 2>&1)
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
            echo "FAIL test_$t; repeat: T_LEVEL=quick T_ENGINE=$engine $BUILD/tests/insn/test_$t"
        fi
    done
}

if [ "$level" = long ]; then
    some=$all
fi
way jit $all
if [ "$level" != quick ]; then
    way jit,threshold=1,links=off $some
    way lockstep,threshold=1,super=1 $some
    way jit,threshold=1,super=1 $some
    way jit,threshold=1,maxblock=1 $some
    way jit,threshold=4,chaos=1 $some
fi
echo "$pass passed, $fail failed, $skip skipped"
[ "$fail" -eq 0 ]
