#!/bin/bash
# The command line as a person meets it: options, bad input, exit codes, the demo, the monitor, the
# terminal. Each case is a run of ./doppel with an expected status and a line that it must print.
. "$(dirname "$0")/../t.sh"

# --- the demo and information
check demo 0 'This build works' run
check demo_without_arguments 0 'timer ........ ok'
for cpu in 8086 286 386 486 pentium pentium3 core2 nehalem doppel64; do
    check "demo_on_$cpu" 0 'This build works' run -cpu "$cpu"
    ! grep -q FAIL out || failed "demo_on_$cpu: a check"
done
for cpu in 8086 386 486 pentium doppel64; do
    check "demo_on_isapc_$cpu" 0 'This build works' run -machine isapc -cpu "$cpu"
done
check version 0 'doppel 0.' --version
check help 0 'Usage: doppel run' --help
check help_of_run 0 '-icount-limit N' run --help
check list_cpus 0 doppel64 run -cpu help
check list_machines 0 pc run -machine help
check list_devices 0 isa-debug-exit run -device help
check list_log_items 0 guest_errors run -d help
check list_nics 0 ne2k_isa run -nic user,model=help

"${run[@]}" --help=markdown >out 2>&1
tail -n +5 "$top/docs/options.md" | cmp - out >cmp.out 2>&1
status=$?
cat cmp.out >>out
verdict manual_matches_the_table 0 $status '| `-kernel FILE` |'
"${run[@]}" --help=monitor >out 2>&1
tail -n +11 "$top/docs/monitor.md" | cmp - out >cmp.out 2>&1
status=$?
cat cmp.out >>out
verdict monitor_manual_matches_the_table 0 $status '| `quit` |'
rm cmp.out

# --- the command line is wrong: exit 2, and the nearest known word
bad unknown_command 2 'doppel run' walk
bad unknown_option 2 'nearest is -kernel' run -kernal x
bad unknown_option_two_dashes 2 'nearest is -append' run --apend x
bad unknown_cpu 2 'nearest is pentium3' run -cpu pentium33
bad unknown_machine 2 'nearest is pc' run -M pcc
bad isapc_smp 2 'takes at most 1' run -M isapc -smp 2
bad unknown_device 2 'nearest is isa-debug-exit' run -device isa-debug-exti
bad unknown_log_item 2 'nearest is guest_errors' run -d guest_erors
bad unknown_engine 2 'nearest is interp' run -engine interpreter
bad unknown_display 2 'nearest is none' run -display nine
bad missing_value 2 'want -m SIZE' run -m
bad memory_zero 2 'want 1M to' run -m 0
bad memory_large 2 'want 1M to' run -m 2T
bad memory_absurd 2 'want a size' run -m 99999999T
bad memory_overflow 2 'want a size' run -m 99999999999999999999
bad memory_text 2 'want a size' run -m lots
bad memory_negative 2 'want a size' run -m -5
bad cpus_zero 2 'want 1 to 8' run -smp 0
bad cpus_absurd 2 'want 1 to 8' run -smp 4096
bad cpus_text 2 'want 1 to 8' run -smp two
bad rtc_text 2 'base=utc' run -rtc base=tomorrow
bad rtc_date 2 'base=utc' run -rtc base=2024-13-01
bad limit_text 2 'number of instructions' run -icount-limit many
bad five_serial_ports 2 'there are 4' run -serial null -serial null -serial null -serial null \
    -serial null
bad initrd_alone 2 '-initrd needs -kernel' run -initrd x
bad append_alone 2 '-append needs -kernel' run -append x
bad two_images 2 'a second image' run a b
bad image_and_kernel 2 'want one of them' run a -kernel b

# --- files are wrong: exit 1, one line, nothing created or damaged
echo 'this is no kernel, but text of some length' >text
head -c 100000 /dev/zero >zeros
: >empty
mkdir dir
mkfifo fifo
md5sum text zeros empty >before
bad kernel_missing 1 'missing: No such file' run -kernel missing
bad kernel_directory 1 'is a directory' run -kernel dir
bad kernel_fifo 1 'not a regular file' run -kernel fifo
bad kernel_empty 1 'is empty' run -kernel empty
bad kernel_text 1 'not a kernel' run text
bad kernel_zeros 1 'not a kernel' run -kernel zeros
if [ "$(id -u)" -ne 0 ]; then
    cp text locked && chmod 0 locked
    bad kernel_unreadable 1 'Permission denied' run -kernel locked
