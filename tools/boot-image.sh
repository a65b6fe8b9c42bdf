#!/bin/sh
# boot-image.sh iso|disk OUT NAME=KERNEL,INITRD...: makes a CD or hard disk image that boots Linux.
#
#   iso   El Torito without emulation, ISOLINUX; a kernel is chosen by its NAME at "boot:".
#         Needs xorriso and isolinux.
#   disk  MBR and one ext2 partition, GRUB; a kernel is chosen from the menu, or by its number.
#         Needs e2fsprogs, grub-common and grub-pc-bin.
#
# Both speak on the screen and on the first serial port, where Linux goes on; without a choice the
# first kernel starts after 5 s. APPEND in the environment replaces the kernels' command line. No
# root is needed. The same input gives the same bytes.
set -eu
export LC_ALL=C
tools=$(cd "$(dirname "$0")" && pwd)

usage()
{
    echo "usage: $0 iso|disk OUT NAME=KERNEL,INITRD..." >&2
    exit 2
}
[ $# -ge 3 ] || usage
kind=$1 out=$2
shift 2
append=${APPEND:-console=ttyS0 quiet panic=-1}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# need COMMAND-OR-FILE PACKAGES
need()
{
    command -v "$1" >/dev/null || [ -e "$1" ] || {
        echo "boot-image: no $1: apt-get install $2" >&2
        exit 1
    }
}

# one NAME=KERNEL,INITRD: sets name, kernel and initrd, the latter two copied once each.
one()
{
    name=${1%%=*} files=${1#*=}
    for path in "${files%%,*}" "${files#*,}"; do
        [ -r "$path" ] || {
            echo "boot-image: $path cannot be read" >&2
            exit 1
        }
        [ -e "$tree/boot/${path##*/}" ] || cp "$path" "$tree/boot/"
    done
    kernel=$(basename "${files%%,*}") initrd=$(basename "${files#*,}")
}

tree=$tmp/tree
mkdir -p "$tree/boot"
case $kind in
iso)
    need xorriso 'xorriso isolinux'
    need /usr/lib/ISOLINUX/isolinux.bin isolinux
    need /usr/lib/syslinux/modules/bios/ldlinux.c32 syslinux-common
    mkdir "$tree/isolinux"
    cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$tree/isolinux/"
    cfg=$tree/isolinux/isolinux.cfg
    printf 'SERIAL 0 115200\nPROMPT 1\nTIMEOUT 50\n' >"$cfg"
    for spec in "$@"; do
        one "$spec"
        printf 'LABEL %s\n  KERNEL /boot/%s\n  APPEND initrd=/boot/%s %s\n' \
            "$name" "$kernel" "$initrd" "$append" >>"$cfg"
    done
    find "$tree" -exec touch -h -d @0 {} +
    SOURCE_DATE_EPOCH=0 xorriso -as mkisofs -quiet -R -J -V DOPPEL -o "$out.tmp" \
        -b isolinux/isolinux.bin -c isolinux/boot.cat -no-emul-boot -boot-load-size 4 \
        -boot-info-table "$tree" >"$tmp/log" 2>&1 || {
        cat "$tmp/log" >&2
        exit 1
    }
    mv "$out.tmp" "$out"
    ;;
disk)
    PATH=$PATH:/sbin:/usr/sbin
    need mke2fs e2fsprogs
    mkdir "$tree/boot/grub"
    cfg=$tree/boot/grub/grub.cfg
    cat >"$cfg" <<'END'
serial --unit=0 --speed=115200
terminal_input serial console
terminal_output serial console
set timeout=5
END
    number=1
    for spec in "$@"; do
        one "$spec"
        cat >>"$cfg" <<END
menuentry "$number: $name" --hotkey=$number {
    linux /boot/$kernel $append
    initrd /boot/$initrd
}
END
        number=$((number + 1))
    done
    find "$tree" -exec touch -h -d @0 {} +
    # A quarter more than the files, for the file system itself.
    kib=$(($(du -sk "$tree" | cut -f 1) * 5 / 4 + 1024))
    uuid=d0991e00-0000-4000-8000-000000000001
    mke2fs -q -t ext2 -L boot -U $uuid -E hash_seed=$uuid,root_owner=0:0 \
        -d "$tree" "$tmp/part" ${kib}k >"$tmp/log"
    "$tools/grub-disk.sh" "$out" "$tmp/part"
    ;;
*) usage ;;
esac
