#!/bin/sh
# No mutable globals in the library: no object outside frontends/ has a symbol in .data, .bss,
# .tdata, .tbss or common. Constant tables with pointers in them (.data.rel.ro) are fine.
. "$(dirname "$0")/lib.sh"
[ "${MODE:-release}" != san ] || skip globals 'ASan adds symbols of its own; the other modes check'

for object in $(cat "$BUILD/libdoppel.list"); do
    name=${object#obj/}
    # name | value | class | type | size | line | section
    "${NM:-nm}" -f sysv "$BUILD/$object" 2>/dev/null | awk -F'|' -v name="$name" '
        {
            gsub(/[[:space:]]/, "", $1); gsub(/[[:space:]]/, "", $3); gsub(/[[:space:]]/, "", $7)
            if ($3 ~ /^[DdBbCGgSs]$/ && $7 !~ /^\.data\.rel\.ro/) {
                print name ": mutable global " $1 " (" $7 ")"
            }
        }'
done | verdict globals
