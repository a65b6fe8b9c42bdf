#!/bin/sh
# ASan and UBSan: the quick tests, and the fuzzers for a bounded time.
. "$(dirname "$0")/lib.sh"
build san gcc tests-san --mode=san
exec make -s -C build/check/san check-san
