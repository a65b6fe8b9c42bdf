# What tests that are shell scripts share, as t.h is for those in C. Sourced first, by
#   . "$(dirname "$0")/../t.sh"
# and total is the script's last command. It runs in a new folder, $tmp, gone when it ends.
#   BUILD    the build directory       top      the sources
#   doppel   the program               run      the same as a command, under TEST_WRAPPER if any
#   guests   what tests/boot/guests.sh made
set -u
export LC_ALL=C
BUILD=$(cd "${BUILD:-.}" && pwd)
top=$(cd "$(dirname "$0")/../.." && pwd)
doppel=$BUILD/doppel
guests=${GUESTS:-$BUILD/guests}
run=(${TEST_WRAPPER:-} "$doppel")
pass=0 fail=0 skip=0
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp" || exit 1

total()
{
    echo "$pass passed, $fail failed, $skip skipped"
    [ "$fail" -eq 0 ]
}

passed() # NAME
{
    echo "PASS $1"
    pass=$((pass + 1))
}
failed() # NAME [FILE...]: that tell why
{
    local name=$1 f
    shift
    for f in "$@"; do
        [ ! -e "$f" ] || cat "$f"
    done
    echo "FAIL $name"
    fail=$((fail + 1))
}
skipped() # NAME WHY
{
    echo "SKIP $1: $2"
    skip=$((skip + 1))
}
skip_all() # NAME WHY: and there is nothing else to test
{
    skipped "$@"
    total
    exit
}

ok() # NAME STATUS [FILE...]: passed where the status is 0
{
    if [ "$2" -eq 0 ]; then
        passed "$1"
    else
        failed "$1" "${@:3}"
    fi
}

until_true() # COMMAND...: within twenty seconds
{
    for _ in $(seq 200); do
        "$@" >/dev/null 2>&1 && return 0
        sleep 0.1
    done
    return 1
}

# --- Runs of doppel; what they print is in the file out ---

# verdict NAME WANT GOT TEXT: the status, and a line with TEXT in out.
verdict()
{
    if [ "$3" -ne "$2" ]; then
        echo "status $3, not $2; it printed:"
    elif [ -n "$4" ] && ! grep -qF -- "$4" out; then
        echo "no line with \"$4\" in:"
    else
        passed "$1"
        return
    fi
    head -n 5 out
    failed "$1"
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
        failed "$1: not one line but" out
        pass=$((pass - 1))
    fi
}
bad()
{
    check "$@"
    one_line "$1"
}
