#!/bin/bash
# Machines side by side (`doppel up`): one crashes, one resets twice, one powers off, one has its
# monitor say quit, and the one that computes on ends as it does alone, to the digest. fate.asm is
# their guest.
. "$(dirname "$0")/../t.sh"

fate=$BUILD/tests/cli/fate.bin
fixed=(-m 16 -seed 1 -rtc base=2024-01-01 -kernel "$fate" -digest)
make() # NAME FATE OPTIONS...: its INI, and in NAME.want how it ends alone
{
    local name=$1 fate=$2
    shift 2
    timeout 60 "$doppel" run "${fixed[@]}" -append "$fate" -name "$name" -serial "file:$name.out" \
        -d cpu_reset -D "$name.log" "$@" -write-config "$name.ini" || return 1
    timeout 60 "$doppel" run "${fixed[@]}" -append "$fate" -serial null "$@" >"$name.want" 2>&1
}
same() # NAME: ended in company as alone
{
    grep -q "^icount" "$1.want" && grep -qF "$1: $(grep '^icount' "$1.want")" out
    ok "$1_as_alone" $? out
}
ended() # NAME: it has said so
{
    for _ in $(seq 300); do
        grep -q "^$1: icount" out && return 0
        sleep 0.1
    done
    return 1
}

make crash t -no-reboot
make off p
make twice r
make alive s
for m in crash off twice alive; do
    ok "${m}_alone" "$([ -s $m.want ] && echo 0 || echo 1)" $m.want
done
# One that crashes without end: it resets, boots and crashes until it is told to stop.
make loop t -icount-limit 2000000 -d cpu_reset -D loop.log
# One that waits, to be told to quit.
printf '[machine]\nS = on\nserial = null\nname = told\nmonitor = unix:told.sock,server,nowait\n' \
    >told.ini

timeout 120 "$doppel" up crash.ini off.ini twice.ini told.ini alive.ini loop.ini >out 2>&1 &
up=$!
ended alive
ok alive_ends $? out
# Everybody else has ended or goes on; the process is there until the last one has.
kill -0 $up
ok process_goes_on $?
perl -MIO::Socket::UNIX -e 'my $s = IO::Socket::UNIX->new("told.sock") or exit 1;
    print $s "quit\n"; $s->flush; <$s>;'
wait $up
ok ends_with_the_last $?
for m in crash off twice alive loop; do
    same $m
done
grep -q '^alive$' alive.out
ok alive_has_said_so $? alive.out
[ "$(grep -c 'system reset' twice.log)" -eq 3 ] # with the one at power-on
ok twice_has_reset_twice $? twice.log
grep -q 'triple fault' crash.log && [ "$(grep -c 'system reset' crash.log)" -eq 1 ]
ok crash_has_crashed $? crash.log
[ "$(grep -c 'triple fault' loop.log)" -gt 1000 ]
ok loop_has_crashed_often $?

total
