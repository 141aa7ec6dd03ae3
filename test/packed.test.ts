import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import fc from 'fast-check'
import { ThimbleError } from '../src/base/errors.ts'
import { sums } from '../src/formats/packed-frame.ts'
import { writePacked } from '../src/formats/packed-write.ts'
import { readPacked } from '../src/formats/packed.ts'
import { readTflite } from '../src/formats/tflite.ts'
import type { Graph } from '../src/graph/graph.ts'
import { arbitraryGraph } from './arbitrary-graph.ts'
import { equalGraphs, smallModels } from './small-models.ts'
import { recordedNetworks } from './recorded.ts'
import { equalBytes, errorCode, refusal } from './util.ts'

/**
 * The file with its header's JSON replaced and size, offsets and checksum put right: what a hostile writer would make.
 */
function reseal(bytes: Uint8Array, change: (header: any) => unknown): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  const headerBytes = view.getUint32(20, true)
  const data = bytes.subarray(view.getUint32(24, true))
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(32, 32 + headerBytes)))
  const changed = change(header)
  const json = new TextEncoder().encode(typeof changed === 'string' ? changed : JSON.stringify(changed ?? header))
  const start = Math.ceil((32 + json.length) / 16) * 16
  const out = new Uint8Array(start + data.length).fill(0x20)
  const to = new DataView(out.buffer)
  out.set(bytes.subarray(0, 32))
  out.set(json, 32)
  out.set(data, start)
  to.setUint32(16, out.length, true)
  to.setUint32(20, json.length, true)
  to.setUint32(24, start, true)
  to.setUint32(12, sums(out).checksum, true)
  return out
}

test('arbitrary graphs come back exactly, and pack to the same bytes again', () => {
  fc.assert(
    fc.property(arbitraryGraph(), (graph) => {
      const bytes = writePacked(graph)
      const back = readPacked(bytes)
      equalGraphs(back, graph, 'graph')
      equalBytes(writePacked(back), bytes, 'packed again')
    }),
    { numRuns: 300 },
  )
})

test('every float32 scale survives', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.float({ min: 0, noNaN: true, noDefaultInfinity: true }).map((x) => Math.abs(x)),
        { minLength: 1, maxLength: 20 },
      ),
      (scales) => {
        const { graph } = smallModels()[0]!
        graph.tensors.push({
          name: 'q',
          shape: [scales.length],
          dtype: 'int8',
          quantization: { scales: Float32Array.from(scales), zeroPoints: new Int32Array(scales.length), axis: 0 },
        })
        const back = readPacked(writePacked(graph)).tensors.at(-1)!.quantization!.scales
        scales.forEach((s, i) => assert.ok(Object.is(back[i], s), `${s}`))
      },
    ),
    { numRuns: 500 },
  )
})

test('the layout that the head of packed.ts describes', () => {
  const { graph } = smallModels()[0]!
  graph.metadata = { name: 'm', labels: ['a', 'b'] }
  const bytes = writePacked(graph)
  const view = new DataView(bytes.buffer)
  assert.is(new TextDecoder().decode(bytes.subarray(0, 7)), 'THIMBLE')
  assert.equal([bytes[7], view.getUint32(8, true), view.getUint32(28, true)], [0x1a, 2, 0])
  assert.is(view.getUint32(16, true), bytes.length)
  assert.is(bytes.length % 16, 0)
  assert.is(view.getUint32(12, true), sums(bytes).checksum)
  const data = view.getUint32(24, true)
  assert.is(data, Math.ceil((32 + view.getUint32(20, true)) / 16) * 16)
  for (const t of readPacked(bytes).tensors) {
    if (t.data) assert.is((t.data.byteOffset - bytes.byteOffset) % 16, 0, t.name)
  }
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(32, data)))
  assert.equal(Object.keys(header), ['inputs', 'metadata', 'ops', 'outputs', 'tensors'])
})

