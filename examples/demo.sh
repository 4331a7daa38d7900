#!/bin/sh
# Builds the example service, lets it leak, shows what Unpark says of it, and cleans up. `make demo` runs it after
# `make deps` and `make`; UNPARK names the program to use.
set -eu
cd "$(dirname "$0")/.."
unpark=${UNPARK:-build/unpark}
work=$(mktemp -d)
pid=
cleanup() {
	exec 3>&- || true
	if [ -n "$pid" ]; then
		kill "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	fi
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

echo "== building the example service: examples/orders, stripped, with $(go version | cut -d' ' -f3)"
(cd examples/orders && GOFLAGS=-mod=mod GOTOOLCHAIN=local go build -trimpath -ldflags='-s -w' -o "$work/orders" .)

# The service runs until its standard input ends; it says "ready ADDRESS PID" on a pipe, which is awaited.
mkfifo "$work/in" "$work/out"
"$work/orders" <"$work/in" >"$work/out" &
pid=$!
exec 3>"$work/in"
read -r ready address _ <"$work/out"
test "$ready" = ready
echo "== it serves on $address as process $pid and has answered 60 requests"

echo "== unpark ps"
"$unpark" ps
echo
echo "== unpark leaks $pid --user --limit 4"
status=0
"$unpark" leaks "$pid" --user --limit 4 || status=$?
if [ "$status" -ne 1 ]; then
	echo "demo: unpark leaks found nothing (exit status $status)" >&2
	exit 1
fi
echo
echo "== unpark dump $pid --user --limit 2"
"$unpark" dump "$pid" --user --limit 2
