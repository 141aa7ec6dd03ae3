/**
 * Small parts of readers and writers against what they are defined to be: metadata field by field, archives at every
 * place in a file, what a graph implies, how kinds of files are told apart, numbers in files at their limits.
 */
import { crc32 } from 'node:zlib'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { i8 } from '../src/formats/flatbuffer-build.ts'
import { FlatBuffer, type Table } from '../src/formats/flatbuffer.ts'
import { type Format, sniffFormat } from '../src/formats/index.ts'
import { addImplied } from '../src/formats/implied.ts'
import { readMetadata } from '../src/formats/metadata.ts'
import { labelArchive, metadataBuffers } from '../src/formats/metadata-write.ts'
import { openFrame, peekFrame, sums, writeFrame } from '../src/formats/packed-frame.ts'
import { readProgram } from '../src/formats/packed-program.ts'
import { writePacked } from '../src/formats/packed-write.ts'
import { fromLeb128, runSteps, toLeb128 } from '../src/formats/programs.ts'
import { readTflite } from '../src/formats/tflite.ts'
import { ultralyticsMetadata } from '../src/formats/ultralytics.ts'
import { readZipFile } from '../src/formats/zip.ts'
import type { Graph, Metadata } from '../src/graph/graph.ts'
import { withPrograms } from '../src/plan/record.ts'
import { rawTflite, type RawTensor } from './raw-tflite.ts'
import { GraphBuilder, smallModels } from './small-models.ts'
import { errorCode, refusal, rng } from './util.ts'

const text = (s: string): Uint8Array => new TextEncoder().encode(s)
const read = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

// Metadata --------------------------------------------------------------------

/** x, one or two of them, to y. */
function graphWith(metadata: Metadata, inputs = 1, outputs = 1): Graph {
  const b = new GraphBuilder(1)
  const xs = Array.from({ length: inputs }, () => b.input([1, 4, 4, 3]))
  const ys = Array.from({ length: outputs }, () =>
    b.op('ADD', [xs[0]!, xs.at(-1)!], [b.tensor([1, 4, 4, 3], 'int8', 0.1, 3)], { activation: 'NONE' }),
  )
  const graph = b.done(...ys)
  graph.metadata = metadata
  return graph
}

const pixels = (channels: 'gray' | 'rgb' | 'bgr', mean: number[], std: number[]) =>
  ({ fit: 'stretch', method: 'bilinear-fast', channels, mean, std }) as const

const fileOf = (graph: Graph, name: string): Uint8Array | undefined =>
  metadataBuffers(graph).find((b) => b.name === name)?.data

test("TFLite's metadata as the schema has it: every slot", () => {
  const all = { name: 'n', description: 'd', version: '2', author: 'a', license: 'MIT' }
  for (const [channels, color] of [
    ['rgb', 1],
    ['bgr', 1],
    ['gray', 2],
  ] as const) {
    const graph = graphWith(
      { ...all, labels: ['cat', 'dog'], preprocess: pixels(channels, [1, 2, 3], [4, 5, 6]) },
      2,
      2,
    )
    const root = new FlatBuffer(fileOf(graph, 'TFLITE_METADATA')!, 'metadata').root('M001')
    const strings = [0, 1, 2, 4, 5, 7].map((slot) => root.string(slot, ''))
    assert.equal(strings, ['n', 'd', '2', 'a', 'MIT', '1.0.0'])
    const subgraphs = root.tables(3, '', 9)
    assert.is(subgraphs.length, 1)
    const [inputs, outputs] = [2, 3].map((slot) => subgraphs[0]!.tables(slot, '', 9)) as [Table[], Table[]]
    const names = (tables: readonly Table[]): unknown[] => tables.map((t) => t.string(0, ''))
    assert.equal(
      [names(inputs), names(outputs)],
      [graph.inputs, graph.outputs].map((list) => list.map((t) => graph.tensors[t]!.name)),
    )
    // ContentProperties: 2 is an image, whose color space is 1 for RGB and 2 for gray; 1 is a feature.
    const content = inputs[0]!.table(3, '')!
    assert.equal([content.uint8(0), content.table(1, '')!.int8(0)], [2, color])
    const [unit, ...more] = inputs[0]!.tables(4, '', 9)
    assert.is(more.length, 0)
    // ProcessUnitOptions: 1 is a normalization.
    assert.is(unit!.uint8(0), 1)
    const options = unit!.table(1, '')!
    assert.equal(
      [options.float32s(0, '', 9), options.float32s(1, '', 9)].map((v) => [...v!]),
      [
        [1, 2, 3],
        [4, 5, 6],
      ],
    )
    assert.equal([inputs[1]!.table(3, ''), inputs[1]!.tables(4, '', 9)], [undefined, []])
    outputs.forEach((o, i) => {
      assert.is(o.table(3, '')!.uint8(0), 1)
      const files = o.tables(6, '', 9)
      // AssociatedFileType 2: labels of an axis.
      assert.equal(
        files.map((f) => [f.string(0, ''), f.int8(2)]),
        i === 0 ? [['labels.txt', 2]] : [],
      )
    })
  }
  const bare = new FlatBuffer(fileOf(graphWith({ name: 'n' }), 'TFLITE_METADATA')!, 'metadata').root('M001')
  assert.equal(
    [1, 2, 4, 5].map((slot) => bare.string(slot, '')),
    [undefined, undefined, undefined, undefined],
  )
  assert.is(bare.tables(3, '', 9)[0]!.tables(2, '', 9)[0]!.table(3, ''), undefined)
})

