#!/bin/sh
# Every device class has a row in docs/devices.md, and a test in tests/dev that names it; every test
# that the table names is there.
. "$(dirname "$0")/lib.sh"
table=docs/devices.md
{
    for class in $(sed -n '/define HW_CLASSES/,/clang-format on/p' hw/hw.h |
        grep -o 'X([a-z0-9_]*)' | sed 's/X(\(.*\))/\1/' | grep -v '^X$'); do
        grep -q "^|.*\`$class\`" $table || echo "$class: no row in $table"
        grep -lq "${class}_class" tests/dev/*.c || echo "$class: no test in tests/dev"
    done
    for t in $(grep -o '`test_[a-z0-9_]*`' $table | tr -d '`' | sort -u); do
        [ -e "tests/dev/$t.c" ] || echo "$t: named in $table, not there"
    done
} | verdict devices
