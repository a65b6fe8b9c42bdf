#!/bin/sh
# guests-long.sh: what only `make check-long` boots: Debian's installers, 350 MB of packages.
set -eu
. "$(dirname "$0")/../../tools/packages.sh"
need_packages seabios memtest86+ debian-installer-12-netboot-amd64 debian-installer-12-netboot-i386
