#!/bin/sh
# guest-kernels.sh DIR [NAME...]: puts Debian's own Linux kernels into DIR as guests to boot.
#
#   NAME     package                    files in DIR
#   amd64    linux-image-amd64          vmlinuz-amd64   busybox-amd64   initrd-amd64
#   cloud    linux-image-cloud-amd64    vmlinuz-cloud   busybox-amd64   initrd-cloud
#                                       modules-cloud/, for tests with a disk
#   686      linux-image-686 (i386)     vmlinuz-686     busybox-i386    initrd-686     floppy-686.ko
#   686-pae  linux-image-686-pae        vmlinuz-686-pae busybox-i386    initrd-686-pae
#   xen      xen-hypervisor-*-amd64     xen.gz
#
# and for amd64 and 686 drivers of network cards, in modules-NAME/.
# Without NAMEs, the four kernels of Linux. What is there is kept: a second call fetches nothing.
# Packages are fetched with apt-get under a configuration of its own inside DIR (its own lists and
# its own architecture), from the sources of this machine; nothing is installed, no root is needed,
# and this machine's list of architectures is untouched.
set -eu
export LC_ALL=C

tools=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 1 ] || {
    echo "usage: $0 DIR [amd64|cloud|686|686-pae|xen...]" >&2
    exit 2
}
mkdir -p "$1"
dir=$(cd "$1" && pwd)
shift
[ $# -gt 0 ] || set -- amd64 cloud 686 686-pae

die()
{
    echo "guest-kernels: $*" >&2
    exit 1
}

# apt ARCH TOOL ARGS...: an apt tool as on a Debian machine of that architecture.
apt()
{
    _arch=$1 _tool=$2
    shift 2
    APT_CONFIG=$dir/apt/$_arch/apt.conf "$_tool" -q "$@"
}

# apt_setup ARCH: the private configuration, with fresh lists.
apt_setup()
{
    root=$dir/apt/$1
    [ ! -e "$root/ready" ] || return 0
    mkdir -p "$root/state/lists/partial" "$root/cache/archives/partial"
    : >"$root/status"
    cat >"$root/apt.conf" <<END
APT::Architecture "$1";
APT::Architectures { "$1"; };
APT::Sandbox::User "root";
Dir::State "$root/state";
Dir::State::status "$root/status";
Dir::Cache "$root/cache";
Acquire::Languages "none";
Acquire::Retries "3";
END
    echo "guest-kernels: reading the package lists for $1" >&2
    # Sources for other purposes may fail for this architecture; what counts is what is found then.
    apt "$1" apt-get update >"$root/update.log" 2>&1 || true
    apt "$1" apt-cache show busybox-static >/dev/null 2>&1 ||
        die "no package lists for $1 (log: $root/update.log)"
    : >"$root/ready"
}

# unpack ARCH PACKAGE PATTERN: what matches in PACKAGE, below $dir/apt/tmp.PID/x.
unpack()
{
    apt_setup "$1"
    tmp=$dir/apt/tmp.$$
    rm -rf "$tmp"
    mkdir -p "$tmp/x"
    echo "guest-kernels: fetching $2 ($1)" >&2
    (cd "$tmp" && apt "$1" apt-get download "$2" >"$dir/apt/download.log" 2>&1) ||
        die "cannot fetch $2 ($1); log: $dir/apt/download.log"
    dpkg-deb --fsys-tarfile "$tmp"/*.deb | tar -x -C "$tmp/x" --wildcards "$3"
}

# fetch ARCH PACKAGE PATTERN OUT: the one file in PACKAGE that matches PATTERN, as OUT.
fetch()
{
    [ ! -s "$4" ] || return 0
    unpack "$1" "$2" "$3"
    # shellcheck disable=SC2086
    mv "$tmp/x/"$3 "$4" || die "no $3 in $2 ($1)"
    rm -rf "$tmp"
}

# fetch_modules ARCH PACKAGE OUT MODULE...: those modules of a kernel, as OUT/MODULE.ko.
fetch_modules()
{
    [ ! -d "$3" ] || return 0
    out=$3
    unpack "$1" "$2" './lib/modules/*.ko'
    shift 3
    mkdir "$tmp/m"
    for module in "$@"; do
        find "$tmp/x" -name "$module.ko" -exec mv {} "$tmp/m/" \;
        [ -e "$tmp/m/$module.ko" ] || die "no $module.ko"
    done
    mv "$tmp/m" "$out"
    rm -rf "$tmp"
}

# real_package ARCH META: the package with the kernel itself, which the meta package depends on.
real_package()
{
    apt_setup "$1"
    apt "$1" apt-cache depends "$2" | sed -n 's/^ *Depends: \(linux-image-[^ ]*\)$/\1/p' | head -n 1
}

for name in "$@"; do
    if [ "$name" = xen ]; then
        if [ ! -s "$dir/xen.gz" ]; then
            apt_setup amd64
            package=$(apt amd64 apt-cache depends xen-system-amd64 |
                sed -n 's/^ *Depends: \(xen-hypervisor-[0-9.]*-amd64\)$/\1/p' | head -n 1)
            [ -n "$package" ] || die "no package xen-hypervisor-*-amd64 in this machine's sources"
            fetch amd64 "$package" './boot/xen-*.gz' "$dir/xen.gz"
        fi
        continue
    fi
    case $name in
    amd64) arch=amd64 meta=linux-image-amd64 ;;
    cloud) arch=amd64 meta=linux-image-cloud-amd64 ;;
    686) arch=i386 meta=linux-image-686 ;;
    686-pae) arch=i386 meta=linux-image-686-pae ;;
    *) die "no kernel '$name': amd64, cloud, 686, 686-pae or xen" ;;
    esac
    if [ ! -s "$dir/vmlinuz-$name" ]; then
        apt_setup "$arch"
        package=$(real_package "$arch" "$meta")
        [ -n "$package" ] || die "no package $meta ($arch) in this machine's sources"
        fetch "$arch" "$package" './boot/vmlinuz-*' "$dir/vmlinuz-$name"
        echo "$package" >"$dir/version-$name"
    fi
    if [ "$name" = 686 ]; then # for tests of devices that its driver is a module for
        (fetch "$arch" "$(cat "$dir/version-$name")" \
            './lib/modules/*/kernel/drivers/block/floppy.ko' "$dir/floppy-$name.ko") ||
            echo "guest-kernels: no floppy-$name.ko: its test will be skipped" >&2
    fi
    if [ "$name" = cloud ]; then # for tests with a disk
        fetch_modules "$arch" "$(cat "$dir/version-$name")" "$dir/modules-$name" \
            scsi_common scsi_mod libata ata_piix sd_mod
    fi
    case $name in # for tests with a network
    amd64) fetch_modules "$arch" "$(cat "$dir/version-$name")" "$dir/modules-$name" \
        e1000 8390 ne2k-pci ;;
    686) fetch_modules "$arch" "$(cat "$dir/version-$name")" "$dir/modules-$name" 8390 ne2k-pci ;;
    esac
    fetch "$arch" busybox-static './bin/busybox' "$dir/busybox-$arch"
    if [ ! -s "$dir/initrd-$name" ] || [ "$tools/mkinitrd.sh" -nt "$dir/initrd-$name" ]; then
        "$tools/mkinitrd.sh" "$dir/busybox-$arch" "$dir/initrd-$name"
    fi
done