test('metadata is written where a model says more of itself than a description', () => {
  assert.equal(metadataBuffers(graphWith({})), [])
  assert.equal(metadataBuffers(graphWith({ description: 'd' })), [])
  assert.equal(
    metadataBuffers(graphWith({ description: 'd', name: 'n' })).map((b) => b.name),
    ['TFLITE_METADATA', 'THIMBLE_METADATA'],
  )
})

test('labels: in the archive if its lines give them back, else in the JSON as well', () => {
  const cases: [string[] | undefined, archived: boolean, inJson: boolean][] = [
    [undefined, false, false],
    [[], false, true],
    [['cat', 'dog'], true, false],
    [['cat'], true, false],
    [['cat', 'do\ng'], false, true],
    [['cat\r', 'dog'], false, true],
    [['cat', ''], false, true],
    [['0 cat', '1 dog'], true, true],
    [[' cat', 'dog '], true, true],
  ]
  for (const [labels, archived, inJson] of cases) {
    const what = JSON.stringify(labels)
    const metadata: Metadata = { name: 'n', ...(labels ? { labels } : {}) }
    const archive = labelArchive(metadata)
    assert.is(archive.length > 0, archived, what)
    const json = JSON.parse(read(fileOf(graphWith(metadata), 'THIMBLE_METADATA')!)) as Metadata
    assert.equal(json, inJson ? metadata : { name: 'n' }, what)
    if (!archived) continue
    assert.is(read(readZipFile(archive, 'labels.txt')!), labels!.map((l) => `${l}\n`).join(''), what)
    // Stored, at a fixed time: 1980-01-01, 0:00.
    const view = new DataView(archive.buffer, archive.byteOffset, archive.byteLength)
    assert.equal([view.getUint16(8, true), view.getUint16(10, true), view.getUint16(12, true)], [0, 0, 0x21], what)
    assert.ok(read(archive).includes(labels!.join('\n')), 'stored as it is')
  }
})

// Archives --------------------------------------------------------------------

/** An archive of one stored file, in which any number may be another. */
function archiveOf(name: string, data: Uint8Array, comment: Uint8Array = new Uint8Array(0)): Uint8Array {
  const bytes = new Uint8Array(30 + name.length + data.length + 46 + name.length + 22 + comment.length)
  const view = new DataView(bytes.buffer)
  const directory = 30 + name.length + data.length
  const end = directory + 46 + name.length
  view.setUint32(0, 0x04034b50, true)
  view.setUint16(26, name.length, true)
  bytes.set(text(name), 30)
  bytes.set(data, 30 + name.length)
  view.setUint32(directory, 0x02014b50, true)
  view.setUint32(directory + 16, crc32(data), true)
  view.setUint32(directory + 20, data.length, true)
  view.setUint32(directory + 24, data.length, true)
  view.setUint16(directory + 28, name.length, true)
  bytes.set(text(name), directory + 46)
  view.setUint32(end, 0x06054b50, true)
  view.setUint16(end + 10, 1, true)
  view.setUint32(end + 12, end - directory, true)
  view.setUint32(end + 16, directory, true)
  view.setUint16(end + 20, comment.length, true)
  bytes.set(comment, end + 22)
  return bytes
}

