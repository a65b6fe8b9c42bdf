#!/bin/bash
# debian-root.sh OUT.img|OUT.qcow2 [PACKAGE...]: makes a hard disk with Debian on it.
#
# mmdebstrap puts Debian's own packages (the smallest set, systemd, udev, the cloud kernel and its
# initramfs, the PACKAGEs) into a tree; that becomes an ext4 file system behind GRUB
# (grub-disk.sh). It boots to a login on the first serial port and on the screen; root's password
# is "root". Beside OUT lies OUT's name with -hello.iso: a CD with Debian's package "hello" as a
# file, to be installed by dpkg, and with the file that EXTRA in the environment names.
#
# As root, or as a user who may make user namespaces. Needs mmdebstrap, fakeroot, e2fsprogs,
# grub-common, grub-pc-bin, xorriso, and for qcow2 qemu-utils. Takes about a minute, and 100 MB
# from the sources of this machine. The cloud kernel has drivers for what board pc has, and unpacks
# faster than the others. Documentation and translations stay out.
set -eu
export LC_ALL=C
tools=$(cd "$(dirname "$0")" && pwd)
PATH=$PATH:/sbin:/usr/sbin

[ $# -ge 1 ] || {
    echo "usage: $0 OUT.img|OUT.qcow2 [PACKAGE...]" >&2
    exit 2
}
out=$1 mib=600
shift
for pair in mmdebstrap:mmdebstrap fakeroot:fakeroot mke2fs:e2fsprogs xorriso:xorriso; do
    command -v "${pair%:*}" >/dev/null || {
        echo "debian-root: no ${pair%:*}: apt-get install ${pair#*:}" >&2
        exit 1
    }
done
tmp=$(mktemp -d "${TMPDIR:-/tmp}/debian-root.XXXXXX")
trap 'rm -rf "$tmp"' EXIT

include=systemd-sysv,udev,linux-image-cloud-amd64,initramfs-tools,kmod
for package in "$@"; do
    include=$include,$package
done
sources=()
for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources}; do
    [ ! -s "$file" ] || sources+=("$file")
done
exclude=()
for path in /usr/share/{doc,man,info,locale,lintian}/'*'; do
    exclude+=("--dpkgopt=path-exclude=$path")
done
# The initramfs has what these boards need: most of its usual 36 MB would be unpacked for nothing.
cat >"$tmp/early" <<'END'
mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/usr/share/initramfs-tools/modules.d"
echo MODULES=list >"$1/etc/initramfs-tools/conf.d/doppel"
printf '%s\n' ata_piix ata_generic sd_mod ext4 >"$1/usr/share/initramfs-tools/modules.d/doppel"
END
cat >"$tmp/late" <<'END'
set -e
echo doppel >"$1/etc/hostname"
echo '/dev/sda1 / ext4 errors=remount-ro 0 1' >"$1/etc/fstab"
echo root:root | chroot "$1" chpasswd
chroot "$1" sh -c 'cd /root && apt-get -q download hello' >&2
mkdir -p "$1/boot/grub"
cat >"$1/boot/grub/grub.cfg" <<'CFG'
serial --unit=0 --speed=115200
terminal_input serial console
terminal_output serial console
set timeout=2
menuentry "Debian" {
    linux /vmlinuz root=/dev/sda1 ro console=tty0 console=ttyS0 quiet
    initrd /initrd.img
}
CFG
END
chmod -R a+rX "$tmp"
mmdebstrap --quiet --variant=minbase --include="$include" "${exclude[@]}" \
    --setup-hook="sh $tmp/early \"\$1\"" --customize-hook="sh $tmp/late \"\$1\"" \
    '' "$tmp/root.tar" "${sources[@]}"

mkdir "$tmp/root" "$tmp/cd"
tar -x -f "$tmp/root.tar" -C "$tmp/cd" --strip-components=2 --wildcards './root/hello_*.deb'
[ -z "${EXTRA:-}" ] || cp "$EXTRA" "$tmp/cd/"
xorriso -as mkisofs -quiet -R -J -V HELLO -o "${out%.*}-hello.iso" "$tmp/cd" 2>"$tmp/log" || {
    cat "$tmp/log" >&2
    exit 1
}
# Owners and device nodes as in the archive, without being root.
fakeroot sh -c "
    tar -x -f '$tmp/root.tar' -C '$tmp/root' --exclude='./root/hello_*.deb' --exclude='./dev/*' &&
    mke2fs -q -t ext4 -L root -d '$tmp/root' '$tmp/part' ${mib}M >'$tmp/log'" || {
    cat "$tmp/log" >&2
    exit 1
}
rm -rf "$tmp/root" "$tmp/root.tar"
"$tools/grub-disk.sh" "$tmp/disk" "$tmp/part"
case $out in
*.qcow2) qemu-img convert -f raw -O qcow2 "$tmp/disk" "$out" ;;
*) cp --sparse=always "$tmp/disk" "$out" ;;
esac
