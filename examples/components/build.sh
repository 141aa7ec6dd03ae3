#!/usr/bin/env bash
# build.sh OUT: the guests that there are tools for, as components that still need a model: OUT/rust.wasm by cargo (target
# wasm32-unknown-unknown) and wasm-tools, OUT/python.wasm by componentize-py. WASM_TOOLS, COMPONENTIZE_PY: their commands.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$1
tools=${WASM_TOOLS:-wasm-tools} python=${COMPONENTIZE_PY:-componentize-py}
mkdir -p "$out"
if command -v cargo >/dev/null && command -v "$tools" >/dev/null; then
  cargo build --quiet --release --manifest-path "$here/rust/Cargo.toml" --target wasm32-unknown-unknown --target-dir "$out/target"
  "$tools" component new "$out/target/wasm32-unknown-unknown/release/guest.wasm" -o "$out/rust.wasm"
fi
if command -v "$python" >/dev/null; then
  (cd "$here/python" && "$python" -d ../wit -w labels componentize app -o "$out/python.wasm")
fi
ls -l "$out"/*.wasm