fi
bad serial_unknown 2 'nearest is stdio' run -serial stdoi
bad serial_no_path 2 'want file:PATH' run -serial file:
bad serial_bad_directory 1 'No such file' run -serial file:no/such/dir
bad serial_stdio_twice 2 'in use already' run -serial stdio -serial stdio
bad monitor_unix_option 2 'nearest is server' run -monitor unix:x,serve
bad monitor_unix_nobody 1 'to listen there' run -monitor unix:nobody
bad device_property 2 'the nearest is iobase' run -device isa-debug-exit,iobse=1
bad device_value 2 'want a number' run -device isa-debug-exit,iobase=x
bad device_value_negative 2 'want a number' run -device isa-debug-exit,iobase=-1
bad device_value_large 2 'from 0 to' run -device isa-debug-exit,iobase=0x10000
bad device_switch 2 'want on or off' run -device i8259,iobase=0x100,master=maybe
bad device_no_value 2 'want name=value' run -device isa-debug-exit,iobase
bad device_without_properties 2 'it has none' run -device apicbus,iobase=1
bad device_overlap 1 'overlap' run -device isa-debug-exit,iobase=0x3f8
bad cpu_feature 2 'did you mean "avx"' run -cpu doppel64,+avx99
bad state_missing 1 'No such file' run -load-state missing
bad state_text 1 'not a saved machine' run -load-state text
bad log_file 1 'cannot be written' run -D no/such/dir/log
bad save_nowhere 1 'No such file' run -serial null -icount-limit 10 -save-state no/such/dir/s
if md5sum --quiet -c before && [ "$(ls | tr '\n' ' ')" = 'before dir empty fifo out text zeros ' ]
then
    passed nothing_created
else
    ls
    failed nothing_created
fi

# --- kernels that are damaged
mb=$BUILD/tests/boot/compute.bin
if [ -e "$mb" ]; then
    head -c 40 "$mb" >cut
    check multiboot_cut 1 'kernel cut' run -kernel cut
    check vga_without_firmware 0 'finds no video BIOS; -bios' run -kernel "$mb" -vga std \
        -serial null -icount-limit 1000
fi

# --- counting, saving, loading
check limit_is_exact 0 'icount 12345 ' run -serial null -icount-limit 12345 -digest
"${run[@]}" run -serial null -seed 1 -rtc base=2024-01-01 -digest >want 2>&1
check same_again 0 "$(cat want)" run -serial null -seed 1 -rtc base=2024-01-01 -digest
check save_on_the_way 0 "$(cat want)" run -serial null -seed 1 -rtc base=2024-01-01 -digest \
    -save-state half@50000
check load_and_go_on 0 "$(cat want)" run -serial null -seed 1 -rtc base=2024-01-01 -digest \
    -load-state half
head -c 1500 half >half.cut
bad state_cut 1 'cut short' run -serial null -load-state half.cut
{ head -c 2000 half; printf x; tail -c +2002 half; } >half.bad
head -c 9 half >half.newer
printf '\377\377\377' >>half.newer
bad state_damaged 1 'damaged' run -serial null -load-state half.bad
bad state_newer 1 'saved in format 4294967042; this doppel reads format 2' run -serial null \
    -load-state half.newer
check snapshot_by_name 0 "$(cat want)" run -serial null -seed 1 -rtc base=2024-01-01 -digest \
    -snapshot-dir . -loadvm half
bad snapshot_missing 1 'no: No such file' run -serial null -snapshot-dir . -loadvm no
bad snapshot_name 1 'not a name for a snapshot' run -serial null -loadvm .half
bad state_of_another_machine 1 'saved with -m 128' run -serial null -m 64 -load-state half

# --- INI files and several machines
fixed=(-seed 1 -rtc base=2024-01-01 -m 64)
"${run[@]}" run -serial null "${fixed[@]}" -digest -device isa-debug-exit,iobase=0xf4,iosize=4 \
    >want 2>&1
mkdir -p conf/sub
check write_config 0 '' run -serial null "${fixed[@]}" -digest -M pc \
    -device isa-debug-exit,iobase=0xf4,iosize=4 --write-config conf/a.ini
