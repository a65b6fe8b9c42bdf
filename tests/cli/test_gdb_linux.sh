#!/bin/bash
# Debian's gdb and a Debian kernel, by symbols: break where user space calls the kernel, step, watch
# a variable, find backwards who wrote it last, at one vCPU and four; a recorded run, from its end
# backwards; a running machine interrupted. There is no package with the kernel's symbols: the guest
# itself is asked (/proc/kallsyms, with nokaslr), and an ELF file made that has symbols and nothing
# else.
. "$(dirname "$0")/../t.sh"
. "$top/tests/cli/gdb.sh"

for tool in gdb as ld cpio; do
    command -v $tool >/dev/null ||
        skip_all gdb_linux "no $tool here (apt-get install gdb binutils cpio)"
done
[ -e "$guests/vmlinuz-cloud" ] && [ -e "$guests/busybox-amd64" ] ||
    skip_all gdb_linux "no $guests/vmlinuz-cloud: tests/boot/guests.sh makes it"

cat >rc <<'END'
awk '$3 ~ /^(_stext|_etext|_end|init_uts_ns|start_kernel|memcpy_erms|__x64_sys_[a-z]*)$/ {
    print "SYM", $1, $2, $3 }' /proc/kallsyms
hostname first
hostname corrupted
poweroff
sleep 60
END
"$top/tools/mkinitrd.sh" "$guests/busybox-amd64" initrd rc:etc/rc || skip_all gdb_linux "no initrd"
machine=(-display none -m 128 -kernel "$guests/vmlinuz-cloud" -initrd initrd -no-reboot -seed 1
    -rtc base=2024-02-29T12:00:00 -append 'console=ttyS0 nokaslr quiet panic=-1')
run=("$doppel" run "${machine[@]}")

# Symbols, each where the kernel has it, in a section that takes no room.
timeout 100 "${run[@]}" -serial file:said >ref 2>&1 </dev/null
tr -d '\r' <said | awk '$1 == "SYM" && !seen[$4]++ { print $2, $4 }' >kallsyms
base=$(awk '$2 == "_stext" { print $1 }' kallsyms)
[ -n "$base" ] || {
    failed kallsyms ref said
    total
    exit
}
{
    echo '.section .kernel,"ax",@nobits'
    echo 'kernel: .skip 0x3000000'
    while read -r address name; do
        echo ".globl $name; .type $name, @function; .set $name, kernel + 0x$address - 0x$base"
    done <kallsyms
} >vmlinux.s
as -o vmlinux.o vmlinux.s && ld -o vmlinux -e _stext --section-start=".kernel=0x$base" vmlinux.o ||
    skip_all gdb_linux "as and ld are not for x86-64"

symbols=vmlinux
run+=(-serial null -digest)

# want_out NAME TEXT...: so did doppel.
want_out()
{
    local name=$1 text
    shift
    for text in "$@"; do
        if ! grep -qF -- "$text" out; then
            echo "no line with \"$text\" in:"
            failed "$name" out
            return
        fi
    done
    passed "$name"
}

# Who wrote the host's name? It lies behind the system's, 65 bytes each, in init_uts_ns.
for smp in 1 4; do
    session history_$smp -smp $smp -history 256M <<'EOF'
break start_kernel
continue
break __x64_sys_sethostname
continue
x/s (char *)&init_uts_ns + 65
stepi 3
info symbol $pc
delete
break __x64_sys_reboot
continue
x/s (char *)&init_uts_ns + 65
watch *(char *)((char *)&init_uts_ns + 65)
reverse-continue
info symbol $pc
x/s (char *)&init_uts_ns + 65
reverse-continue
x/s (char *)&init_uts_ns + 65
delete
hbreak __x64_sys_sethostname
reverse-continue
reverse-stepi
stepi
delete
hbreak __x64_sys_reboot
continue
x/s (char *)&init_uts_ns + 65
detach
EOF
    want "linux_$smp" "in start_kernel" "Breakpoint 2, 0x" '"(none)"' \
        "__x64_sys_sethostname + " "Breakpoint 3, 0x" '"corrupted"' "Hardware watchpoint 4" \
        "Old value = 99 'c'" "New value = 102 'f'" "__x64_sys_sethostname + " '"first"' \
        "New value = 40 '('" '"(none)"' "Breakpoint 5, 0x" "in _stext" \
        "Breakpoint 5, 0x" "Breakpoint 6, 0x" '"corrupted"' "detached"
    same "linux_no_trace_$smp" -smp $smp
done

# A run that was recorded, from its end backwards.
timeout 100 "${run[@]}" -record linux.log >plain 2>&1 </dev/null
live=("${run[@]}")
run=("$doppel" replay linux.log --verify -serial null -digest)
session replay -history 256M <<'EOF'
continue
x/s (char *)&init_uts_ns + 65
watch *(char *)((char *)&init_uts_ns + 65)
reverse-continue
x/s (char *)&init_uts_ns + 65
delete
continue
continue
EOF
want "linux_replay" "No more reverse-execution history" '"corrupted"' "Hardware watchpoint 1" \
    "New value = 102 'f'" '"first"' "No more reverse-execution history" "exited normally"
want_out "linux_replay_verified" "the same run: " "$(grep digest plain)"
run=("${live[@]}")

# Interrupted while it runs.
session running -speed real <<'EOF'
python
import os, signal, threading
threading.Timer(1.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
end
continue
info threads
stepi
kill
EOF
want "linux_interrupted" "SIGINT" "Thread 1 (CPU#0" "0x"

# Interrupted while it searches its past, for a read, since writes are found by page: it is where it
# was (a fast host may be done before that).
session interrupt -history 256M <<'EOF'
hbreak __x64_sys_reboot
continue
delete
rwatch *(char *)&_stext
python
import os, signal, threading
threading.Timer(0.4, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
end
reverse-continue
python
try:
    gdb.execute("info symbol $pc")
except KeyboardInterrupt:
    pass
end
delete
hbreak __x64_sys_sethostname
continue
reverse-continue
info symbol $pc
kill
EOF
if grep -q SIGINT gdb.out; then
    want "linux_search_interrupted" "Breakpoint 1, 0x" "SIGINT" "__x64_sys_reboot in section"
else
    want "linux_search_to_its_end" "Breakpoint 1, 0x" "No more reverse-execution history"
fi

# gdb that starts doppel itself.
timeout 60 gdb -nx -batch -ex "set confirm off" -ex "file vmlinux" -ex "target remote | exec \
    '$BUILD/doppel' run -display none -serial null -m 128 -kernel '$guests/vmlinuz-cloud' \
    -append nokaslr -gdb stdio -S" -ex "break start_kernel" -ex continue -ex kill >gdb.out 2>&1 \
    </dev/null
want "linux_stdio" "in start_kernel"

total
