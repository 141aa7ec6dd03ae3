#!/usr/bin/env bash
# wamr.sh OUT [fast|classic]: the host with one of WAMR's interpreters, whose sources the crate wamr-sys has.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/src" && touch "$work/src/lib.rs"
printf '[package]\nname = "sources"\nversion = "0.1.0"\n[dependencies]\nwamr-sys = "=0.1.1"\n' >"$work/Cargo.toml"
(cd "$work" && cargo fetch --quiet)
core=$(echo "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/wamr-sys-0.1.1/wasm-micro-runtime/core)
iwasm=$core/iwasm shared=$core/shared
interpreter=${2:-fast}
fast=$([ "$interpreter" = fast ] && echo 1 || echo 0)
cc -O1 -w -DSIGNATURE=,NULL -D_GNU_SOURCE -DBUILD_TARGET_X86_64 -DBH_PLATFORM_LINUX -DWASM_ENABLE_INTERP=1 -DWASM_ENABLE_FAST_INTERP="$fast" \
  -DWASM_ENABLE_BULK_MEMORY=1 -DWASM_ENABLE_LOG=1 -DWASM_ENABLE_LIBC_BUILTIN=1 -DWASM_DISABLE_HW_BOUND_CHECK=1 \
  -DBH_MALLOC=wasm_runtime_malloc -DBH_FREE=wasm_runtime_free \
  -I"$core" -I"$iwasm"/include -I"$iwasm"/common -I"$iwasm"/interpreter -I"$iwasm"/libraries/libc-builtin -I"$shared"/platform/include \
  -I"$shared"/platform/linux -I"$shared"/utils -I"$shared"/mem-alloc -I"$shared"/mem-alloc/ems \
  "$here"/wamr.c "$iwasm"/common/wasm_{exec_env,memory,native,runtime_common}.c "$iwasm"/common/arch/invokeNative_general.c \
  "$iwasm"/interpreter/wasm_{interp_"$interpreter",loader,runtime}.c "$iwasm"/libraries/libc-builtin/libc_builtin_wrapper.c \
  "$shared"/mem-alloc/*.c "$shared"/mem-alloc/ems/*.c "$shared"/utils/bh_*.c "$shared"/utils/runtime_timer.c \
  "$shared"/platform/linux/*.c "$shared"/platform/common/posix/*.c -lm -lpthread -o "$1"
