#!/usr/bin/env bash
# Packs a model, turns it into C, builds firmware for a Cortex-M4F and prints what it takes of flash and RAM.
#   build.sh MODEL.tflite OUT_DIR [IMAGE.bin]
# IMAGE.bin: raw bytes of the model's input; then the firmware also runs, in QEMU's model of an Arm MPS2 board.
# WEIGHTS: flash (default) keeps the weights there, memory copies them into RAM at start.
# Needs: wabt (wasm2c), gcc-arm-none-eabi, libnewlib-arm-none-eabi; to run: qemu-system-arm. THIMBLE: the command to
# pack with (default: this checkout's, after npm ci).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
model=$1 out=$2 image=${3:-}
mkdir -p "$out"

${THIMBLE:-node "$here/../../dist/cli.js"} pack "$model" -o "$out/model.wasm" --variant scalar --weights "${WEIGHTS:-flash}" --header "$out/model_thimble.h"
wasm2c "$out/model.wasm" -n model -o "$out/model.c"

prefix=$(sed -n 's/^#define \(.*\)_MEMORY_PAGES .*/\1/p' "$out/model_thimble.h")
include=$(dirname "$(find /usr/include /usr/local/include -name wasm-rt.h -print -quit)")
cp "$include/wasm-rt.h" "$out/"
# Sums stay chains of multiply-adds (-fno-tree-reassoc): one instruction a product.
# The module is our own and its addresses were checked when it was packed: no bounds check on every access, no stack counter.
arm-none-eabi-gcc -mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16 -O2 -std=gnu11 -Wall -Wextra -Wno-unused -ffunction-sections -fno-math-errno -fno-tree-reassoc \
  -DMODEL="$prefix" -DNDEBUG -DWASM_RT_MEMCHECK_SIGNAL_HANDLER=1 -DWASM_RT_SKIP_SIGNAL_RECOVERY=1 -DWASM_RT_USE_STACK_DEPTH_COUNT=0 \
  -I"$out" -I"$here" "$here/main.c" "$here/board.c" "$here/wasm_rt.c" "$out/model.c" \
  -nostartfiles --specs=nano.specs -Wl,--gc-sections -Wl,-T,"$here/board.ld" -Wl,-Map,"$out/firmware.map" -lm -o "$out/firmware.elf"

# bytes LINE-START: size of a section in the map file; a long name stands on a line of its own.
bytes() {
  local hex
  hex=$(awk -v name="$1" 'index($0 " ", name " ") == 1 { if (NF == 1) { getline; size = $2 } else size = $3 } END { print size }' "$out/firmware.map")
  echo $((${hex:-0}))
}
code=$(($(bytes '.vectors') + $(bytes '.text'))) constants=$(bytes '.rodata') data=$(bytes '.data') bss=$(bytes '.bss') stack=$(bytes '.stack')
memory=$(bytes ' .bss.linear_memory')
echo "flash $((code + constants + data)) bytes: code $code, weights and plan $constants, initialised data $data"
echo "RAM   $((data + bss + stack)) bytes: linear memory $memory, other $((data + bss - memory)), stack $stack"

if [ -n "$image" ]; then
  cp "$image" "$out/input.bin"
  (cd "$out" && timeout 120 qemu-system-arm -M mps2-an386 -display none -icount shift=0 -semihosting-config enable=on,target=native -kernel firmware.elf)
fi
