#!/bin/sh
# Each header compiles alone, without a warning, and says each thing once when included twice.
. "$(dirname "$0")/lib.sh"

one()
{
    printf '#include "%s"\n#include "%s"\n' "$1" "$1" |
        ${CC:-gcc} -std=c11 -Wall -Wextra -Wpedantic -Wno-unused-function -Werror -fsyntax-only \
            -D_GNU_SOURCE -DT_SRCDIR='""' -I"$BUILD" -I"$SRC" -I"$SRC/include" -x c - 2>&1 |
        grep -m 3 -e error: -e warning: | sed "s|^|$1 alone: |"
}

if [ "${1:-}" = --some ]; then
    shift
    for h in "$@"; do
        one "$h"
    done
    exit 0
fi
files '*.h' | xargs -r -P 2 -n 12 "$SRC/tests/lint/headers.sh" --some | verdict headers