test('archives: the end is the last record whose comment reaches the end of the file', () => {
  const data = text('cat\ndog\n')
  const found = (bytes: Uint8Array): string | undefined => {
    const file = readZipFile(bytes, 'l.txt')
    return file && read(file)
  }
  for (const length of [0, 1, 21, 22, 100, 65_535]) {
    for (const fill of [0, 0x50, 0x20]) {
      const comment = new Uint8Array(length).fill(fill)
      assert.is(found(archiveOf('l.txt', data, comment)), 'cat\ndog\n', `${length} of ${fill}`)
    }
  }
  // A comment that looks like an end whose own comment does not fit is none.
  const false_ = new Uint8Array(40)
  new DataView(false_.buffer).setUint32(3, 0x06054b50, true)
  assert.is(found(archiveOf('l.txt', data, false_)), 'cat\ndog\n')
  const whole = archiveOf('l.txt', data)
  for (const [what, bytes] of [
    ['nothing', new Uint8Array(0)],
    ['less than an end', whole.subarray(whole.length - 21)],
    ['a byte behind the end', Uint8Array.of(...whole, 0)],
    ['a byte less', whole.subarray(0, -1)],
    ['letters', new Uint8Array(70_000).fill(0x50)],
  ] as const) {
    assert.is(found(bytes), undefined, what)
  }
  // An end and nothing else: an archive of no files.
  const empty = new Uint8Array(22)
  new DataView(empty.buffer).setUint32(0, 0x06054b50, true)
  assert.is(found(empty), undefined)
  assert.is(found(Uint8Array.of(1, 2, 3, ...whole)), 'cat\ndog\n', 'appended to something')
  assert.is(readZipFile(whole, 'l.tx'), undefined)
  assert.is(readZipFile(whole, 'l.txtt'), undefined)
  assert.is(readZipFile(whole, 'k.txt'), undefined)
})

test('archives: every number that leads outside, or says something else, is refused', () => {
  const data = text('cat\ndog\n')
  const whole = archiveOf('l.txt', data)
  const directory = 35 + data.length
  const end = directory + 51
  const set = (at: number, value: number, width: 2 | 4 = 4): Uint8Array => {
    const bytes = whole.slice()
    const view = new DataView(bytes.buffer)
    if (width === 2) view.setUint16(at, value, true)
    else view.setUint32(at, value, true)
    return bytes
  }
  const cases: [string, Uint8Array, RegExp][] = [
    ['a directory larger than what is before it', set(end + 12, end + 1), /impossible offset/],
    ['a directory that begins behind where it is', set(end + 16, directory + 1), /impossible offset/],
    ['a directory of something else', set(directory, 7), /damaged directory/],
    ['a directory that is cut', set(end + 12, 45), /damaged directory/],
    ['an encrypted file', set(directory + 8, 1, 2), /encrypted/],
    ['another compression', set(directory + 10, 9, 2), /unknown compression/],
    ['a size above the limit', set(directory + 24, (16 << 20) + 1), /too large/],
    ['stored with another size', set(directory + 24, 7), /impossible size/],
    ['more bytes than the archive has', set(directory + 20, end), /impossible size/],
    ['a file elsewhere', set(directory + 42, 1), /damaged file header/],
    ['a file behind the end', set(directory + 42, end - 29), /damaged file header/],
    ['another checksum', set(directory + 16, 1), /checksum/],
    ['a longer name in the file', set(26, 9, 2), /checksum|impossible size/],
  ]
  for (const [what, bytes, message] of cases) {
    const error = refusal(() => readZipFile(bytes, 'l.txt'))
    assert.is(error.code, 'format/zip', what)
    assert.match(error.message, message, what)
  }
  // Flags other than encryption say nothing; names and comments of other entries are passed over.
  assert.is(read(readZipFile(set(directory + 8, 0x0806, 2), 'l.txt')!), 'cat\ndog\n')
  assert.is(readZipFile(set(end + 10, 0, 2), 'l.txt'), undefined, 'an archive that says it has no files')
})

// What a graph implies --------------------------------------------------------

interface Implied {
  shape?: readonly number[]
  users?: number
  dtype?: 'int8' | 'uint8' | 'int16'
  scales?: number
  /** Ops from the input to the output. */
  tail?: ('LOGISTIC' | 'QUANTIZE' | 'DEQUANTIZE' | 'RESHAPE' | 'TANH')[]
  out?: readonly number[]
  metadata?: Metadata
  inputs?: number
}

