#!/bin/bash
# Debian's gdb as the client of -gdb: break- and watchpoints, steps, registers, memory, threads and
# detaching, in real, protected and long mode, on one vCPU and four; and the machine ends with the
# digest of one that no debugger saw. The guest is gdb_guest.asm.
. "$(dirname "$0")/../t.sh"
. "$top/tests/cli/gdb.sh"

for tool in gdb nasm ld; do
    command -v $tool >/dev/null || skip_all gdb "no $tool here (apt-get install gdb nasm binutils)"
done
nasm -f elf64 -o guest.o "$top/tests/cli/gdb_guest.asm" &&
    ld -nostdlib -m elf_x86_64 -z noexecstack -e entry -Ttext 0x200000 -o guest guest.o ||
    skip_all gdb 'ld cannot link for x86-64'

run=("$doppel" run -display none -serial null -digest -seed 1 -rtc base=2024-02-29T12:00:00)
symbols=guest

# expect_replay NAME FILE: what a replay with --verify and -digest printed is right: the digest is
# $digest, and its inputs are those of the debugger.
expect_replay()
{
    if [ -n "$digest" ] && grep -qF "$digest" "$2" &&
        grep -q "the same run: [5-9] inputs" "$2"; then
        passed "$1"
    else
        echo "want: $digest"
        failed "$1" "$2"
    fi
}

for engine in interp jit,threshold=2; do
    for smp in 1 4; do
        args=(-kernel guest -smp $smp -engine $engine)
        # gdb evaluates the condition: 100 stops.
        session break "${args[@]}" <<'EOF'
info registers cs_base cr0 efer
hbreak *long_mode
continue
info registers efer
stepi
x/i $pc
break *store
condition 2 $rdi == 100
continue
p $rdi
x/2gx $rsp
p (long)rounds
stepi 3
p/x $rbx
x/i $pc
p (long)variable
stepi
p (long)variable
info threads
detach
EOF
        want "break_and_step_${engine%%,*}_$smp" "[ ET NW CD ]" "Breakpoint 1, 0x" "[ LME LMA ]" \
            "<long_mode+4>" "Breakpoint 2, 0x" "= 100" "= 100" "= 0x2710" "<store+8>" "= 9801" \
            "= 10000" "Thread $smp (CPU#$((smp - 1)) ["
        same "break_leaves_no_trace_${engine%%,*}_$smp" "${args[@]}"

        session watch "${args[@]}" <<'EOF'
watch *(long *)&victim
continue
rwatch *(long *)&rounds
delete 1
continue
info symbol $pc
delete
monitor info cpus
p/x (long)victim
maintenance packet Qqemu.PhyMemMode:1
p/x (long)victim
maintenance packet qqemu.PhyMemMode
maintenance packet Qqemu.PhyMemMode:0
x/2bx 0xfee00000
EOF
        want "watch_${engine%%,*}_$smp" "Hardware watchpoint 1" \
            "Old value = 6921452142575087629" "New value = 841341543241288621" "corrupt" \
            "Hardware read watchpoint 2" "Value = 1502" "store +" \
            "CPU#0: running" "0xbad0bad0bad0bad" "0xbad0bad0bad0bad" "received: \"1\"" \
            "received: \"OK\"" "Cannot access memory"
        same "watch_leaves_no_trace_${engine%%,*}_$smp" "${args[@]}"
    done

    # Who corrupted the word? Backwards from the end, and forwards again.
    for smp in 1 4; do
        args=(-kernel guest -smp $smp -engine $engine)
        session back "${args[@]}" -history 64M <<'EOF'
hbreak *done
continue
p/x (long)victim
watch *(long *)&victim
reverse-continue
info symbol $pc
p/x (long)victim
reverse-stepi
info symbol $pc
stepi
stepi
p/x (long)victim
delete
hbreak *store
reverse-continue
p $rdi
delete
reverse-continue
hbreak *done
continue
detach
EOF
        want "backwards_${engine%%,*}_$smp" "Breakpoint 1, " "= 0xbad0bad0bad0bad" \
            "Old value = 841341543241288621" "New value = 6921452142575087629" "corrupt + 10" \
            "= 0x600df00d600df00d" "corrupt in section" "New value = 841341543241288621" \
            "= 0xbad0bad0bad0bad" "Breakpoint 3, " "= 1500" "No more reverse-execution history" \
            "Breakpoint 4, "
        same "backwards_leaves_no_trace_${engine%%,*}_$smp" "${args[@]}"
    done

    # The others begin in real mode, where $rip is linear.
    args=(-kernel guest -smp 4 -engine $engine)
    session real "${args[@]}" <<'EOF'
hbreak *0x8000
continue
info registers rip cs cs_base cr0
stepi
stepi
p/x $rip
p/x $rip - $cs_base
continue
thread
delete
hbreak *ap_work
continue
p $r15
thread 1
p/x $efer
thread apply all -q p $cs
detach
EOF
    want "real_mode_and_threads_${engine%%,*}" "Breakpoint 1, 0x" "0x8000 " "0x800 " "0x8000 " \
        "[ ET NW CD ]" "0x8003" "0x3" "Breakpoint 1, 0x" "[Current thread is 3" \
        "Breakpoint 2, 0x" "= 2" "0x500" "= 8"
    same "real_mode_leaves_no_trace_${engine%%,*}" "${args[@]}"

    # Changes: skip the corruption, look at what comes of it; and all of that is in a recording.
    session change -kernel guest -engine $engine -record change.log <<'EOF'
