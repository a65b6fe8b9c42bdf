#!/bin/bash
# doppel replay as a person uses it: where it stops, with which engine, what it says of a log or an
# image that is not what it was, and how it goes on live.
#
# The guest is the robot (tests/lib/robot.asm): it takes orders of 8 bytes at its serial port, here
# from standard input, and ends by a reset. Each case prints "PASS name" or "FAIL name".
. "$(dirname "$0")/../t.sh"

machine=(run -m 4 -vga none -kernel "$BUILD/tests/lib/robot.bin" -display none -no-reboot
    -seed 1 -rtc base=2024-01-01 -serial stdio -drive file=disk.img,format=raw -digest)
# Orders: sector 5 filled; sectors 5 and 6 read; 49 and 50 read; a reset.
fill_u='W\xe0\x30\x05\x00\x00U.' fill_v='W\xe0\x30\x05\x00\x00V.'
read_5='A\xe0\x20\x02\x05\x00\x00.' read_49='A\xe0\x20\x02\x31\x00\x00.'
reset='o\x64\x00\xfe....' nothing='i\x21......'

# record LOG ORDERS [ARGS...]: leaves what it printed, the digest last, in LOG.out.
record()
{
    local log=$1 orders=$2
    shift 2
    printf "$orders" | timeout 60 "$doppel" "${machine[@]}" -record "$log" "$@" >"$log.out" 2>&1
}

# same NAME FILE: out, but for what doppel says itself, is FILE.
same()
{
    sed -z 's/doppel: [^\n]*\n//g' out >got
    if cmp -s got "$2"; then
        passed "$1"
    else
        failed "$1: got $(tail -c 90 got | tr -d '\0'), not $(tail -c 90 "$2" | tr -d '\0')"
    fi
}

# replay NAME STATUS TEXT LOG [ARGS...]
replay()
{
    local name=$1 want=$2 text=$3
    shift 3
    check "$name" "$want" "$text" replay "$@"
}

dd if=/dev/zero of=disk.img bs=1M count=20 2>dd.log
record log "$fill_u$read_5$reset"
replay plain 0 "" log -serial stdio -digest
same plain_output log.out
for engine in interp jit lockstep; do
    replay "engine_$engine" 0 'the same run: ' log -serial stdio -digest -engine "$engine" --verify
    same "engine_${engine}_output" log.out
done

# --to: instructions and times; the same instant has the same digest however it is named.
replay to_icount 0 'icount 60000 ' log -serial null -digest --to 60000
cp out want
replay to_time 0 "" log -serial null -digest --to 60us
same to_time_digest want
replay to_fraction 0 "" log -serial null -digest --to 0.06ms --engine interp
same to_fraction_digest want
replay to_beyond 0 "" log -serial null -digest --to 99s
grep -ao 'icount .*' log.out >want
same to_beyond_is_the_end want
for to in x 5h 1.5 -1 99999999999999999999s; do
    bad "to_$to" 2 "--to $to: want a number of instructions" replay log --to "$to"
done
bad to_nothing 2 '--to: want' replay log --to
bad other_option 2 '-m: the log says what the machine is' replay log -m 5
bad no_log 2 'want doppel replay FILE' replay

# A guest that reads what is not in the sum of its disk, over more than one check.
cp disk.img good.img
record long "$read_49" -icount-limit 70000000
replay long_verify 0 "1 checks and the digest at the end are right" \
    long -serial stdio -digest --verify
same long_output long.out
printf x | dd of=disk.img conv=notrunc bs=1 seek=25700 2>dd.log
bad altered_image_used 1 'not the content that was recorded' replay long -serial null
cp good.img disk.img
printf x | dd of=disk.img conv=notrunc bs=1 seek=30000 2>dd.log
replay altered_image_elsewhere 0 'are right' long -serial null --verify
cp good.img disk.img
printf x | dd of=disk.img conv=notrunc bs=1 seek=0 2>dd.log
bad altered_image_sum 1 'not the content that was recorded' replay long -serial null
head -c 1000000 good.img >disk.img
bad short_image 1 '1000448 bytes; it was recorded with 20971520' replay long -serial null
rm disk.img
bad no_image 1 'disk.img: No such file' replay long -serial null
mkdir elsewhere
cp long good.img elsewhere
mv elsewhere/good.img elsewhere/disk.img
check image_beside_the_log 0 'are right' replay elsewhere/long -serial null --verify
cp good.img disk.img

# Files that are no log, or not all of one.
size=$(stat -c %s long)
head -c $((size - 10)) long >cut
replay cut 0 'the log has no end: it is cut short; what is there was replayed' cut -serial null
replay cut_verify 0 'checks are right' cut -serial null --verify
head -c 100 long >cut
bad cut_manifest 1 'cut: it is cut short' replay cut
: >empty
bad empty 1 "empty: not a recording of doppel's" replay empty
bad foreign 1 "not a recording of doppel's" replay disk.img
{
    head -c 8 long
    printf '\3'
    tail -c +10 long
} >newer
bad newer 1 'newer: a recording in format 3; this doppel reads 1 to 2' replay newer
{
    head -c 60 long
    printf '\377\377'
    tail -c +63 long
} >damaged
bad damaged 1 'damaged: ' replay damaged
bad absent 1 'absent: No such file' replay absent

# The host is suspended while a machine keeps step with it; what came of that is in the log.
timeout 60 "$doppel" "${machine[@]}" -speed real -record stopped \
    -icount-limit 30000000 >want 2>&1 </dev/null &
machine_pid=$!
sleep 0.3
kids=$(pgrep -P $machine_pid)
kill -STOP $kids
sleep 2
kill -CONT $kids
wait $machine_pid
replay stopped_host 0 'and the digest at the end are right' stopped -serial stdio -digest --verify
sed -z 's/doppel: [^\n]*\n//g' want >want2
same stopped_host_digest want2

# A branch of history: the log to its end or to an instant, then what is typed now. What comes
# before that waits. Disks stay private.
live()
{
    local name=$1 orders=$2 want=$3
    shift 3
    printf "$orders" | timeout 60 "$doppel" replay branch -serial stdio -digest --go-live "$@" \
        >out 2>&1
    verdict "$name" 0 $? ""
    printf "$want" >want
    head -c "$(stat -c %s want)" out >got
    if cmp -s got want && cmp -s disk.img recorded.img; then
        passed "${name}_output"
    else
        failed "${name}_output: $(xxd got | head -n 4), or the disk has changed"
    fi
}
nics=("")
printf '' | "$doppel" "${machine[@]}" -nic user -icount-limit 1 >out 2>&1 && nics+=(user)
for nic in "${nics[@]}"; do
    record branch "$fill_u$read_5" -icount-limit 3000000 ${nic:+-nic "$nic"}
    cp disk.img recorded.img
    told='R\0\0\0P\0U\1P\0\0\1'
    live "live${nic:+_$nic}" "$fill_v$read_5$nothing$reset" "${told}P\\0V\\1P\\0\\0\\1"
    live "live${nic:+_$nic}_from" "$fill_v$read_5$nothing$reset" \
        "${told}P\\0V\\1P\\0\\0\\1" --to 20000
done

total