/** A float image, quantized, then ops to an output. */
function implied(how: Implied): Metadata {
  const { shape = [1, 2, 2, 3], users = 1, dtype = 'int8', scales = 1, tail = [], out = [1, 1] } = how
  const b = new GraphBuilder(1)
  const x = b.tensor(shape, 'float32')
  b.graph.inputs.push(x)
  for (let i = 1; i < (how.inputs ?? 1); i++) b.graph.inputs.push(b.tensor(shape, 'float32'))
  let at = x
  for (let i = 0; i < users; i++) {
    const q = b.tensor(shape, dtype, 1 / 128, 0)
    b.graph.tensors[q]!.quantization = {
      scales: new Float32Array(scales).fill(1 / 128),
      zeroPoints: new Int32Array(scales),
      axis: scales > 1 ? 3 : 0,
    }
    at = b.op('QUANTIZE', [x], [q], {})
  }
  for (const type of tail) at = b.op(type as 'LOGISTIC', [at], [b.tensor(out, 'float32')], {})
  if (tail.length === 0) b.graph.tensors[at]!.shape = out
  b.graph.metadata = how.metadata ?? {}
  const graph = b.done(at)
  addImplied(graph)
  return graph.metadata
}

test('implied: the range of a float image that is quantized at once is that of the quantized tensor', () => {
  const range = (how: Implied): boolean => implied({ out: [1, 5], ...how }).preprocess !== undefined
  assert.ok(range({}))
  const { preprocess, preprocessFrom } = implied({ out: [1, 5] })
  assert.equal(preprocess!.mean, [128])
  assert.equal(preprocess!.std, [128])
  assert.match(preprocessFrom!, /-1 to 1.*; the input is quantized at once$/)
  assert.ok(range({ dtype: 'uint8' }))
  assert.ok(range({ shape: [1, 3, 2, 2] }), 'planes')
  assert.ok(range({ shape: [1, 2, 2, 1] }), 'gray')
  for (const [what, how] of Object.entries<Implied>({
    'nobody quantizes it': { users: 0, tail: ['TANH'] },
    'two quantize it': { users: 2 },
    '16 bits': { dtype: 'int16' },
    'a scale a channel': { scales: 3 },
    'two images': { inputs: 2 },
    'a batch': { shape: [2, 2, 2, 3] },
    'four channels': { shape: [1, 2, 2, 4] },
    'no image': { shape: [1, 4, 3] },
  })) {
    assert.not(range(how), what)
  }
  const own = { preprocess: pixels('rgb', [1], [2]), preprocessFrom: 'the file' }
  assert.equal(implied({ out: [1, 5], metadata: own }), own, 'what the file says stays')
})

test('implied: one number is a probability where a logistic made it, else a logit', () => {
  const scores = (how: Implied): string | undefined => implied(how).scores
  assert.is(scores({ tail: ['LOGISTIC'] }), 'identity')
  assert.is(scores({ tail: ['TANH'] }), 'sigmoid')
  assert.is(scores({ tail: [] }), 'sigmoid')
  const passing = ['QUANTIZE', 'DEQUANTIZE', 'RESHAPE'] as const
  for (const type of passing) assert.is(scores({ tail: ['LOGISTIC', type] }), 'identity', type)
  assert.is(scores({ tail: ['LOGISTIC', 'TANH'] }), 'sigmoid')
  // Up to seven that hand it on are looked through.
  assert.is(scores({ tail: ['LOGISTIC', ...new Array<'RESHAPE'>(7).fill('RESHAPE')] }), 'identity')
  assert.is(scores({ tail: ['LOGISTIC', ...new Array<'RESHAPE'>(8).fill('RESHAPE')] }), 'sigmoid')
  assert.is(scores({ tail: ['LOGISTIC'], out: [1, 2] }), undefined)
  assert.is(scores({ tail: ['LOGISTIC'], out: [] }), 'identity', 'a scalar')
  assert.is(scores({ tail: ['LOGISTIC'], metadata: { scores: 'softmax' } }), 'softmax')
  assert.is(scores({ tail: ['LOGISTIC'], metadata: { task: 'features' } }), undefined)
  const none: Graph = { tensors: [], ops: [], inputs: [], outputs: [], metadata: {} }
  addImplied(none)
  assert.equal(none.metadata, {})
})

// Kinds of files --------------------------------------------------------------

