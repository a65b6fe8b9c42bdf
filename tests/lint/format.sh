#!/bin/sh
# The one style of the tree: clang-format 14 for C (tables switch it off around themselves), and for
# every text file no tab but in makefiles, no space at a line's end, at most 100 columns.
# `make format` repairs what clang-format can.
. "$(dirname "$0")/lib.sh"

clang_format=$(command -v clang-format-14 || command -v clang-format) ||
    skip format 'no clang-format: apt-get install clang-format-14'
"$clang_format" --version | grep -q 'version 14' || skip format 'clang-format is not version 14'

if [ "${1:-}" = --fix ]; then
    files '*.c' '*.h' | xargs -r -P 2 -n 16 "$clang_format" -i
    exit
fi
{
    files '*.c' '*.h' | xargs -r -P 2 -n 16 "$clang_format" --dry-run -Werror 2>&1 |
        sed -n 's/^\([^ ]*\): error: code should be clang-formatted.*/\1: make format/p' |
        sort -u | head -n 40
    files '*.c' '*.h' '*.def' '*.inc' '*.asm' '*.sh' | xargs -r awk '
        length($0) > 100 { print FILENAME ":" FNR ": " length($0) " columns, more than 100" }
        /[ \t]$/ { print FILENAME ":" FNR ": space at the end of the line" }
        /\t/ { print FILENAME ":" FNR ": tab" }' | head -n 40
} | verdict format
