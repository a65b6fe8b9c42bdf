#!/bin/sh
# guests.sh DIR: what the boot tests boot. Fetches Debian's kernels (tools/guest-kernels.sh), builds
# guest/selftest.c for amd64 and i386, makes initrd-test-amd64 and initrd-test-i386 of both with
# guest/rc, initrd-net-* with network drivers, and a CD and a hard disk (debian.iso, debian.img)
# with all of the former, and the bench guest (bench64, bench32). Idempotent. Without the network it
# works when DIR was filled before.
set -eu
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)
top=$here/../..
[ $# -eq 1 ] || {
    echo "usage: $0 DIR" >&2
    exit 2
}
mkdir -p "$1"
dir=$(cd "$1" && pwd)
. "$top/tools/packages.sh"

"$top/tools/guest-kernels.sh" "$dir"

# The known answers come from this machine's tools.
seq 1 20000 >"$dir/numbers"
md5=$(md5sum <"$dir/numbers" | cut -c 1-32)
sed -e "s/@MD5@/$md5/" -e "s/@SHA256@/$(sha256sum <"$dir/numbers" | cut -c 1-64)/" \
    -e "s/@SHA512@/$(sha512sum <"$dir/numbers" | cut -c 1-32)/" \
    -e "s/@PIPE@/$(head -c 51200 "$dir/numbers" | tr 0-9 a-j | md5sum | cut -c 1-8)/" \
    -e "s/@AWK@/$(awk '{ s += $1 / 7 } END { printf "%.6f", s }' "$dir/numbers")/" \
    "$here/guest/rc" >"$dir/rc.tmp"
rm "$dir/numbers"
cmp -s "$dir/rc.tmp" "$dir/rc" || mv "$dir/rc.tmp" "$dir/rc"