cp conf/a.ini out
verdict config_is_readable 0 0 'machine = pc'
check config_round_trip 0 "a: $(cat want)" up conf/a.ini
sed 's/^seed = 1/# my seed\n&/' conf/a.ini >conf/b.ini
check config_rewritten 0 '' run -serial null "${fixed[@]}" -m 128 --write-config conf/b.ini
cp conf/b.ini out
verdict config_keeps_comments 0 0 '# my seed'
check up_two 0 "a: $(cat want)" up conf/a.ini conf/b.ini
printf '[machine]\nserial = file:serial.txt\n' >conf/sub/c.ini
check up_relative 0 '' up conf/sub/c.ini
cp conf/sub/serial.txt out
verdict paths_are_relative_to_the_file 0 $? 'This build works'
printf '[machine]\nserial = stdio\n' >conf/t.ini
bad up_one_terminal 2 'both want the terminal' up conf/t.ini conf/t.ini
printf '# x\n[machine]\nkernal = x\n' >conf/bad.ini
bad up_unknown_key 2 'conf/bad.ini:3: no key "kernal"; the nearest is "kernel"' up conf/a.ini \
    conf/bad.ini
printf '[machine]\nm = lots\n' >conf/bad.ini
bad up_bad_value 2 'conf/bad.ini:2: -m lots: want a size' up conf/bad.ini
printf '[machine]\nS = maybe\n' >conf/bad.ini
bad up_bad_switch 2 'conf/bad.ini:2: S = maybe: want on or off' up conf/bad.ini
printf '[machines]\n' >conf/bad.ini
bad up_section 2 'conf/bad.ini:1: no section [machines]' up conf/bad.ini
printf 'm = 3\n' >conf/bad.ini
bad up_no_section 2 'want [machine] above' up conf/bad.ini
bad up_missing 2 'No such file' up conf/none.ini
bad up_nothing 2 'want INI files' up
printf '[machine]\nkernel = missing\n' >conf/bad.ini
bad up_missing_kernel 1 'bad: kernel conf/missing: No such file' up conf/a.ini conf/bad.ini
# The worst status is the process's; a signal ends those that still run.
printf '[machine]\nS = on\nserial = null\nmonitor = unix:mon.sock,server,nowait\n' >conf/p.ini
timeout --preserve-status -s TERM 60 "${run[@]}" up conf/p.ini conf/a.ini >out 2>&1 &
up=$!
for _ in $(seq 600); do # a has ended, p has not
    grep -q "^a: icount" out && break
    sleep 0.1
done
kill -TERM $up
wait $up
verdict up_ends_by_signal 143 $? "a: $(cat want)"

# --- character back ends
timeout 60 "${run[@]}" run -serial file:serial.txt >out 2>&1
status=$?
cp serial.txt out
verdict serial_to_file 0 $status 'This build works'
check debugcon 0 'arithmetic ... ok' run -serial null -debugcon stdio
echo 'info mtree' >commands
echo 'quit' >>commands
timeout 60 "${run[@]}" run -S -monitor stdio <commands >out 2>&1
verdict monitor_on_stdio 0 $? 'com1'
for c in 'info registers' 'info cpus' 'info mem' 'info tlb' 'info pic' 'info pci' 'info devices' \
    'info com1' 'x/4xb 0xffff0' 'xp/2xg 0' 'digest' 'help' 'stop' 'cont'; do
    printf '%s\nquit\n' "$c" | timeout 60 "${run[@]}" run -S -serial null -monitor stdio >out 2>&1
    verdict "monitor_${c//[ \/]/_}" 0 $? '(doppel)'
done
printf 'inof\nquit\n' | timeout 60 "${run[@]}" run -S -serial null -monitor stdio >out 2>&1
verdict monitor_unknown 0 $? 'nearest is "info"'
printf 'x/4xb 0xffff0\nquit\n' | timeout 60 "${run[@]}" run -S -serial null -monitor stdio >out 2>&1
verdict monitor_reads_rom 0 $? '0xea 0x'

# --- signals
for s in TERM INT HUP; do
    timeout --preserve-status -s $s 1 "${run[@]}" run -S -serial null -debugcon stdio >out 2>&1 \
        </dev/null
    status=$?
    : >out
    verdict "sig${s}_ends_it" $((128 + $(kill -l $s))) $status ''
done

total
