#!/bin/sh
# grub-disk.sh OUT PARTITION: makes a bootable hard disk image of the image of one ext2, ext3 or
# ext4 file system that holds /boot/grub/grub.cfg.
#
#   sector 0       GRUB's boot.img in front of a partition table
#   sector 1..     GRUB's core.img with every module that it needs, so the file system needs none
#   sector 2048..  PARTITION, partition 1, active
#
# No root, no loop device, no mounting: boot.img starts at sector 1 and core.img's first sector goes
# on at sector 2 by themselves, so nothing has to be patched. The same input gives the same bytes.
# Needs grub-common and grub-pc-bin.
set -eu
export LC_ALL=C

[ $# -eq 2 ] || {
    echo "usage: $0 OUT PARTITION" >&2
    exit 2
}
out=$1 part=$2
grub=/usr/lib/grub/i386-pc
start=2048
if [ ! -e $grub/boot.img ] || ! command -v grub-mkimage >/dev/null; then
    echo "$0: no GRUB: apt-get install grub-common grub-pc-bin" >&2
    exit 1
fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# shellcheck disable=SC2016
printf 'set root=hd0,msdos1\nset prefix=(hd0,msdos1)/boot/grub\n' >"$tmp/early.cfg"
grub-mkimage -O i386-pc -o "$tmp/core.img" -p '(hd0,msdos1)/boot/grub' -c "$tmp/early.cfg" \
    biosdisk part_msdos ext2 normal configfile linux linux16 multiboot chain serial terminal \
    echo cat ls test reboot halt sleep search search_fs_uuid search_label minicmd gzio xzio lzopio
core=$(($(wc -c <"$tmp/core.img")))
bytes=$(($(wc -c <"$part")))
sectors=$(((bytes + 511) / 512))
[ $core -le $(((start - 1) * 512)) ] || {
    echo "$0: GRUB's core.img has $core bytes; there is room for $(((start - 1) * 512))" >&2
    exit 1
}

# byte N... : these bytes. le32 N: four bytes, the lowest first.
byte()
{
    for n in "$@"; do
        # shellcheck disable=SC2059
        printf "\\$(printf %03o "$n")"
    done
}
le32()
{
    byte $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) $(($1 >> 24 & 255))
}

{
    head -c 440 $grub/boot.img
    le32 $((0x00d09931)) # the disk's signature
    byte 0 0
    byte 128 254 255 255 131 254 255 255 # active; CHS beyond its range: LBA counts; type Linux
    le32 $start
    le32 $sectors
    head -c 48 /dev/zero
    byte 85 170
    cat "$tmp/core.img"
    head -c $((start * 512 - 512 - core)) /dev/zero
} >"$out.tmp"
# Zeros stay holes in the host's file, and the disk ends at a MiB.
dd if="$part" of="$out.tmp" bs=1M seek=1 conv=sparse,notrunc status=none
truncate -s $(((bytes + 1048575) / 1048576 + 1))M "$out.tmp"
mv "$out.tmp" "$out"