test('kinds of files: each by all of its first bytes, and not by fewer', () => {
  const magics: [Format, number[]][] = [
    ['thimble', [0x54, 0x48, 0x49, 0x4d, 0x42, 0x4c, 0x45]],
    ['gzip', [0x1f, 0x8b]],
    ['zip', [0x50, 0x4b, 3, 4]],
    ['pytorch', [0x80, 2, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9]],
    ['hdf5', [0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a]],
    ['wasm', [0, 0x61, 0x73, 0x6d]],
    ['image', [0xff, 0xd8, 0xff]],
    ['image', [0x89, 0x50, 0x4e, 0x47]],
    ['image', [...text('RIFF')]],
  ]
  for (const [format, magic] of magics) {
    const file = Uint8Array.of(...magic, ...new Uint8Array(300).fill(0x80))
    assert.is(sniffFormat(file), format)
    magic.forEach((_, i) => {
      const other = file.slice()
      other[i]! ^= 0x80
      assert.is(sniffFormat(other), 'unknown', `${format} with another byte ${i}`)
      if (i > 0) assert.is(sniffFormat(file.subarray(0, i)), 'unknown', `${i} bytes of ${format}`)
    })
  }
  const at = (place: number, s: string, length = 600): Uint8Array => {
    const bytes = new Uint8Array(length).fill(0x80)
    bytes.set(text(s), place)
    return bytes
  }
  assert.equal(
    [3, 4, 5].map((p) => sniffFormat(at(p, 'TFL3'))),
    ['unknown', 'tflite', 'unknown'],
  )
  const zip = (place: number, s: string): Format => {
    const bytes = at(place, s)
    bytes.set([0x50, 0x4b, 3, 4])
    return sniffFormat(bytes)
  }
  assert.equal(
    [zip(29, '/version'), zip(30, '/version'), zip(192, '/version'), zip(193, '/version')],
    ['zip', 'pytorch', 'pytorch', 'zip'],
  )
  assert.equal(
    ['/data.pkl', 'archive/', '/versio'].map((s) => zip(40, s)),
    ['pytorch', 'pytorch', 'zip'],
  )
  const json = (...size: number[]): Format => sniffFormat(Uint8Array.of(...size, ...text('{"a":1}')))
  assert.is(json(9, 9, 9, 9, 9, 0, 0, 0), 'safetensors')
  for (const i of [5, 6, 7]) {
    const size = [9, 9, 9, 9, 9, 0, 0, 0]
    size[i] = 1
    assert.is(json(...size), 'unknown')
  }
  for (const version of [0, 1, 20, 21]) {
    const fields = [0x12, 0x1a, 0x22, 0x2a, 0x32, 0x3a, 0x42]
    for (let field = 0; field < 256; field++) {
      const onnx = version >= 1 && version <= 20 && fields.includes(field)
      assert.is(sniffFormat(Uint8Array.of(8, version, field, 0x80)) === 'onnx', onnx, `${version} ${field}`)
    }
  }
  assert.is(sniffFormat(Uint8Array.of(9, 1, 0x12, 0x80)), 'unknown')
  const saved = (place: number, first = 8): Format => {
    const bytes = at(place, 'serve')
    bytes.set([first, 0x80])
    return sniffFormat(bytes)
  }
  assert.equal([saved(10), saved(251), saved(252), saved(10, 9)], ['saved-model', 'saved-model', 'unknown', 'unknown'])
})

test('kinds of files: text by its words', () => {
  const words: [Format, string][] = [
    ['text', 'sixteen letters.'],
    ['unknown', 'fifteen letters'],
    ['unknown', 'sixteen letters\u00e9'],
    ['text', '\n\tlines and tabs, too\r\n'],
    ['git-lfs', ' version https://git-lfs.github.com'],
    ['html', '<html>'],
    ['html', '<HEAD>'],
    ['html', '<body class="a">'],
    ['html', '<?xml version="1.0"?>'],
    ['html', '\ufeff<!doctype html>'],
    ['tfjs', '{"weightsManifest":[]}'],
    ['tfjs', '{ "modelTopology": null }'],
    ['text', '{"a": 1}'],
  ]
  for (const [format, s] of words) assert.is(sniffFormat(text(s)), format, s)
})

// Numbers in files ------------------------------------------------------------

test('LEB128: the shortest form, seven bits a byte, sign in the last', () => {
  const r = rng(31)
  const limits = [0, 6, 7, 13, 14, 20, 21, 27, 28, 31].flatMap((bits) => [2 ** bits, -(2 ** bits)])
  const numbers = [...limits, ...limits.map((n) => n - 1), ...Array.from({ length: 500 }, () => r.int(2 ** 32))]
  for (const value of numbers.map((n) => n | 0)) {
    const want: number[] = []
    let n = BigInt(value)
    while (n < -64n || n > 63n) {
      want.push(Number(n & 127n) | 128)
      n >>= 7n
    }
    want.push(Number(n & 127n))
    assert.equal([...toLeb128(Int32Array.of(value))], want, `${value}`)
    assert.is(fromLeb128(Uint8Array.from(want), 1)[0], value)
    assert.equal([...fromLeb128(Uint8Array.from(want), 2)], [value, 0], 'what is missing counts as zero')
  }
})