test('equal constants are stored once; key order does not matter', () => {
  const { graph } = smallModels()[0]!
  const first = graph.tensors.findIndex((t) => t.data && t.data.length > 200)
  const second = graph.tensors.push({ ...graph.tensors[first]!, data: graph.tensors[first]!.data!.slice() }) - 1
  const { tensors } = readPacked(writePacked(graph))
  assert.is(tensors[second]!.data!.byteOffset, tensors[first]!.data!.byteOffset)
  graph.metadata = { name: 'n', license: 'MIT', extra: { a: 1, b: [{ c: 1, d: 2 }] } }
  const one = writePacked(graph)
  graph.metadata = { extra: { b: [{ d: 2, c: 1 }], a: 1 }, license: 'MIT', name: 'n' }
  graph.ops = graph.ops.map((op) => ({ ...op, attrs: Object.fromEntries(Object.entries(op.attrs).reverse()) }) as never)
  equalBytes(writePacked(graph), one, 'packed')
})

test('a file at an odd place in memory reads the same', () => {
  const { graph } = smallModels()[1]!
  const bytes = writePacked(graph)
  const outer = new Uint8Array(bytes.length + 7)
  outer.set(bytes, 3)
  equalGraphs(readPacked(outer.subarray(3, 3 + bytes.length)), graph, 'graph')
})

test('every single bit of the file matters', () => {
  const bytes = writePacked(smallModels()[2]!.graph)
  for (let bit = 0; bit < 8 * bytes.length; bit++) {
    bytes[bit >> 3]! ^= 1 << (bit & 7)
    const got = errorCode(() => readPacked(bytes))
    assert.ok(got === 'format/packed' || got === 'format/version', `bit ${bit}: ${got}`)
    bytes[bit >> 3]! ^= 1 << (bit & 7)
  }
  assert.is(
    errorCode(() => readPacked(bytes)),
    'no error',
  )
})

test('every truncation, and bytes after the end', () => {
  const bytes = writePacked(smallModels()[2]!.graph)
  for (let n = 0; n < bytes.length; n++) {
    assert.is(
      errorCode(() => readPacked(bytes.subarray(0, n))),
      'format/packed',
      `${n} bytes`,
    )
  }
  for (const n of [1, 15, 16, 4096]) {
    const longer = new Uint8Array(bytes.length + n)
    longer.set(bytes)
    assert.is(
      errorCode(() => readPacked(longer)),
      'format/packed',
    )
  }
})

test("a size that is not the file's, with a checksum that holds", () => {
  const whole = writePacked(smallModels()[0]!.graph)
  for (const [length, said] of [
    [whole.length, whole.length + 16],
    [whole.length, whole.length - 16],
    [whole.length + 8, whole.length + 8],
    [whole.length + 16, whole.length],
  ] as const) {
    const bytes = new Uint8Array(length)
    bytes.set(whole)
    const view = new DataView(bytes.buffer)
    view.setUint32(16, said, true)
    // Blocks of 16 bytes are what is summed: the checksum of another length is of no use.
    if (length % 16 === 0) view.setUint32(12, sums(bytes).checksum, true)
    assert.match(refusal(() => readPacked(bytes)).message, /packed file of a wrong size/, `${length}, ${said}`)
  }
})

