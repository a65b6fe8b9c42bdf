#!/bin/bash
# Drives from the command line and from INI files: bad images, locks, snapshot, paths.
. "$(dirname "$0")/../t.sh"
short=(run -serial null -vga none -icount-limit 1000 -m 16)

image() # FILE KIB: 55AA in the first sector
{
    truncate -s "$2K" "$1"
    printf '\x55\xaa' | dd of="$1" bs=1 seek=510 conv=notrunc status=none
}

# --- images that are none: one line, exit 1
: >empty
mkdir dir
mkfifo fifo
image hd.img 1024
image fd.img 1440
for opt in -hda -cdrom -fda; do
    bad "missing$opt" 1 'missing: No such file' "${short[@]}" $opt missing
    bad "directory$opt" 1 'dir: is a directory; want a file' "${short[@]}" $opt dir
    bad "fifo$opt" 1 'fifo: is not a file; want a file' "${short[@]}" $opt fifo
    bad "device_node$opt" 1 '/dev/null: is not a file' "${short[@]}" $opt /dev/null
    bad "empty_file$opt" 1 'empty: the file is empty' "${short[@]}" $opt empty
    bad "empty_name$opt" 2 'want the name of a disk image' "${short[@]}" $opt ''
done
truncate -s 2881K large
bad floppy_too_large 1 'large: 2881 KiB are more than any diskette holds (2880)' "${short[@]}" \
    -fda large
bad image_missing 1 'missing: No such file' run missing
bad image_directory 1 'dir: is a directory' run dir
bad image_fifo 1 'fifo: is not a file' run fifo
bad image_empty 1 'empty: the file is empty' run empty
bad path_through_a_file 1 'Not a directory' "${short[@]}" -hda hd.img/x
long=$(printf 'x%.0s' $(seq 5000))
bad name_too_long 2 'longer than' "${short[@]}" -drive "file=$long"
if [ "$(id -u)" -ne 0 ]; then
    cp hd.img secret && chmod 0 secret
    bad unreadable 1 'secret: Permission denied' "${short[@]}" -hda secret
    cp hd.img protected && chmod 444 protected
    check write_protected 0 'ide0-hd0: protected cannot be written to; snapshot=on' "${short[@]}" \
        -hda protected
    bad write_protected_readonly 0 'icount' "${short[@]}" -digest -drive file=protected,readonly=on
fi

# --- options of -drive that are wrong: one line, exit 2
bad drive_no_file 2 'a hard disk needs file=' "${short[@]}" -drive if=ide
bad drive_word 2 'want name=value' "${short[@]}" -drive hd.img
bad drive_key 2 'nearest is file=' "${short[@]}" -drive fil=hd.img
bad drive_bootindex 2 'bootindex=x: want a number' "${short[@]}" -drive file=hd.img,bootindex=x
bad bootindex_twice 2 'bootindex=1: two devices' "${short[@]}" -drive file=hd.img,bootindex=1 \
    -device e1000,bootindex=1
bad bootindex_of_what 2 'bootindex=3: firmware cannot boot' "${short[@]}" \
    -device isa-debug-exit,iobase=0xf4,iosize=4,bootindex=3
bad drive_if 2 'want ide, floppy, pflash or none' "${short[@]}" -drive file=hd.img,if=scsi
bad drive_format 2 'format=vmdk: want raw' "${short[@]}" -drive file=hd.img,format=vmdk
bad drive_media 2 'want disk or cdrom' "${short[@]}" -drive file=hd.img,media=tape
bad drive_index 2 'index=4: want 0 to 3' "${short[@]}" -drive file=hd.img,index=4
bad drive_floppy_index 2 'want 0 or 1' "${short[@]}" -drive file=fd.img,if=floppy,index=2
bad drive_switch 2 'snapshot=maybe: want on or off' "${short[@]}" -drive file=hd.img,snapshot=maybe
bad drive_twice_there 2 'is taken by another drive' "${short[@]}" -hda hd.img \
    -drive file=fd.img,if=ide,index=0
