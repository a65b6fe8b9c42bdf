#!/bin/bash
# `doppel up` with windows under Xvfb: each machine has its own, with its name in the title; keys go
# to the one that has the focus; closing one, or its machine's power-off, leaves the others alone.
# Skips without Xvfb, xdotool and openbox (whose Alt-F4 closes windows as people do), or in a build
# without SDL2.
. "$(dirname "$0")/../t.sh"
fate=$BUILD/tests/cli/fate.bin
x='' d='' wm=''
finish()
{
    for p in $d $wm $x; do
        kill "$p" 2>/dev/null
    done
    rm -rf "$tmp"
}
trap finish EXIT
window() # NAME: its window's number
{
    xdotool search --name "^$1 - " | head -n 1
}
there() { [ -n "$(window "$1")" ]; }
gone() { ! there "$1"; }

for tool in Xvfb xdotool openbox; do
    command -v $tool >/dev/null || skip_all sdl_up "no $tool"
done
"$doppel" run -display sdl -m nonsense 2>&1 | grep -q 'without SDL2' &&
    skip_all sdl_up 'built without SDL2'

Xvfb -displayfd 3 -screen 0 1600x900x24 3>number 2>xvfb.log &
x=$!
until_true test -s number || skip_all sdl_up 'Xvfb does not start'
DISPLAY=:$(cat number)
export DISPLAY SDL_AUDIODRIVER=dummy
openbox --sm-disable >wm.log 2>&1 &
wm=$!
sleep 1

fixed=(-m 16 -seed 1 -rtc base=2024-01-01)
for name in left right; do
    "$doppel" run "${fixed[@]}" -S -display sdl -name $name -serial null -d gate -D $name.log \
        -write-config $name.ini
done
# One with a window that powers off by itself, and one without that computes on.
"$doppel" run "${fixed[@]}" -kernel "$fate" -append s -display sdl -name short -serial null \
    -write-config short.ini
"$doppel" run "${fixed[@]}" -kernel "$fate" -append s -name alone -serial null -digest \
    -write-config alone.ini
timeout 60 "$doppel" up alone.ini >want 2>&1
grep -q '^alone: icount' want
ok alone $? want

"$doppel" up left.ini right.ini alone.ini short.ini >out 2>&1 &
d=$!
until_true there left && until_true there right
ok windows_with_their_names $? out
until_true grep -q '^alone: icount' out && grep -qF "$(cat want)" out
ok no_window_and_the_same_digest $? out
until_true gone short && there left && there right && kill -0 $d
ok power_off_closes_its_window_only $? out

key() # NAME KEY
{
    xdotool windowfocus --sync "$(window "$1")"
    xdotool key --delay 30 "$2"
}
key left a
until_true grep -q 'kbc.key, 2 bytes, first 0x1e' left.log
ok keys_to_the_left $? left.log
key right b
until_true grep -q 'kbc.key, 2 bytes, first 0x30' right.log
ok keys_to_the_right $? right.log
! grep -q 'first 0x30' left.log && ! grep -q 'first 0x1e' right.log
ok keys_to_one_only $?

key left alt+F4 # openbox asks the window to close
until_true gone left && there right && kill -0 $d
ok closing_one_leaves_the_other $? out
key right c
until_true grep -q 'kbc.key, 2 bytes, first 0x2e' right.log
ok the_other_goes_on $? right.log
key right alt+F4
until_true bash -c "! kill -0 $d"
wait $d
status=$?
d=''
[ "$status" -eq 0 ]
ok ends_with_the_last $? out
DISPLAY=:none "$doppel" up left.ini alone.ini >out 2>&1
[ $? -eq 1 ] && grep -q '^doppel: left: -display sdl: ' out && ! grep -q icount out
ok no_display_starts_nothing $? out

total
