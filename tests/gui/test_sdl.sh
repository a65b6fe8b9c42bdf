#!/bin/bash
# The SDL window under Xvfb, with real key and mouse events from xdotool. What reaches the machine
# is read from its log of inputs (-d gate). Skips without Xvfb and xdotool, or in a build without
# SDL2.
. "$(dirname "$0")/../t.sh"
x='' d='' wm=''
finish()
{
    [ -z "$d" ] || kill "$d" 2>/dev/null
    [ -z "$wm" ] || kill "$wm"
    [ -z "$x" ] || kill "$x"
    rm -rf "$tmp"
}
trap finish EXIT

command -v Xvfb >/dev/null && command -v xdotool >/dev/null || skip_all sdl 'no Xvfb or xdotool'
"$doppel" run -display sdl -m nonsense 2>&1 | grep -q 'without SDL2' &&
    skip_all sdl 'built without SDL2'

Xvfb -displayfd 3 -screen 0 1600x1200x24 3>number 2>xvfb.log &
x=$!
until_true test -s number || skip_all sdl 'Xvfb does not start'
DISPLAY=:$(cat number)
export DISPLAY SDL_AUDIODRIVER=dummy

# Full screen and the close button are a window manager's affair.
if command -v openbox >/dev/null; then
    openbox --sm-disable >wm.log 2>&1 &
    wm=$!
    sleep 1
fi

start() # OPTIONS...
{
    rm -f log
    "$doppel" run -display sdl -name window -serial null -d gate -D log "$@" \
        <"${commands:-/dev/null}" 2>err &
    d=$!
    until_true xdotool search --name '^window - '
    win=$(xdotool search --name '^window - ' | head -n 1)
}
ended() # the exit status
{
    until_true bash -c "! kill -0 $d" || kill "$d"
    wait "$d"
    status=$?
    d=''
}
logged() # TEXT: within ten seconds
{
    until_true grep -q "$1" log
}
named()
{
    xdotool getwindowname "$win" | grep -q "$1"
}

start -S
[ -n "$win" ]
ok opens $? err
xdotool windowfocus --sync "$win" 2>/dev/null || xdotool windowfocus "$win"
xdotool key --delay 30 a shift+Right Pause
logged 'kbc.key, 2 bytes, first 0xc6'
ok keys_arrive $? log
keys=$(sed -n 's/.*kbc.key, 2 bytes, first //p' log | tr '\n' ' ')
[ "$keys" = '0x1e 0x1e 0x2a 0xcd 0x2a 0xcd 0xc6 0xc6 ' ] ||
    [ "$keys" = '0x1e 0x1e 0x2a 0xcd 0xcd 0x2a 0xc6 0xc6 ' ]
ok keys_by_scancode $? log

xdotool mousemove --window "$win" 100 100
sleep 0.3
! grep -q kbc.mouse log
ok mouse_is_free_at_first $? log
xdotool click 1
until_true named 'Ctrl-Alt-G releases'
ok click_captures $?
xdotool mousemove_relative 21 5
logged 'kbc.mouse, 6 bytes, first 0x15'
ok mouse_moves_by_counts $? log
xdotool key ctrl+alt+g
until_true bash -c "! xdotool getwindowname $win | grep -q Ctrl-Alt-G"
ok released $?

size() { xdotool getwindowgeometry "$win" | grep -q "Geometry: $1"; }
if [ -n "$wm" ]; then
    xdotool key ctrl+alt+f
    until_true size 1600x1200
    ok full_screen $?
    xdotool key ctrl+alt+f
    until_true size 720x400
    ok full_screen_ends $?
fi
named 'MIPS, [0-9]* % of real time$'
ok title_shows_speed $?
xdotool windowsize "$win" 500 500
until_true size 500x500
ok resizes $?

kill -TERM "$d"
ended
[ "$status" -eq 143 ]
ok signal_closes $? err

# --- What the window shows, dot by dot --------------------------------------------------------

