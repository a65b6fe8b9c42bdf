#!/bin/sh
# xen-iso.sh OUT XEN KERNEL INITRD: makes a CD on which GRUB starts Xen by multiboot 2, and Xen the
# kernel as its first domain. Both speak on the first serial port. Needs grub-common, grub-pc-bin
# and xorriso.
set -eu
export LC_ALL=C
[ $# -eq 4 ] || {
    echo "usage: $0 OUT XEN KERNEL INITRD" >&2
    exit 2
}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$tmp/tree/boot/grub"
cp "$2" "$tmp/tree/boot/xen.gz"
cp "$3" "$tmp/tree/boot/vmlinuz"
cp "$4" "$tmp/tree/boot/initrd"
cat >"$tmp/tree/boot/grub/grub.cfg" <<'END'
serial --unit=0 --speed=115200
terminal_output serial
multiboot2 /boot/xen.gz xen com1=115200 console=com1 dom0_mem=160M
module2 /boot/vmlinuz vmlinuz console=hvc0 quiet panic=-1
module2 /boot/initrd
boot
END
grub-mkrescue -d /usr/lib/grub/i386-pc -o "$tmp/xen.iso" --compress=no --fonts= --locales= \
    --themes= --install-modules='multiboot2 gzio normal iso9660 serial terminal boot biosdisk' \
    "$tmp/tree" >"$tmp/log" 2>&1 || {
    tail -n 5 "$tmp/log" >&2
    exit 1
}
mv "$tmp/xen.iso" "$1"