for pair in amd64:x86_64 i386:i686; do
    arch=${pair%:*} cc=${pair#*:}-linux-gnu-gcc
    self=$dir/selftest-$arch
    if [ ! -x "$self" ] || [ -n "$(find "$here/guest/selftest.c" -newer "$self")" ]; then
        if [ "$arch" = i386 ]; then
            need_packages gcc-i686-linux-gnu libc6-dev-i386-cross
        else
            command -v "$cc" >/dev/null ||
                need_packages gcc-x86-64-linux-gnu libc6-dev-amd64-cross
        fi
        $cc -O2 -msse2 -mfpmath=sse -Wall -static -frounding-math -o "$self" \
            "$here/guest/selftest.c" -lm -pthread
    fi
    out=$dir/initrd-test-$arch
    if [ ! -e "$out" ] || [ -n "$(find "$self" "$dir/rc" "$top/tools/mkinitrd.sh" -newer "$out")" ]
    then
        "$top/tools/mkinitrd.sh" "$dir/busybox-$arch" "$out" "$self:bin/selftest" "$dir/rc:etc/rc"
    fi
done

# The bench guest's programs.
for bits in 64 32; do
    "$top/bench/guest/build.sh" $bits "$dir/bench$bits"
done

out=$dir/initrd-floppy-686 rc=$here/guest/rc-floppy
if [ -e "$dir/floppy-686.ko" ] &&
    { [ ! -e "$out" ] || [ "$dir/floppy-686.ko" -nt "$out" ] || [ "$rc" -nt "$out" ]; }
then
    "$top/tools/mkinitrd.sh" "$dir/busybox-i386" "$out" "$dir/floppy-686.ko:floppy.ko" \
        "$rc:etc/rc"
fi

# Network drivers, and a script that uses the network.
for pair in amd64:amd64 i386:686; do
    arch=${pair%:*} modules=$dir/modules-${pair#*:} out=$dir/initrd-net-${pair%:*}
    if [ -e "$out" ] && [ -z "$(find "$here/guest/rc-net" "$here/guest/udhcpc-script" \
        "$modules" "$top/tools/mkinitrd.sh" -newer "$out")" ]; then
        continue
    fi
    set -- "$here/guest/rc-net:etc/rc" "$here/guest/udhcpc-script:bin/udhcpc-script"
    for module in "$modules"/*.ko; do
        set -- "$@" "$module:lib/${module##*/}"
    done
    "$top/tools/mkinitrd.sh" "$dir/busybox-$arch" "$out" "$@"
done

# A CD with Xen and a Linux for its first domain.
"$top/tools/guest-kernels.sh" "$dir" xen
out=$dir/xen.iso
if [ ! -e "$out" ] || [ -n "$(find "$top/tools/xen-iso.sh" "$dir/xen.gz" "$dir/vmlinuz-amd64" \
    "$dir/initrd-test-amd64" -newer "$out")" ]; then
    need_packages xorriso mtools grub-common grub-pc-bin
    "$top/tools/xen-iso.sh" "$out" "$dir/xen.gz" "$dir/vmlinuz-amd64" "$dir/initrd-test-amd64"
fi

# A CD and a hard disk with all four kernels, for boots through firmware.
for pair in iso:iso disk:img; do
    kind=${pair%:*} out=$dir/debian.${pair#*:}
    if [ -e "$out" ] && [ -z "$(find "$top/tools/boot-image.sh" "$top/tools/grub-disk.sh" \
        "$dir"/vmlinuz-* "$dir"/initrd-test-* -newer "$out")" ]; then
        continue
    fi
    need_packages xorriso isolinux syslinux-common e2fsprogs grub-common grub-pc-bin
    "$top/tools/boot-image.sh" $kind "$out" \
        amd64="$dir/vmlinuz-amd64,$dir/initrd-test-amd64" \
        cloud="$dir/vmlinuz-cloud,$dir/initrd-test-amd64" \
        686="$dir/vmlinuz-686,$dir/initrd-test-i386" \
        686-pae="$dir/vmlinuz-686-pae,$dir/initrd-test-i386"
done

# A small ext4 disk and what writes to it while the power is cut. The cloud kernel has ext4.
out=$dir/initrd-powercut rc=$here/guest/rc-powercut work=$here/guest/powercut-work
modules=$dir/modules-cloud
if [ ! -e "$out" ] ||
    [ -n "$(find "$rc" "$work" "$modules" "$top/tools/mkinitrd.sh" -newer "$out")" ]; then
    "$top/tools/mkinitrd.sh" "$dir/busybox-amd64" "$out" "$rc:etc/rc" "$work:work" \
        "$modules/scsi_common.ko:lib/scsi_common.ko" "$modules/scsi_mod.ko:lib/scsi_mod.ko" \
        "$modules/libata.ko:lib/libata.ko" "$modules/ata_piix.ko:lib/ata_piix.ko" \
        "$modules/sd_mod.ko:lib/sd_mod.ko"
fi
if [ ! -e "$dir/powercut.img" ]; then
    need_packages e2fsprogs
    rm -f "$dir/powercut.tmp"
    PATH=$PATH:/sbin:/usr/sbin mke2fs -q -t ext4 -J size=4 "$dir/powercut.tmp" 24M >/dev/null
    mv "$dir/powercut.tmp" "$dir/powercut.img"
fi

# Debian on a disk, and on a CD what is to be installed and done there.
out=$dir/debian-root.qcow2
if [ ! -e "$out" ] || [ -n "$(find "$top/tools/debian-root.sh" "$work" -newer "$out")" ]; then
    need_packages mmdebstrap fakeroot e2fsprogs xorriso grub-common grub-pc-bin qemu-utils
    echo "guests: installing Debian on a disk" >&2
    EXTRA=$work "$top/tools/debian-root.sh" "$dir/tmp-root.qcow2" >"$dir/debian-root.log" 2>&1 || {
        tail -n 5 "$dir/debian-root.log" >&2
        exit 1
    }
    mv "$dir/tmp-root-hello.iso" "$dir/debian-root-hello.iso"
    mv "$dir/tmp-root.qcow2" "$out"
fi
