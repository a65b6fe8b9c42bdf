#!/bin/bash
# "doppel image": each command, each way to get it wrong, and images that doppel and qemu-img make
# read by the other.
. "$(dirname "$0")/../t.sh"

# holds NAME COMMAND...: the command succeeds.
holds()
{
    local name=$1
    shift
    "$@" >out 2>&1
    ok "$name" $? out
}

# --- the command line
check help 0 'doppel image convert' image --help
bad nothing 2 'want create, info, check or convert' image
bad unknown 2 'want create, info, check or convert' image crate
bad create_nothing 2 'doppel image create' image create
bad create_unknown_option 2 'doppel image create' image create -z x 1M
bad create_option_without_value 2 'want a value' image create -f
bad create_three 2 'doppel image create' image create a 1M b
bad create_no_size 2 'want a size' image create a
bad create_bad_size 2 'want a size' image create a 10X
bad create_zero 2 'want a size' image create a 0
bad create_negative 2 'doppel image create' image create a -5
bad create_overflow 2 'want a size' image create a 99999999999T
bad create_bad_format 2 'want raw or qcow2' image create -f vmdk a 1M
bad create_raw_options 2 'raw images have no' image create -o compat=1.1 a 1M
bad create_bad_option 2 'want cluster_size=' image create -f qcow2 -o clustersize=5 a 1M
bad create_bad_cluster 2 'power of two' image create -f qcow2 -o cluster_size=1000 a 1M
bad create_large_cluster 2 '512 bytes to 2 MiB' image create -f qcow2 -o cluster_size=4M a 1M
bad create_bad_compat 2 'want 0.10 or 1.1' image create -f qcow2 -o compat=2 a 1M
bad create_bad_refcount 2 'want 1, 2, 4' image create -f qcow2 -o refcount_bits=3 a 1M
bad create_old_refcount 2 '16 in version 2' \
    image create -f qcow2 -o refcount_bits=8,compat=0.10 a 1M
bad create_backing_missing 1 'gone: No such file' image create -f qcow2 -b gone a 1M
bad create_no_folder 1 'No such file' image create no/such/folder 1M
bad create_folder 1 'only files are made' image create . 1M
bad create_huge 1 '2^37' image create -f qcow2 -o cluster_size=512 a 1T
bad info_missing 1 'No such file' image info gone
bad check_missing 1 'No such file' image check gone
bad convert_one 2 'doppel image convert' image convert a
bad check_bad_repair 2 'want all or leaks' image check -r some a

# --- create, info, check
check create_raw 0 '' image create raw.img 3M
holds raw_size test "$(stat -c %s raw.img)" -eq 3145728
check create 0 '' image create -f qcow2 a.qcow2 10M
check info 0 'virtual size: 10 MiB (10485760 bytes)' image info a.qcow2
check info_format 0 'file format: qcow2' image info a.qcow2
check check_empty 0 'No errors were found' image check a.qcow2
bad check_raw 1 'does not begin as one' image check raw.img
bad check_raw_said 2 'only qcow2' image check -f raw raw.img
check info_raw 0 'file format: raw' image info raw.img
mkdir sub
head -c 1500000 /dev/urandom >sub/base.img
check create_overlay 0 '' image create -f qcow2 -b base.img -F raw sub/over.qcow2
check info_backing 0 'backing file: base.img (actual path: sub/base.img)' image info sub/over.qcow2
check info_backing_size 0 '(1500160 bytes)' image info sub/over.qcow2
bad create_over_its_backing 2 'be its own backing' image create -f qcow2 -b base.img sub/base.img
check create_old 0 '' image create -f qcow2 -o compat=0.10,cluster_size=2k old.qcow2 1G
check info_old 0 'compat: 0.10' image info old.qcow2
check info_cluster 0 'cluster_size: 2048' image info old.qcow2

# --- convert
check convert_to_qcow2 0 '' image convert -O qcow2 sub/base.img c.qcow2
check check_converted 0 'No errors were found' image check c.qcow2
check convert_back 0 '' image convert -O raw c.qcow2 c.raw
truncate -s 1500160 sub/base.img
holds converted_same cmp sub/base.img c.raw
check convert_overlay 0 '' image convert -O raw sub/over.qcow2 o.raw
holds overlay_same cmp sub/base.img o.raw
bad convert_onto_itself 1 'in use' image convert -O raw c.qcow2 c.qcow2
holds convert_kept cmp sub/base.img c.raw
head -c 100 c.qcow2 >cut.qcow2
bad info_cut 1 'qcow2: ' image info cut.qcow2

# --- a machine that is given them
short=(-icount-limit 1000)
bad run_cut 1 'qcow2: ' run "${short[@]}" -hda cut.qcow2
bad run_format 2 'want raw or qcow2' run "${short[@]}" -drive file=a.qcow2,format=vmdk
bad run_not_qcow2 1 'does not begin as one' run "${short[@]}" -drive file=raw.img,format=qcow2
bad run_twice 1 'in use' run "${short[@]}" -hda a.qcow2 -hdb a.qcow2
mv sub/base.img sub/moved.img
bad run_no_backing 1 'sub/base.img: No such file' run "${short[@]}" -hda sub/over.qcow2
mv sub/moved.img sub/base.img

# --- with qemu-img
if command -v qemu-img >/dev/null; then
    for image in a.qcow2 sub/over.qcow2 old.qcow2 c.qcow2; do
        holds "qemu_checks_$(basename $image .qcow2)" qemu-img check "$image"
    done
    holds qemu_compares qemu-img compare -f raw -F qcow2 sub/base.img c.qcow2
    qemu-img create -q -f qcow2 q.qcow2 10M && qemu-io -c 'write -P 5 1M 1M' q.qcow2 >/dev/null
    qemu-img snapshot -c one q.qcow2
    check check_qemu 0 'No errors were found' image check q.qcow2
    check info_qemu 0 'snapshots: 1' image info q.qcow2
    check convert_qemu 0 '' image convert -O raw q.qcow2 q.raw
    holds qemu_same qemu-img compare -f raw -F qcow2 q.raw q.qcow2
    # The refcount of the last cluster says 0, the one behind it 1.
    off=$((0x$(od -A n -t x1 -j 48 -N 8 a.qcow2 | tr -d ' ')))
    block=$((0x$(od -A n -t x1 -j $off -N 8 a.qcow2 | tr -d ' ')))
    printf '\0\0' | dd of=a.qcow2 bs=1 seek=$((block + 6)) conv=notrunc status=none
    check check_damaged 2 'refcount=0 reference=1' image check a.qcow2
    check check_repairs 0 'No errors were found' image check -r all a.qcow2
    holds qemu_checks_repaired qemu-img check a.qcow2
else
    skipped with_qemu 'no qemu-img: apt-get install qemu-utils'
fi
total
