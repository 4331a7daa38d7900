#!/bin/sh
# Makes Go toolchains ready for tests and generators; prints "goX GOROOT" for each.
#
#   tests/toolchains.sh quick     some releases of tests/toolchains.txt, for a plain test run
#   tests/toolchains.sh all       each of its releases, for a full test run
#   tests/toolchains.sh rows      those that src/layout/rows.inc is made from
#   tests/toolchains.sh goX...    these releases ("go1.22.0"; before 1.21 a first release is "go1.20")
#
# Any go since 1.19 will do (GO=/path/to/go chooses one): a toolchain is a module like others, downloaded
# and verified by the go command; only its execute bits have to be set afterwards. The toolchains stay in
# go's module cache; links to those that are ready are kept in ${UNPARK_TOOLCHAIN_CACHE}, by default
# ${XDG_CACHE_HOME:-$HOME/.cache}/unpark/toolchains, so that the next call takes no time.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${UNPARK_TOOLCHAIN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/unpark/toolchains}
go=${GO:-go}

fail() {
    echo "toolchains.sh: $*" >&2
    exit 1
}

# Prints the folder of the toolchain module of release $1, downloading it if need be.
download() {
    arch=$("$go" env GOHOSTARCH) || fail "no go command; install one (Debian: golang-go)"
    scratch=$(mktemp -d)
    echo "module example.com/toolchains" >"$scratch/go.mod"
    if ! (cd "$scratch" && GOTOOLCHAIN=local GOWORK=off GOFLAGS=-mod=mod \
        "$go" mod download -json "golang.org/toolchain@v0.0.1-$1.linux-$arch") \
        >"$scratch/out" 2>"$scratch/err"; then
        cat "$scratch/err" "$scratch/out" >&2
        rm -r "$scratch"
        fail "cannot download $1"
    fi
    sed -n 's/^[[:space:]]*"Dir": "\(.*\)",\{0,1\}$/\1/p' "$scratch/out"
    rm -r "$scratch"
}

# Makes release $1 ready and prints its line.
prepare() {
    if ! [ -x "$cache/$1/bin/go" ]; then
        dir=$(download "$1")
        [ -f "$dir/bin/go" ] || fail "$1: no bin/go in '$dir'"
        find "$dir/bin" "$dir/pkg/tool" -type f -exec chmod a+x {} +
        ln -sfn "$dir" "$cache/$1"
    fi
    echo "$1 $(readlink -f "$cache/$1")"
}

[ $# -gt 0 ] || fail "say quick, all, rows, or which releases"
case $1 in
quick | all | rows)
    set -- $(awk -v use="$1" '!/^#/ { for (i = 3; i <= NF; i++) if ($i == use) print $2 }' \
        "$here/toolchains.txt")
    ;;
go1.*) ;;
*) fail "'$1' is neither quick nor all nor rows nor a release" ;;
esac
mkdir -p "$cache"
exec 9>"$cache/.lock"
flock 9 # of several at once, one downloads
for version; do
    prepare "$version"
done