/** What is done to a header, and the error that it ends in. */
const BROKEN_HEADERS: [string, (h: any) => unknown][] = [
  ['format/packed-header', () => '{'],
  ['format/packed-header', () => '[]'],
  ['format/packed-header', () => 'null'],
  ['format/packed-header', () => '{}'],
  ['format/packed-header', () => '['.repeat(200_000)],
  ['format/packed-header', (h) => void delete h.tensors],
  ['format/packed-header', (h) => void (h.tensors[0] = 7)],
  ['format/packed-header', (h) => void (h.tensors[0].dtype = 'int4')],
  ['format/packed-header', (h) => void (h.tensors[0].dtype = '__proto__')],
  ['format/packed-header', (h) => void (h.tensors[0].name = 5)],
  ['format/packed-header', (h) => void (h.tensors[0].shape = [1.5])],
  ['format/packed-header', (h) => void (h.tensors.find((t: any) => t.data !== undefined).data = 1 << 30)],
  ['format/packed-header', (h) => void (h.tensors.find((t: any) => t.data !== undefined).data = 8)],
  ['format/packed-header', (h) => void (h.tensors.find((t: any) => t.data !== undefined).data = -16)],
  [
    'format/packed-header',
    (h) => void (h.tensors.find((t: any) => t.quantization?.count).quantization.count = 2 ** 31),
  ],
  ['format/packed-header', (h) => void (h.tensors[0].quantization.zeroPoint = 2 ** 40)],
  ['format/packed-header', (h) => void (h.tensors[0].quantization.scale = '1')],
  ['format/packed-header', (h) => void (h.ops[0].type = 'LSTM')],
  ['format/packed-header', (h) => void (h.ops[0].type = 'toString')],
  ['format/packed-header', (h) => void (h.ops[0].type = 'UNSUPPORTED')],
  ['format/packed-header', (h) => void (h.ops[0].attrs = null)],
  ['format/packed-header', (h) => void (h.inputs = 'x')],
  ['format/packed-header', (h) => void (h.outputs = [null])],
  ['format/quantization', (h) => void (h.tensors[0].quantization.scale = 1e39)],
  ['format/quantization', (h) => void (h.tensors[0].quantization.zeroPoint = 1000)],
  ['format/quantization', (h) => void (h.tensors[0].quantization.axis = 9)],
  ['format/shape', (h) => void (h.tensors[0].shape = [65536, 65536])],
  ['format/shape', (h) => void (h.tensors[0].shape = [-1])],
  ['format/shape', (h) => void (h.tensors[0].shape = new Array(40).fill(1))],
  ['format/op-attribute', (h) => void (h.ops[0].attrs.strideH = 0)],
  ['format/op-attribute', (h) => void (h.ops[0].attrs.padding = 'FULL')],
  ['format/op-attribute', (h) => void delete h.ops[0].attrs.activation],
  ['format/op-operands', (h) => void h.ops[0].inputs.push(0, 0)],
  ['format/tensor-index', (h) => void (h.ops[0].inputs[0] = 1e6)],
  ['format/order', (h) => void h.ops.reverse()],
  ['format/written-twice', (h) => void h.ops.push(h.ops[0])],
  ['format/inputs', (h) => void (h.inputs = [])],
  ['format/metadata', (h) => void (h.metadata = [])],
  ['format/metadata', (h) => void (h.metadata.labels = 'cat')],
  ['format/metadata', (h) => void (h.metadata.labels = [1])],
  ['format/metadata', (h) => void (h.metadata.name = {})],
  ['format/metadata', (h) => void (h.metadata.task = 'hacking')],
  [
    'format/metadata',
    (h) => void (h.metadata.preprocess = { fit: 'crop', method: 'bilinear', channels: 'rgb', mean: [0], std: [0] }),
  ],
]

test('well-sealed files with a wrong header', () => {
  const bytes = writePacked({ ...smallModels()[0]!.graph, metadata: { name: 'x' } })
  assert.is(
    errorCode(() => readPacked(reseal(bytes, (h) => h))),
    'no error',
  )
  BROKEN_HEADERS.forEach(([expected, change], i) =>
    assert.is(
      errorCode(() => readPacked(reseal(bytes, change))),
      expected,
      `row ${i}: ${change}`,
    ),
  )
})

test('what cannot be stored is named, all of it', () => {
  const { graph } = smallModels()[0]!
  const bad: Graph = {
    ...graph,
    ops: graph.ops.map((op, i) =>
      i === 1 || i === 3 ? { ...op, type: 'UNSUPPORTED', attrs: { name: `ODD_${i}` } } : op,
    ),
  }
  try {
    writePacked(bad)
    assert.unreachable()
  } catch (error) {
    assert.instance(error, ThimbleError)
    assert.match((error as ThimbleError).message, /format\/unsupported-op.*ODD_1 at op 1, ODD_3 at op 3/)
  }
  assert.is(
    errorCode(() => writePacked({ ...graph, inputs: [99999] })),
    'format/tensor-index',
    'nothing is written that would not read',
  )
})

test('networks come back exactly', () => {
  for (const { name, path } of recordedNetworks) {
    const graph = readTflite(new Uint8Array(readFileSync(path)))
    const bytes = writePacked(graph)
    equalGraphs(readPacked(bytes), graph, name)
    equalBytes(writePacked(readPacked(bytes)), bytes, name)
  }
})

test.run()
