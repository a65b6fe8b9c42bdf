#!/bin/sh
# mkinitrd.sh BUSYBOX OUT [FILE:PATH...]: makes a small Linux initrd from a static busybox.
#
# Its /init mounts proc, sysfs and devtmpfs, runs /etc/rc if that file was added (FILE:etc/rc), and
# then a shell on the console. "poweroff", "reboot" and the end of the shell do what they say.
# The archive is uncompressed (an emulated CPU need not unpack it) and repeats to the byte: sorted
# names, owner 0, time 0. Each FILE is added at /PATH with its mode.
set -eu
export LC_ALL=C

[ $# -ge 2 ] || {
    echo "usage: $0 BUSYBOX OUT [FILE:PATH...]" >&2
    exit 2
}
busybox=$1 out=$2
shift 2
command -v cpio >/dev/null || {
    echo "$0: no cpio: apt-get install cpio" >&2
    exit 1
}

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree/bin" "$tree/sbin" "$tree/dev" "$tree/proc" "$tree/sys" "$tree/tmp" "$tree/etc" \
    "$tree/root" "$tree/mnt"
install -m 755 "$busybox" "$tree/bin/busybox"
ln -s busybox "$tree/bin/sh"
cat >"$tree/init" <<'END'
#!/bin/sh
# pid 1 of the initrd. busybox's poweroff, halt and reboot signal pid 1; the traps act on it.
export PATH=/bin:/sbin HOME=/root TERM=vt100 PS1='\w # '
trap 'busybox poweroff -f' USR2
trap 'busybox halt -f' USR1
trap 'busybox reboot -f' TERM
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
cd /root
echo "doppel: $(uname -sr) on $(uname -m), $(nproc) CPU(s), up $(cut -d ' ' -f 1 /proc/uptime) s"
if [ -f /etc/rc ]; then
    . /etc/rc
fi
echo 'This is a shell inside doppel. "poweroff" leaves.'
setsid cttyhack sh &
shell=$!
while kill -0 $shell 2>/dev/null; do
    wait $shell
done
busybox poweroff -f
END
chmod 755 "$tree/init"
for pair in "$@"; do
    path=$tree/${pair#*:}
    mkdir -p "$(dirname "$path")"
    cp -p "${pair%%:*}" "$path"
done
find "$tree" -exec touch -h -d @0 {} +
(cd "$tree" && find . | sort | cpio --quiet -o -H newc -R 0:0 --reproducible) >"$out.tmp"
mv "$out.tmp" "$out"
