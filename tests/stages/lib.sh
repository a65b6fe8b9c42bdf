# What the stages of ./check share. Sourced, with TOP set to the source tree.

set -u
export LC_ALL=C
cd "$TOP" || exit 1
. tools/packages.sh

# build NAME CC TARGETS CONFIGURE-OPTIONS...: configures and makes TARGETS in build/check/NAME.
# A failure shows the errors and ends the stage.
build()
{
    name=$1 cc=$2 targets=$3
    shift 3
    mkdir -p "build/check/$name"
    command -v ccache >/dev/null && cc="ccache $cc"
    # shellcheck disable=SC2086
    if ! (
        cd "build/check/$name" &&
            CC=$cc "$TOP/configure" --enable-werror "$@" >configure.log 2>&1 &&
            make -j"$(nproc)" $targets >make.log 2>&1
    ); then
        cat "build/check/$name/configure.log"
        grep -h -A 4 -e 'error:' -e 'warning:' -e '\*\*\*' "build/check/$name/make.log" | head -n 40
        echo "FAIL build of $name"
        echo '0 passed, 1 failed, 0 skipped'
        exit 1
    fi
}