test('steps that run: what each does, and those that no encoder wrote', () => {
  const log: unknown[] = []
  // As many parameters as the runtime's have: calls with another number are refused.
  const packer = (name: string, count: number): unknown =>
    Object.defineProperty((...args: number[]) => void log.push([name, ...args.slice(0, count)]), 'length', {
      value: count,
    })
  const runtime = { flip_bytes: packer('flip_bytes', 2), fold_rows: packer('fold_rows', 6) }
  const memory = { set: (bytes: ArrayLike<number>, to?: number) => void log.push([to, ...Array.from(bytes)]) }
  const run = (...steps: number[]): unknown[] => {
    log.length = 0
    runSteps(Int32Array.from(steps), Uint8Array.of(5, 6, 7, 8), { runtime: runtime as never, memory })
    return log.slice()
  }
  assert.equal(run(0, 3, 100, 1, 2), [[100, 6, 7]])
  assert.equal(run(-1, 3, 100, 1, 0x01020304), [[100, 1, 0, 0, 0, 4, 3, 2, 1]])
  assert.equal(run(-2, 3, 100, 2, 258), [[100, 2, 1, 0, 0, 2, 1, 0, 0]])
  assert.equal(run(6, 2, 11, 12), [['flip_bytes', 11, 12]])
  assert.equal(run(4, 6, 1, 2, 3, 4, 5, 6), [['fold_rows', 1, 2, 3, 4, 5, 6]])
  assert.equal(run(6, 2, 1, 2, 0, 3, 9, 0, 1), [
    ['flip_bytes', 1, 2],
    [9, 5],
  ])
  assert.equal(run(), [])
  for (const steps of [
    [6, 3, 1, 2, 3],
    [6, 1, 1],
    [1, 2, 1, 2],
    [99, 1, 1],
    [-3, 1, 1],
    [-1, 4, 1, 2],
    [-1, -1, 1],
  ]) {
    assert.throws(
      () => run(...steps),
      (e: unknown) => e instanceof RangeError,
      steps.join(),
    )
  }
})

test('a program of a file: its numbers as they are, or none', () => {
  const stored = withPrograms(smallModels()[0]!.graph)
  const frame = openFrame(writePacked(stored))
  const programs = frame.header.programs as Record<string, number>[]
  const target = programs[0]!.for as unknown as string
  const ready = readProgram(frame, target)!
  assert.is(ready.program.steps.length, programs[0]!.count)
  assert.equal(
    [ready.inputs, ready.outputs].map((list) => list.map((t) => t.name)),
    [stored.inputs, stored.outputs].map((list) => list.map((t) => stored.tensors[t]!.name)),
  )
  assert.is(readProgram(frame, 'simd'), undefined)
  const changed = (fields: Record<string, unknown>, header: Record<string, unknown> = {}): unknown => {
    const list = [...programs.slice(1), { ...programs[0], ...fields }]
    return readProgram({ ...frame, header: { ...frame.header, programs: list, ...header } }, target)
  }
  assert.ok(changed({}))
  // Its bytes lie where its steps say.
  const given = stored.programs!.find((p) => p.for === target)!
  let at = 0
  let copies = 0
  for (const step of given.steps) {
    const words = ready.program.steps.subarray(at + 2, (at += 2 + ready.program.steps[at + 1]!))
    if (!('bytes' in step)) continue
    const [to, from, length] = words as unknown as [number, number, number]
    assert.equal([to, length], [step.to, step.bytes.length])
    assert.equal([...frame.data.subarray(from, from + length)], [...step.bytes])
    copies++
  }
  assert.ok(copies > 1 && at === ready.program.steps.length)
  assert.ok(changed({ bytes: 0, count: 0 }), 'no steps at all')
  const { bytes, count, steps } = programs[0] as { bytes: number; count: number; steps: number }
  for (const [what, fields] of Object.entries<Record<string, unknown>>({
    'bytes below 0': { bytes: -1 },
    'bytes not whole': { bytes: bytes + 0.5 },
    'bytes as text': { bytes: `${bytes}` },
    'more bytes than there are': { bytes: frame.data.length + 1, count: 0 },
    'a count below 0': { count: -1 },
    'a count not whole': { count: count - 0.5 },
    'more numbers than bytes': { bytes: 4, count: 5 },
    'steps between their places': { steps: steps + 8 },
    'steps outside': { steps: frame.data.length + 16 },
    'memory of nothing': { memoryBytes: 0 },
    'no header': { header: null },
  })) {
    assert.is(changed(fields), undefined, what)
  }
  for (const header of [
    { tensors: 1 },
    { inputs: [99] },
    { inputs: 'x' },
    { outputs: [0.5] },
    { metadata: { name: 1 } },
    { programs: {} },
    { programs: [null, 1, 'x'] },
  ]) {
    assert.is(changed({}, header), undefined, JSON.stringify(header))
  }
})

