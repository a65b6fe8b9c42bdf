# What the tests of the command line share. Sourced, in the folder where they run; the caller sets
# pass and fail to 0.

# verdict NAME WANT GOT TEXT: the status, and a line with TEXT in the file out.
verdict()
{
    if [ "$3" -ne "$2" ]; then
        echo "status $3, not $2; it printed:"
        head -n 5 out
    elif [ -n "$4" ] && ! grep -qF -- "$4" out; then
        echo "no line with \"$4\" in:"
        head -n 5 out
    else
        echo "PASS $1"
        pass=$((pass + 1))
        return
    fi
    echo "FAIL $1"
    fail=$((fail + 1))
}

# check NAME STATUS TEXT [ARGS...]: doppel ARGS ends with STATUS and prints a line with TEXT.
check()
{
    local name=$1 want=$2 text=$3
    shift 3
    timeout 60 "${run[@]}" "$@" >out 2>&1 </dev/null
    verdict "$name" "$want" $? "$text"
}

# One line, and nothing else, for bad input.
one_line()
{
    if [ "$(wc -l <out)" -ne 1 ]; then
        echo "FAIL $1: not one line but:"
        cat out
        fail=$((fail + 1))
        pass=$((pass - 1))
    fi
}
bad()
{
    check "$@"
    one_line "$1"
}
