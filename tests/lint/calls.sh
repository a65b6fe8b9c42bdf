#!/bin/sh
# Host time and entropy enter a machine only through the input gate: no object outside host/,
# vm/run*, util/os* and frontends/ refers to a clock or a random source. And no libm anywhere in
# cpu/ (its results differ between hosts); printf of %p is host dependent too, but harmless in logs.
. "$(dirname "$0")/lib.sh"

clocks='time clock clock_gettime gettimeofday localtime gmtime mktime ftime times nanosleep usleep'
clocks="$clocks sleep rand srand random srandom rand_r drand48 lrand48 getrandom getentropy"
libm='sin cos tan asin acos atan atan2 sinh cosh tanh exp exp2 expm1 log log2 log10 log1p pow sqrt'
libm="$libm cbrt hypot fma fmod remainder rint nearbyint round trunc floor ceil lrint llrint scalbn"
libm="$libm ldexp frexp modf fesetround fegetround feclearexcept fetestexcept feraiseexcept"

for object in $(cat "$BUILD/libdoppel.list"); do
    name=${object#obj/}
    case $name in
    host/* | vm/run* | util/os*) continue ;;
    esac
    words=$clocks
    case $name in
    cpu/*) words="$words $libm" ;;
    esac
    "${NM:-nm}" -u "$BUILD/$object" 2>/dev/null | awk -v words="$words" -v name="$name" '
        BEGIN {
            n = split(words, w, " ")
            for (i = 1; i <= n; i++) { bad[w[i]] = bad[w[i] "f"] = bad[w[i] "l"] = 1 }
        }
        $NF in bad { print name ": calls " $NF "()" }'
done | verdict calls
