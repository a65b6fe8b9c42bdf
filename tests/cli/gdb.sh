# What the tests with Debian's gdb share. Sourced behind tests/t.sh; the caller sets `symbols`,
# the file that gdb has them from, and `run`, the command.

# session NAME ARGS...: doppel ARGS, stopped at its start, with gdb that runs what comes on stdin.
# Leaves what gdb printed in `gdb.out`, what doppel printed in `out`.
session()
{
    local name=$1
    shift
    cat >"$name.gdb"
    rm -f sock
    timeout 200 "${run[@]}" -gdb unix:sock -S "$@" >out 2>&1 </dev/null &
    local pid=$!
    for _ in $(seq 100); do
        [ -S sock ] && break
        sleep 0.1
    done
    # Symbols first; what doppel has to say about the rest is asked for.
    timeout 190 gdb -nx -batch -ex "set pagination off" -ex "set confirm off" \
        -ex "set tcp auto-retry on" -ex "file $symbols" -ex "target remote sock" -x "$name.gdb" \
        >gdb.out 2>&1 </dev/null
    wait $pid
}

# want NAME TEXT...: gdb printed a line with each TEXT, in this order.
want()
{
    local name=$1 line=0 n
    shift
    for text in "$@"; do
        n=$(tail -n +$((line + 1)) gdb.out | grep -nF -m 1 -- "$text" | cut -d: -f1)
        if [ -z "$n" ]; then
            echo "no line with \"$text\" behind line $line of:"
            failed "$name" gdb.out out
            return
        fi
        line=$((line + n))
    done
    passed "$name"
}

# same NAME ARGS...: the run that just ended has the digest of one without -gdb.
same()
{
    local name=$1
    shift
    timeout 100 "${run[@]}" "$@" >plain 2>&1 </dev/null
    if grep -q digest plain && [ "$(grep digest out)" = "$(grep digest plain)" ]; then
        passed "$name"
    else
        echo "want: $(cat plain)" "have: $(cat out)"
        failed "$name"
    fi
}