break *corrupt
continue
set $rip = *(long *)$rsp
set $rsp = $rsp + 8
p $xmm1.uint128
set var $xmm1.v2_int64[1] = -1
p/x $xmm1.v2_int64[1]
set var *(char *)&stop = 2
set $eflags = $eflags | 1
info registers eflags
hbreak *done
continue
p/x (long)victim
p (char)stop
p/x $xmm1.v2_int64[1]
detach
EOF
    want "change_${engine%%,*}" "Breakpoint 1, " "= 0" "= 0xffffffffffffffff" "CF" \
        "Breakpoint 2, " "= 0x600df00d600df00d" "= 1" "= 0xffffffffffffffff"
    digest=$(grep -o "icount.*digest [0-9a-f]*" out)
    for other in interp jit,threshold=2; do
        timeout 60 "$doppel" replay change.log -engine $other --verify -digest \
            >replayed 2>&1 </dev/null
        expect_replay "change_${engine%%,*}_replayed_${other%%,*}" replayed
    done

    # Back from the end of a replay, through the changes, and to the end again.
    live=("${run[@]}")
    run=("$doppel" replay change.log -digest --verify)
    session replay -engine $engine <<'EOF'
continue
p (char)stop
watch *(char *)&stop
reverse-continue
p (char)stop
delete
hbreak *store
reverse-continue
p $rdi
p (char)stop
python
for edit in "set var *(char *)&stop = 7", "set $rdi = 7":
    try:
        gdb.execute(edit)
    except gdb.error:
        print("refused: " + edit)
end
stepi
p (char)stop
delete
reverse-continue
continue
p (char)stop
p/x $xmm1.v2_int64[1]
monitor info history
continue
EOF
    want "replay_${engine%%,*}" "No more reverse-execution history" "= 1" \
        "Hardware watchpoint 1" "Old value = 1" "New value = 2" "= 2" "Breakpoint 2, " \
        "= 1999" "= 2" "refused: set var" "refused: set \$rdi" "= 2" \
        "No more reverse-execution history" "No more reverse-execution history" "= 1" \
        "= 0xffffffffffffffff" ": the present" "exited normally"
    run=("${live[@]}")
    expect_replay "replay_and_back_verified_${engine%%,*}" out
done

# A boot sector: real mode, SeaBIOS before it. The word at 1000:20h is counted down, then spoiled.
cat >sector.asm <<'EOF'
        org 0x7c00
        bits 16
        cli
        mov ax, 0x1000
        mov ds, ax
        mov cx, 50
count:  mov [0x20], cx                  ; 7c09
        loop count                      ; 7c0d
        mov word [0x20], 0x6ead         ; 7c0f
halt:   hlt                             ; 7c15
        jmp halt
        times 510 - ($ - $$) db 0
        dw 0xaa55
EOF
nasm -f bin -o sector.img sector.asm && truncate -s 1M sector.img
args=(-drive file=sector.img,format=raw,snapshot=on -boot order=c)
session sector "${args[@]}" -history 64M <<'EOF'
hbreak *0x7c00
continue
hbreak *0x7c15
continue
x/hx 0x10020
watch *(short *)0x10020
reverse-continue
p/x $pc
reverse-stepi
p/x $pc
reverse-continue
p/x $pc
p $cx
detach
EOF
if grep -q "firmware.*not found" out; then
    skipped boot_sector "$(cat out)"
else
    want boot_sector "Breakpoint 1, 0x" "Breakpoint 2, 0x" "0x6ead" "Old value = 28333" \
        "New value = 1" "= 0x7c0f" "= 0x7c0d" "Old value = 1" "New value = 2" "= 0x7c09" "= 1" \
        "detached"
    same boot_sector_leaves_no_trace "${args[@]}"
fi

# A port that somebody has; and one that nobody has, of a machine among several.
port=$((20000 + $$ % 20000))
timeout 30 "${run[@]}" -kernel guest -gdb tcp:127.0.0.1:$port -S >first 2>&1 </dev/null &
first=$!
for _ in $(seq 100); do
    timeout 10 "${run[@]}" -kernel guest -icount-limit 1 -gdb tcp:127.0.0.1:$port >out 2>&1 \
        </dev/null
    status=$?
    [ $status -eq 0 ] || break
    sleep 0.1
done
if [ $status -eq 1 ] && [ "$(wc -l <out)" -eq 1 ] && grep -q "$port.*in use" out; then
    passed port_in_use
else
    echo "status $status:"
    failed port_in_use out
fi
kill $first
wait $first
# One machine of two in a process, by its INI file's keys.
for name in one two; do
    printf '%s\n' '[machine]' "name = $name" 'kernel = guest' 'display = none' 'serial = null' \
        'digest = on' >$name.ini
done
printf '%s\n' 'gdb = unix:up.sock' 'S = on' >>one.ini
rm -f up.sock
timeout 60 "$doppel" up one.ini two.ini >out 2>&1 </dev/null &
up=$!
for _ in $(seq 100); do
    [ -S up.sock ] && break
    sleep 0.1
done
timeout 50 gdb -nx -batch -ex "file guest" -ex "target remote up.sock" -ex "hbreak *done" \
    -ex continue -ex "p/x (long)victim" -ex detach >gdb.out 2>&1 </dev/null
wait $up
want up_with_gdb "Breakpoint 1, 0x" "= 0xbad0bad0bad0bad" "detached"
[ "$(grep -c "digest" out)" -eq 2 ] && grep -q "^two: icount" out
ok up_with_gdb_both_end $? out

total
