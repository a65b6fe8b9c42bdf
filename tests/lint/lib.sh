# What the lint scripts share: `files PATTERN...` lists the tree's own files, `verdict NAME` prints
# the result of a check from the complaints on its input. Sourced, never run.

set -u
export LC_ALL=C
SRC=${SRC:-$(cd "$(dirname "$0")/../.." && pwd)}
BUILD=${BUILD:-.}
BUILD=$(cd "$BUILD" && pwd)
cd "$SRC" || exit 1
FOLDERS='include util core mmu cpu hw host vm frontends roms tools tests bench'

# files '*.c' '*.h': those files of ours, one a line, relative to the source tree.
files()
{
    for d in $FOLDERS; do
        [ -d "$d" ] || continue
        for pattern in "$@"; do
            find "$d" -type f -name "$pattern"
        done
    done | sort
}

# verdict NAME: complaints on standard input, one a line; none is a pass.
verdict()
{
    complaints=$(cat)
    if [ -n "$complaints" ]; then
        printf '%s\nFAIL %s\n0 passed, 1 failed, 0 skipped\n' "$complaints" "$1"
        exit 1
    fi
    printf 'PASS %s\n1 passed, 0 failed, 0 skipped\n' "$1"
    exit 0
}

# skip NAME REASON
skip()
{
    printf 'SKIP %s: %s\n0 passed, 0 failed, 1 skipped\n' "$1" "$2"
    exit 0
}
