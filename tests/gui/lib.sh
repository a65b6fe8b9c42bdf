# What the tests of windows share. Sourced; the caller sets name, pass and fail.

skip()
{
    echo "SKIP $name: $1"
    echo '0 passed, 0 failed, 1 skipped'
    exit 0
}
ok() # NAME STATUS [FILE shown on failure]
{
    if [ "$2" -eq 0 ]; then
        echo "PASS $1"
        pass=$((pass + 1))
    else
        [ ! -e "${3:-}" ] || cat "$3"
        echo "FAIL $1"
        fail=$((fail + 1))
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