bad drive_five 2 'if=ide has 4 drives already' "${short[@]}" -snapshot -hda hd.img -hdb hd.img \
    -hdc hd.img -hdd hd.img -drive file=hd.img
bad drive_id 2 'want 1 to' "${short[@]}" -drive file=hd.img,id=a.b

# --- locks
bad same_file_twice 1 'hd.img: in use by another drive, machine or program' "${short[@]}" \
    -hda hd.img -hdb hd.img
ln -s hd.img link.img
bad same_file_by_two_names 1 'link.img: in use by another drive' "${short[@]}" -hda hd.img \
    -hdb link.img
check same_file_read 0 '' "${short[@]}" -drive file=hd.img,readonly=on \
    -drive file=hd.img,readonly=on -drive file=hd.img,snapshot=on
bad same_file_read_and_written 1 'in use by another drive, machine or program that writes to it' \
    "${short[@]}" -hda hd.img -drive file=hd.img,readonly=on
printf '[machine]\nhda = hd.img\nvga = none\nserial = null\nicount-limit = 1000\n' >a.ini
sed 's/a = hd/a = .\/hd/' a.ini >b.ini
check same_file_in_two_machines 1 'b: ./hd.img: in use by another drive, machine' up a.ini b.ini
printf 'snapshot = on\n' | tee -a a.ini >>b.ini
check shared_by_two_machines 0 '' up a.ini b.ini
timeout 60 "${run[@]}" "${short[@]}" -S -hda hd.img -monitor unix:m.sock,server,nowait 2>/dev/null &
holder=$!
for _ in $(seq 100); do
    [ -S m.sock ] && break
    sleep 0.1
done
sleep 0.2
bad locked_by_another 1 'hd.img: in use by another drive, machine or program; snapshot=on' \
    "${short[@]}" -hda hd.img
bad locked_for_readers 1 'that writes to it' "${short[@]}" -drive file=hd.img,snapshot=on
bad locked_image 1 'hd.img: in use by another' run hd.img
kill $holder
wait $holder 2>/dev/null
check unlocked_again 0 '' "${short[@]}" -hda hd.img

# --- -snapshot
info() # ARGS...: "info block"
{
    printf 'info block\nquit\n' | timeout 60 "${run[@]}" run -S -serial null -vga none -m 16 \
        -monitor stdio "$@" >out 2>&1
}
info -snapshot -hda hd.img -fda fd.img -drive file=fd.img,snapshot=on,index=3
verdict snapshot_option 0 $? 'ide0-hd0: hard disk, hd.img (raw, 1048576 bytes, snapshot)'
verdict snapshot_floppy 0 0 'floppy0: floppy, fd.img (raw, 1474560 bytes, snapshot)'
info -snapshot -drive file=hd.img,snapshot=off
verdict snapshot_off_stays 0 $? 'hd.img (raw, 1048576 bytes)'
info -hda hd.img
verdict snapshot_not_default 0 $? 'hd.img (raw, 1048576 bytes)'

# --- what an image is
iso()
{
    truncate -s "$2K" "$1"
    printf '\001CD001' | dd of="$1" bs=1 seek=32768 conv=notrunc status=none
}
iso grub.img 1440
image grub.img 1440
check floppy_with_iso_is_floppy 0 'grub.img: floppy, raw, 1440 KiB' "${short[@]}" grub.img
printf 'HdrS' | dd of=fd.img bs=1 seek=514 conv=notrunc status=none
check floppy_with_kernel_is_floppy 0 'fd.img: floppy, raw' "${short[@]}" fd.img
iso small.iso 1440
check iso_without_signature 0 'small.iso: CD-ROM' "${short[@]}" small.iso
iso hybrid.iso 4096
image hybrid.iso 4096
check hybrid_iso 0 'hybrid.iso: CD-ROM' "${short[@]}" hybrid.iso
check hard_disk 0 'hd.img: hard disk, raw, 1024 KiB' "${short[@]}" hd.img
for kib in 160 180 320 360 720 1200 1440 1680 1722 2880; do
    image "f$kib" $kib
    check "floppy_$kib" 0 "f$kib: floppy" "${short[@]}" "f$kib"
