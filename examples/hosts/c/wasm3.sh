#!/usr/bin/env bash
# wasm3.sh OUT: the host with wasm3 0.5, whose sources PyPI's pywasm3 has.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m pip download -q --disable-pip-version-check --no-deps --no-binary :all: -d "$work" pywasm3==0.5.0
tar xzf "$work"/pywasm3-0.5.0.tar.gz -C "$work"
wasm3=$work/pywasm3-0.5.0/wasm3
cc -O3 -w -I"$wasm3" "$here"/wasm3.c "$wasm3"/m3_*.c -lm -o "$1"
