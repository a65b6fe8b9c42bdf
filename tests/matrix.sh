#!/bin/bash
# tests/matrix.sh PROGRAM...: test programs (paths as tests/run takes them) in each way that guest
# code can be run. A machine whose test asks for no engine gets the way's, through T_ENGINE; what a
# test expects stays what it is, so a way that changes what a guest sees fails.
#
# Environment: that of tests/run; WAYS: some of the ways alone, separated by spaces.
# With lockstep a whole boot takes minutes: `make check-matrix` is for the night.
set -u
src=$(cd "$(dirname "$0")/.." && pwd)
ways=${WAYS:-interp jit jit,threshold=1,maxblock=1 jit,threshold=1,links=off jit,threshold=1,super=1
    jit,chaos=1 lockstep}
bad=0
for way in $ways; do
    echo "=== $way"
    T_ENGINE=$way "$src/tests/run" "$@" || bad=1
done
exit $bad