# ppm_dots FILE, xwd_dots FILE: a dot a line, RRGGBB. The header of a screendump has three lines;
# that of a dump of an X window is in X11/XWDFile.h.
ppm_dots()
{
    tail -n +4 "$1" | od -v -An -w3 -tx1 | tr -d ' '
}
xwd_dots()
{
    # Words 0, 11, 12 and 19: size of the header, bits a dot, bytes a line, colors.
    set -- "$1" $(od -v -An -tu4 --endian=big -N100 "$1")
    [ "${13}" -eq 32 ] || echo "${13} bits a dot"
    tail -c +$(($2 + 12 * ${21} + 1)) "$1" | od -v -An -w4 -tx1 | awk '{ print $3 $2 $1 }'
}
# same_dots SCALE: the window shows what screendump says, each dot SCALE times in both directions.
same_dots()
{
    rm -f dump.ppm
    echo 'screendump dump.ppm' >&4
    until_true grep -aq . dump.ppm || return 1
    sleep 0.3
    xwd -silent -id "$win" >window.xwd || return 1
    width=$(sed -n 2p dump.ppm | cut -d ' ' -f 1)
    ppm_dots dump.ppm | awk -v n="$1" -v width="$width" '
        { for (i = 0; i < n; i++) line = line $0 "\n" }
        NR % width == 0 { for (i = 0; i < n; i++) printf "%s", line; line = "" }' >want.txt
    xwd_dots window.xwd >got.txt
    [ "$(wc -l <want.txt)" -ge 250000 ] && [ "$(sort -u want.txt | wc -l)" -ge "$2" ] &&
        cmp want.txt got.txt
}
if command -v xwd >/dev/null && [ -e /usr/share/seabios/bios-256k.bin ]; then
    # SeaBIOS in text mode, stopped, so that the cursor does not blink between the two pictures.
    mkfifo fifo
    exec 4<>fifo
    commands=fifo
    truncate -s 1440K blank
    start -display sdl,scale=integer -monitor stdio -fda blank >mon.txt
    until_screen() # TEXT: within ten seconds on the screen of a text mode
    {
        for _ in $(seq 50); do
            echo screentext >&4
            sleep 0.2
            grep -q "$1" mon.txt && return 0
        done
        return 1
    }
    until_screen 'No bootable device'
    ok firmware_speaks $? mon.txt
    echo stop >&4
    until_true size 720x400
    until_true same_dots 1 2
    ok window_is_the_screen $? err
    xdotool windowsize "$win" 1440 800
    until_true size 1440x800
    until_true same_dots 2 2
    ok window_twice_the_size $? err
    echo quit >&4
    ended
    # A graphics mode, all sixteen colors; linear scaling leaves a window of its size alone.
    cp "${doppel%/doppel}/tests/boot/vga_modes.bin" sector &&
        printf '\022\000\340\001' | dd of=sector bs=1 seek=506 conv=notrunc 2>/dev/null &&
        truncate -s 1440K sector
    start -monitor stdio -drive file=sector,if=floppy,format=raw -boot order=a >mon.txt
    until_true size 640x480
    until_true same_dots 1 16
    ok graphics_window_is_the_screen $? err
    kill -TERM "$d"
    ended
    exec 4>&-
    commands=''
else
    echo 'SKIP sdl: no xwd or no SeaBIOS to compare pictures with'
fi

# The demo ends by itself, and its window with it.
"$doppel" run -display sdl -name window -serial file:demo.txt 2>err &
d=$!
ended
[ "$status" -eq 0 ] && grep -q 'This build works' demo.txt
ok power_off_closes $? err

# As a window manager closes a window: WM_DELETE_WINDOW, which xdotool's windowquit sends.
if [ -n "$wm" ] && xdotool help 2>&1 | grep -q windowquit; then
    start -S
    xdotool windowquit "$win"
    ended
    [ "$status" -eq 0 ]
    ok closing_ends_it $? err
fi
DISPLAY=:none "$doppel" run -display sdl 2>err
[ $? -eq 1 ] && grep -q '^doppel: -display sdl: ' err
ok no_display $? err

total
