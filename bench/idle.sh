#!/bin/bash
# bench/run idle [SECONDS]: what a guest costs that has nothing to do. Debian's cloud kernel at its
# shell, in real time: the emulator's processor time over so many seconds (default 10).
set -u
export LC_ALL=C
top=$(cd "$(dirname "$0")/.." && pwd)
BUILD=$(cd "${BUILD:-$top/build}" && pwd)
GUESTS=${GUESTS:-$top/build/guests}
seconds=${2:-10}
dir=$(mktemp -d) || exit 1
mkfifo "$dir/in"
exec 7<>"$dir/in"
"$BUILD/doppel" run -m 256 -kernel "$GUESTS/vmlinuz-cloud" -initrd "$GUESTS/initrd-cloud" \
    -append 'console=ttyS0 quiet panic=-1 mitigations=off' -display none -serial stdio -no-reboot \
    -speed real <&7 >"$dir/out" 2>&1 &
pid=$!
trap 'kill $pid; rm -rf "$dir"' EXIT
for _ in $(seq 60); do
    sleep 1
    ! grep -q '# ' "$dir/out" || break
done
sleep 2
grep -q '# ' "$dir/out" || {
    echo 'bench: no prompt' >&2
    exit 1
}
ticks()
{
    awk '{ print $14 + $15 }' "/proc/$pid/stat"
}
before=$(ticks)
sleep "$seconds"
echo "$before $(ticks) $(getconf CLK_TCK) $seconds" |
    awk '{ printf "idle: %.2f %% of a processor over %d s\n", 100 * ($2 - $1) / $3 / $4, $4 }'
