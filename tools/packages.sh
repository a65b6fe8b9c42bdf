# packages.sh: need_packages PACKAGE... installs the Debian packages that are missing, and says so.
# Needs neither the network nor root when all are there. Sourced by ./demo and ./check.

need_packages()
{
    missing=''
    for p in "$@"; do
        dpkg-query -W -f '${Status}\n' "$p" 2>/dev/null | grep -q 'ok installed' ||
            missing="$missing $p"
    done
    [ -n "$missing" ] || return 0
    command -v apt-get >/dev/null || {
        echo "These packages are needed, and there is no apt-get to install them:$missing" >&2
        return 1
    }
    as_root=''
    if [ "$(id -u)" != 0 ]; then
        as_root=sudo
        command -v sudo >/dev/null || {
            echo "Run this as root: apt-get install$missing" >&2
            return 1
        }
    fi
    echo "Installing Debian packages:$missing"
    log=${TMPDIR:-/tmp}/doppel-packages.$(id -u).log
    # Old lists name packages that are gone from the archive: refresh them first.
    $as_root apt-get -q update >"$log" 2>&1 || true
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends \
        $missing >>"$log" 2>&1 </dev/null || {
        tail -n 5 "$log" >&2
        echo "Could not install:$missing (log: $log)" >&2
        return 1
    }
}