test('frames: which one has a seal and may be looked into before its checksum', () => {
  const pieces = [{ at: 0, bytes: Uint8Array.of(1, 2, 3) }]
  const sealed = writeFrame('{"a":1}', pieces, 16, true)
  const plain = writeFrame('{"a":1}', pieces, 16, false)
  const words = (file: Uint8Array): number[] =>
    [8, 12, 16, 20, 24, 28].map((at) => new DataView(file.buffer).getUint32(at, true))
  assert.equal(words(plain), [2, sums(plain).checksum, 64, 7, 48, 0])
  assert.equal(words(sealed), [2, sums(sealed).checksum, 64, 7, 48, sums(plain).seal])
  assert.is(read(sealed.subarray(32, 48)), '{"a":1}         ')
  assert.equal([...sealed.subarray(48)], [1, 2, 3, ...new Array<number>(13).fill(0)])
  const open = { header: { a: 1 }, data: sealed.subarray(48) }
  assert.equal(openFrame(sealed), open)
  assert.equal(peekFrame(sealed), open)
  assert.is(peekFrame(plain), undefined)
  const changed = (at: number, value: number): Uint8Array => {
    const file = sealed.slice()
    new DataView(file.buffer).setUint32(at, value, true)
    return file
  }
  for (const [what, file] of Object.entries({
    'another version': changed(8, 1),
    'another size': changed(16, 80),
    'a header that ends elsewhere': changed(24, 64),
    'a header of more than there is': changed(20, 64),
    'no seal': changed(28, 0),
    'no JSON': changed(32, 0),
    'another magic': changed(4, 0),
    'a byte more': Uint8Array.of(...sealed, 0),
    'less than a start': sealed.subarray(0, 16),
  })) {
    assert.is(peekFrame(file), undefined, what)
    assert.match(
      errorCode(() => openFrame(file)),
      /^format\/(packed|version|packed-header)$/,
      what,
    )
  }
  // The checksum is nothing that is looked at here; JSON that is no object is none.
  assert.equal(peekFrame(changed(12, 0))?.header, { a: 1 })
  for (const json of ['[]', 'null', '7', '"a"', '{']) {
    const file = writeFrame(json, [], 0, true)
    assert.is(peekFrame(file), undefined, json)
    assert.is(
      errorCode(() => openFrame(file)),
      'format/packed-header',
      json,
    )
  }
  // Above 4 GB nothing is even allocated.
  assert.is(
    errorCode(() => writeFrame('{}', [], 2 ** 32 - 48, false)),
    'format/too-large',
  )
  assert.is(
    errorCode(() => writeFrame('{}', [], 2 ** 33, false)),
    'format/too-large',
  )
  const latin = writeFrame('{"a":"?"}', [], 0, true)
  latin[38] = 0xff
  assert.is(peekFrame(latin), undefined)
})

// .tflite ---------------------------------------------------------------------

const INT8: RawTensor = { shape: [1, 4], scales: [1], zeroPoints: [0] }

test('forms of weights that Thimble does not run are said by name', () => {
  const name = (format: number): unknown => {
    const { ops } = readTflite(
      rawTflite({
        codes: [{ narrow: 9 }],
        buffers: [undefined, new Uint8Array(8)],
        tensors: [INT8, { shape: [2, 4], scales: [1], zeroPoints: [0], buffer: 1 }, { ...INT8, shape: [1, 2] }],
        ops: [{ code: 0, inputs: [0, 1], outputs: [2], optionsType: 8, options: [undefined, i8(format)] }],
        inputs: [0],
        outputs: [2],
      }),
    )
    return ops[0]!.type === 'UNSUPPORTED' ? ops[0].attrs.name : ops[0]!.type
  }
  assert.equal([0, 1, 2].map(name), [
    'FULLY_CONNECTED',
    'FULLY_CONNECTED with shuffled weights',
    'FULLY_CONNECTED with unknown weights format 2',
  ])
})