done

# --- paths of INI files: relative to the file, commas doubled
mkdir -p 'conf/sub' 'co,mma'
cp hd.img 'conf/sub/d,isk.img'
cp hd.img 'co,mma/d,isk.img'
cp hd.img conf/b.img
small='vga = none\nserial = null\nicount-limit = 1000\nm = 16\n'
drive='drive = if=ide,file=sub/d,,isk.img,readonly=on'
printf "[machine]\n$drive\ncdrom = b.img\n$small" >conf/a.ini
check ini_paths 0 '' up conf/a.ini
printf "[machine]\ndrive = file=d,,isk.img\n$small" >'co,mma/a.ini'
check ini_folder_with_comma 0 '' up 'co,mma/a.ini'
printf "[machine]\nimage = d,isk.img\n$small" >'co,mma/b.ini'
check ini_image_with_comma 0 'co,mma/d,isk.img: hard disk' up 'co,mma/b.ini'
printf "[machine]\nhdb = d,isk.img\nfw_cfg = name=opt/x,file=d,isk.img\n$small" >'co,mma/c.ini'
check ini_whole_paths 0 '' up 'co,mma/c.ini'
printf "[machine]\nnic = user,tftp=nowhere\nnetdev = user,id=x,tftp=sub\n$small" >conf/n.ini
check ini_net 0 '' up conf/n.ini
printf "[machine]\ndrive = file=none,,such.img\n" >conf/bad.ini
bad ini_missing 1 'bad: conf/none,such.img: No such file' up conf/bad.ini
printf "[machine]\nkernel = no\n" >conf/bad.ini
bad ini_kernel 1 'bad: kernel conf/no: No such file' up conf/bad.ini
printf '[machine]\nkernel = ../text\ninitrd = m1 arg,m2\n' >conf/bad.ini
echo text >text
bad ini_kernel_above 1 'kernel conf/../text: not a kernel' up conf/bad.ini

check write_config 0 '' run -drive 'format=raw,file=conf/sub/d,,isk.img,index=1' -hda hd.img \
    -fda conf/sub/../f.img -append 'a,file=b' -kernel conf/k -initrd 'conf/m1 a b,m2' \
    -fw_cfg name=opt/x,string=y,file=z -fw_cfg name=opt/y,file=conf/x,y -bios x.bin \
    -netdev user,id=x,tftp=conf/t -serial unix:conf/s,server,nowait -snapshot \
    -write-config conf/w.ini
expect_line()
{
    cp conf/w.ini out
    verdict "$1" 0 0 "$2"
}
expect_line writes_drive 'drive = format=raw,file=sub/d,,isk.img,index=1'
expect_line writes_outside_absolute "hda = $PWD/hd.img"
expect_line writes_text_as_is 'append = a,file=b'
expect_line writes_modules "initrd = m1 a b,$PWD/m2"
expect_line writes_fw_cfg_text 'fw_cfg = name=opt/x,string=y,file=z'
expect_line writes_fw_cfg_file 'fw_cfg = name=opt/y,file=x,y'
expect_line writes_firmware_name 'bios = x.bin'
expect_line writes_net 'netdev = user,id=x,tftp=t'
expect_line writes_backend 'serial = unix:s,server,nowait'
expect_line writes_switch 'snapshot = on'
(cd 'co,mma' && timeout 60 "${run[@]}" run -drive file=d,,isk.img,if=floppy -hda ../hd.img \
    -write-config "$tmp/conf/x.ini") >out 2>&1
cp conf/x.ini out
verdict writes_commas_doubled 0 0 "drive = file=$PWD/co,,mma/d,,isk.img,if=floppy"

total
