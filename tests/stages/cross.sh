# cross ARCH DEBIAN-ARCH [cross|few]: builds for ARCH and runs the quick tests under qemu-user
# (tests-X and check-X of Makefile.in).
cross()
{
    if [ "$(uname -m)" = "$1" ]; then
        echo "SKIP $1: this machine is one"
        echo '0 passed, 0 failed, 1 skipped'
        exit 0
    fi
    need_packages "gcc-$1-linux-gnu" "libc6-dev-$2-cross" qemu-user || exit 1
    build "$1" "$1-linux-gnu-gcc" "tests-${3:-cross}" --host="$1-linux-gnu"
    [ ! -e build/check/digests ] || export DIGESTS_IN="$TOP/build/check/digests"
    exec make -s -C "build/check/$1" "check-${3:-cross}"
}