test('a constant is made dense only where both tensors are of a kind that is known, and the same', () => {
  const ops = (from: Partial<RawTensor>, to: Partial<RawTensor>): string[] => {
    const grid: RawTensor = { shape: [2], scales: [1], zeroPoints: [0] }
    return readTflite(
      rawTflite({
        codes: [{ narrow: 124 }, { narrow: 55 }],
        buffers: [undefined, Uint8Array.of(1, 2)],
        tensors: [{ ...grid }, { ...grid, buffer: 1, ...from }, { ...grid, ...to }, { ...grid }],
        ops: [
          { code: 0, inputs: [1], outputs: [2] },
          { code: 1, inputs: [0, 2], outputs: [3] },
        ],
        inputs: [0],
        outputs: [3],
      }),
    ).ops.map((op) => op.type)
  }
  const VARIANT = 14
  const UINT8 = 3
  assert.equal(ops({}, {}), ['MAXIMUM'])
  for (const [what, from, to] of [
    ['no constant', { buffer: 0 }, {}],
    ['an unknown kind', { type: VARIANT }, {}],
    ['to an unknown kind', {}, { type: VARIANT }],
    ['both', { type: VARIANT }, { type: VARIANT }],
    ['another kind', {}, { type: UINT8 }],
  ] as [string, Partial<RawTensor>, Partial<RawTensor>][]) {
    assert.is(ops(from, to).length, 2, what)
  }
})

test('the label file of a model decides by its outputs what it leaves open', () => {
  const labels = (lines: string, classes: number): unknown => {
    const graph = graphWith({ name: 'n', labels: ['x', 'y'] })
    const out = graph.tensors[graph.outputs[0]!]!
    out.shape = [1, classes]
    return readMetadata(fileOf(graph, 'TFLITE_METADATA')!, archiveOf('labels.txt', text(lines)), graph).labels
  }
  assert.equal(labels('1 cat\n2 dog\n', 2), ['cat', 'dog'])
  assert.equal(labels('1 cat\n2 dog\n', 3), ['', 'cat', 'dog'])
})

test("Ultralytics' metadata: a task that is none of its own is said as it is, and decides nothing", () => {
  const of = (fields: object): Metadata | undefined =>
    ultralyticsMetadata(JSON.stringify({ names: { 0: 'a', 1: 'b' }, stride: 32, ...fields }))
  assert.is(of({ task: 'detect' })?.task, 'detection')
  for (const task of ['toString', 'constructor', '__proto__', 'obb2']) {
    assert.is(of({ task })?.task, undefined, task)
    assert.equal(of({ task })?.extra, { ultralytics: { task, stride: 32 } }, task)
  }
  assert.equal(of({})?.extra, { ultralytics: { stride: 32 } })
  assert.equal(of({ task: 7 })?.extra, { ultralytics: { stride: 32 } })
  for (const [imgsz, kept] of [
    [640, true],
    [[320, 640], true],
    [0, false],
    [-1, false],
    [1.5, false],
    [[320], false],
    [[320, 0], false],
    ['640', false],
  ] as const) {
    assert.equal(of({ imgsz })?.extra?.ultralytics, { stride: 32, ...(kept ? { imgsz } : {}) }, `${imgsz}`)
  }
  assert.equal(of({ kpt_shape: [17, 3] })?.extra?.keypoints, [17, 3])
  assert.is(of({ kpt_shape: [17] })?.extra?.keypoints, undefined)
})

test("MediaPipe's transposed convolution: three words of C, all of them there", () => {
  const attrs = (custom: Uint8Array | undefined): unknown => {
    const { ops } = readTflite(
      rawTflite({
        codes: [{ narrow: 32, custom: 'Convolution2DTransposeBias' }],
        buffers: [undefined, new Uint8Array(8), new Uint8Array(8)],
        tensors: [
          { shape: [1, 2, 2, 1], type: 0 },
          { shape: [2, 2, 2, 1], scales: [1], zeroPoints: [0], buffer: 1 },
          { shape: [2], type: 2, buffer: 2 },
          { shape: [1, 4, 6, 2], type: 0 },
        ],
        ops: [{ code: 0, inputs: [0, 1, 2], outputs: [3], ...(custom ? { custom } : {}) }],
        inputs: [0],
        outputs: [3],
      }),
    )
    return ops[0]!.attrs
  }
  const words = (...values: number[]): Uint8Array => new Uint8Array(Int32Array.from(values).buffer)
  assert.equal(attrs(words(1, 3, 2)), { padding: 'SAME', strideW: 3, strideH: 2, activation: 'NONE' })
  assert.equal(attrs(words(2, 1, 4)), { padding: 'VALID', strideW: 1, strideH: 4, activation: 'NONE' })
  for (const custom of [words(1, 3), words(1, 3, 2).subarray(0, 11), words(0, 1, 1), words(3, 1, 1), undefined]) {
    assert.is(
      errorCode(() => attrs(custom)),
      'format/op-attribute',
      `${custom}`,
    )
  }
})

test.run()
