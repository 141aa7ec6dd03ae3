/** C header of a packed module, written from the same metadata as its `thimble.meta` section. */
import type { DType } from '../graph/graph.ts'
import { crc32 } from '../base/scan.ts'
import type { ModuleMeta, SizedTensor } from './meta.ts'

const C_TYPES: Partial<Record<DType, string>> = {
  int8: 'int8_t',
  uint8: 'uint8_t',
  bool: 'uint8_t',
  int16: 'int16_t',
  uint16: 'uint16_t',
  int32: 'int32_t',
  uint32: 'uint32_t',
  int64: 'int64_t',
  uint64: 'uint64_t',
  float32: 'float',
  float64: 'double',
  float16: 'uint16_t',
}

/** A float32 as a C literal that reads back to the same bits. */
const float = (x: number): string => {
  const text = String(Number(Math.fround(x).toPrecision(9)))
  return `${/[.e]/.test(text) ? text : `${text}.0`}f`
}

/** One line that cannot end a C comment. */
const comment = (text: string): string =>
  text
    .replace(/[\u0000-\u001f\u007f\\]+/g, ' ')
    .replace(/\*\//g, '* /')
    .replace(/\/\*/g, '/ *')
    .trim()

/**
 * C string literal of UTF-8 text; anything but printable ASCII as three octal digits, so no escape runs into the next
 * character.
 */
const literal = (text: string): string =>
  `"${[...new TextEncoder().encode(text)].map((b) => (b < 0x20 || b > 0x7e || b === 0x22 || b === 0x5c || b === 0x3f ? `\\${b.toString(8).padStart(3, '0')}` : String.fromCharCode(b))).join('')}"`

/**
 * `MobileNet v1 0.25` -> `MOBILENET_V1_0_25`. Names with other letters than C's get their checksum, so that two of them
 * do not share a prefix.
 */
export const macroPrefix = (name: string): string => {
  const bytes = new TextEncoder().encode(name)
  const foreign = bytes.some((b) => b > 127) ? `_${crc32(bytes).toString(16).toUpperCase().padStart(8, '0')}` : ''
  const upper = name
    .toUpperCase()
    .replace(/[^A-Z0-9]+/g, '_')
    .replace(/^_+|_+$/g, '')
  return `${/^[A-Z]/.test(upper) ? upper : `MODEL_${upper}`.replace(/_$/, '')}${foreign}`
}

const STATUS = `#ifndef THIMBLE_ABI_VERSION
/* thimble_abi() returns this. */
#define THIMBLE_ABI_VERSION 1

/* What thimble_invoke() and thimble_reset() return. */
#define THIMBLE_OK 0
/* The module holds no program, or one of another version. */
#define THIMBLE_NO_PROGRAM 1
/* The program needs a kernel that is not in this module. */
#define THIMBLE_BAD_OPCODE 2
/* An index that the model computed is outside of the tensor that it picks from. */
#define THIMBLE_BAD_INDEX 4
/* The engine's relaxed dot product is of another kind than the module needs: the outputs would be wrong. */
#define THIMBLE_INEXACT 5
#endif`

function tensor(prefix: string, t: SizedTensor): string[] {
  const elements = t.shape.reduce((a, b) => a * b, 1)
  const lines = [
    `/* ${comment(t.name)}: ${t.dtype} [${t.shape.join(', ')}]${t.scale ? `, real = scale * (q - zero point)` : ''} */`,
    `#define ${prefix}_BYTES ${t.bytes}u`,
    `#define ${prefix}_ELEMENTS ${elements}u`,
    `#define ${prefix}_TYPE ${C_TYPES[t.dtype] ?? 'uint8_t'}`,
    `#define ${prefix}_RANK ${t.shape.length}`,
    `#define ${prefix}_SHAPE {${t.shape.join(', ')}}`,
  ]
  t.shape.forEach((d, i) => lines.push(`#define ${prefix}_DIM${i} ${d}`))
  if (t.scale) lines.push(`#define ${prefix}_SCALE ${float(t.scale)}`, `#define ${prefix}_ZERO_POINT (${t.zeroPoint})`)
  return [...lines, '']
}

function preprocessing(meta: ModuleMeta): string[] {
  const p = meta.preprocess
  if (!p) return []
  return [
    `/* Preprocessing: ${p.fit}, ${p.method}, ${p.channels}; real = (pixel - mean) / std with mean ${p.mean.join(' ')}, std ${p.std.join(' ')};`,
    '   then q = real / scale + zero point. */',
    '',
  ]
}

function labels(prefix: string, meta: ModuleMeta): string[] {
  if (!meta.labels?.length) return []
  return [
    `#define ${prefix}_LABEL_COUNT ${meta.labels.length}`,
    `#ifdef ${prefix}_WANT_LABELS /* define before including: the table takes flash */`,
    `static const char *const ${prefix.toLowerCase()}_labels[${prefix}_LABEL_COUNT] = {`,
    ...meta.labels.map((l) => `  ${literal(l)},`),
    '};',
    '#endif',
    '',
  ]
}

const usage = (prefix: string, wasm: string): string[] => [
  '',
  'One inference, whatever the engine:',
  '  1. instantiate the module (it imports nothing; its memory is fixed);',
  '  2. check thimble_abi() == THIMBLE_ABI_VERSION;',
  `  3. copy ${prefix}_INPUT0_BYTES bytes to memory + thimble_input_ptr(0);`,
  '  4. thimble_invoke() == THIMBLE_OK;',
  `  5. read ${prefix}_OUTPUT0_BYTES bytes at memory + thimble_output_ptr(0).`,
  'A model with state (streaming, recurrent) carries it from invoke to invoke; thimble_reset() == THIMBLE_OK begins anew.',
  'Write the inputs before every invoke: their memory is reused. Tensors are row-major and little endian.',
  'thimble_input_bytes(i) and thimble_output_bytes(i) are 0 from the number of inputs or outputs on.',
  'memory is m3_GetMemory() in wasm3, wasm_runtime_addr_app_to_native() in WAMR, Z_modelZ_memory(&m)->data in wasm2c output.',
  `Plain C for a microcontroller: wasm2c ${wasm} -n model -o model.c`,
]

/** What a module asks of the engine that not every engine has. */
export const SIGNED_DOT =
  'right only on engines whose relaxed dot product is signed (arm64); thimble_invoke() returns THIMBLE_INEXACT elsewhere'

/**
 * Header text. Shapes, types, quantization, memory, status codes, labels on request. `wasm` is the module's file name,
 * for the usage comment; `name` is what the macros begin with, default the model's name.
 */
export function cHeader(meta: ModuleMeta, wasm: string, name = meta.name, signedDot = false): string {
  const prefix = macroPrefix(name)
  const about = [
    `${meta.name}: ${meta.variant} module ${wasm}`,
    meta.description,
    meta.license && `Licence of the weights: ${meta.license}`,
    meta.source && `Source: ${meta.source}`,
    signedDot && `WARNING: ${SIGNED_DOT}`,
  ]
  return [
    `/* ${about
      .filter(Boolean)
      .map((l) => comment(String(l)))
      .join('\n   ')}`,
    ...usage(prefix, comment(wasm)).map((l) => (l ? `   ${l}` : '')),
    '*/',
    `#ifndef THIMBLE_${prefix}_H`,
    `#define THIMBLE_${prefix}_H`,
    '',
    '#include <stdint.h>',
    '',
    STATUS,
    '',
    '/* Linear memory: pages declared, bytes used (everything below __heap_base), and what they are. */',
    `#define ${prefix}_MEMORY_PAGES ${meta.memoryPages}u`,
    `#define ${prefix}_MEMORY_BYTES ${meta.memoryBytes}u`,
    `#define ${prefix}_WEIGHT_BYTES ${meta.weightBytes}u`,
    `#define ${prefix}_ARENA_BYTES ${meta.arenaBytes}u`,
    '',
    `#define ${prefix}_INPUT_COUNT ${meta.inputs.length}`,
    `#define ${prefix}_OUTPUT_COUNT ${meta.outputs.length}`,
    '',
    ...meta.inputs.flatMap((t, i) => tensor(`${prefix}_INPUT${i}`, t)),
    ...meta.outputs.flatMap((t, i) => tensor(`${prefix}_OUTPUT${i}`, t)),
    ...preprocessing(meta),
    ...labels(prefix, meta),
    '#endif',
    '',
  ].join('\n')
}
