#!/bin/bash
# bench/disk.sh [-n RUNS] [MIB]: how fast a Linux guest reads an IDE disk, doppel against QEMU TCG.
#
# Debian's amd64 kernel, booted directly, loads ata_piix from its initrd and reads a disk of MIB
# (256) random MiB twice with dd, the second time between two markers; time is taken outside, when
# they come out of the serial port. Bus-master DMA; the host's page cache holds the image. The
# digest of what was read must be the image's. BUILD names a release build; QEMU is left out if
# qemu-system-x86_64 is not installed.
set -eu
export LC_ALL=C
top=$(cd "$(dirname "$0")/.." && pwd)
BUILD=$(cd "${BUILD:-$top/build}" && pwd)
guests=${GUESTS:-$top/build/guests}
work=$BUILD/bench/disk
runs=3
if [ "${1:-}" = -n ]; then
    runs=$2
    shift 2
fi
mib=${1:-256}
mkdir -p "$work"

# The kernel's package once more, for its modules.
"$top/tools/guest-kernels.sh" "$guests" amd64
package=$(cat "$guests/version-amd64")
cd "$work"
if [ ! -e "$package.done" ]; then
    APT_CONFIG=$guests/apt/amd64/apt.conf apt-get -q download "$package" >apt.log
    rm -rf boot lib
    dpkg-deb --fsys-tarfile "$package"_*.deb | tar x --wildcards ./boot/vmlinuz-* \
        './lib/modules/*/kernel/drivers/ata/libata.ko' \
        './lib/modules/*/kernel/drivers/ata/ata_piix.ko' \
        './lib/modules/*/kernel/drivers/scsi/s*_mod.ko' \
        './lib/modules/*/kernel/drivers/scsi/scsi_common.ko' \
        './lib/modules/*/kernel/lib/crc*' './lib/modules/*/kernel/block/t10-pi.ko' \
        './lib/modules/*/kernel/crypto/crc*'
    rm "$package"_*.deb
    : >"$package.done"
fi

# Modules in the order that works is found by trying.
cat >rc <<'END'
for pass in 1 2 3 4; do
    for m in /modules/*.ko; do insmod $m 2>/dev/null; done
done
while [ ! -b /dev/sda ]; do sleep 0.1; done
dd if=/dev/sda of=/dev/null bs=1M 2>/dev/null
echo 3 >/proc/sys/vm/drop_caches
echo bench-start
dd if=/dev/sda of=/dev/null bs=1M 2>/dev/null
echo bench-stop
md5sum /dev/sda
poweroff -f
END
files=(rc:etc/rc)
while IFS= read -r module; do
    files+=("$module:modules/${module##*/}")
done < <(find lib -name '*.ko')
"$top/tools/mkinitrd.sh" "$guests/busybox-amd64" initrd "${files[@]}"
[ "$(stat -c %s disk.img 2>/dev/null)" = $((mib << 20)) ] ||
    head -c $((mib << 20)) /dev/urandom >disk.img
want=$(md5sum <disk.img | cut -c 1-32)
linux=(-m 512 -kernel boot/vmlinuz-* -initrd initrd -append "console=ttyS0 quiet" -display none
    -serial stdio -monitor none)

# stamp: each line of standard input behind the time it came and the processor time that the process
# in the file pid has used so far (fields 14 and 15 of its stat, hundredths of a second).
stamp()
{
    while IFS= read -r line; do
        read -r -a stat <"/proc/$(cat pid)/stat" || stat=()
        echo "$EPOCHREALTIME $((${stat[13]:-0} + ${stat[14]:-0})) ${line%$'\r'}"
    done
}

# measure NAME COMMAND...: MiB/s of one run, by the clock and by processor time.
measure()
{
    name=$1
    shift
    rm -f pid out
    "$@" 2>err </dev/null > >(stamp >out) &
    echo $! >pid
    for _ in $(seq 6000); do
        kill -0 "$(cat pid)" 2>/dev/null || break
        sleep 0.1
    done
    kill "$(cat pid)" 2>/dev/null || true
    wait "$(cat pid)" || true
    sleep 0.2
    grep -q "$want" out || {
        echo "$name read something else: $work/out" >&2
        exit 1
    }
    awk -v mib="$mib" -v name="$name" '
        $3 == "bench-start" { t = $1; ct = $2 } $3 == "bench-stop" { s = $1; cs = $2 }
        END {
            printf "%-8s %8.1f MiB/s, %8.1f MiB a second of processor time\n", name,
                   mib / (s - t), mib * 100 / (cs - ct)
        }' out
}

for _ in $(seq "$runs"); do
    measure doppel "$BUILD/doppel" run "${linux[@]}" -hda disk.img
    if command -v qemu-system-x86_64 >/dev/null; then
        measure QEMU qemu-system-x86_64 -accel tcg -cpu max "${linux[@]}" \
            -drive file=disk.img,format=raw,if=ide
    fi
done
