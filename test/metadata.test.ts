import { readFileSync } from 'node:fs'
import { deflateRawSync } from 'node:zlib'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import fc from 'fast-check'
import { crc32, plainCrc32 } from '../src/base/scan.ts'
import { FlatBufferBuilder, i8, offset, u8 } from '../src/formats/flatbuffer-build.ts'
import { inflate } from '../src/base/inflate.ts'
import { parseLabels } from '../src/answers/label-file.ts'
import { readTflite } from '../src/formats/tflite.ts'
import { MAX_UNPACKED_BYTES, readZipFile } from '../src/formats/zip.ts'
import { inputTable } from '../src/image/preprocess.ts'
import { createClassifier, loadModel } from '../src/node.ts'
import { rawTflite } from './raw-tflite.ts'
import { equalBytes, errorCode, need, processorMs, refusal, shared } from './util.ts'

const text = (s: string): Uint8Array => new TextEncoder().encode(s)

interface Entry {
  name: string
  data: Uint8Array
  method?: 0 | 8
  packed?: Uint8Array
  size?: number
  crc?: number
  flags?: number
}

/** A zip of the entries; `base` is added to its offsets, as when an archive is written into an existing file. */
function zip(entries: readonly Entry[], base = 0, comment = ''): Uint8Array {
  const out: number[] = []
  const directory: number[] = []
  const le = (n: number, width: number): number[] =>
    Array.from({ length: width }, (_, i) => Math.floor(n / 2 ** (8 * i)) & 0xff)
  for (const {
    name,
    data,
    method = 0,
    packed = method === 8 ? new Uint8Array(deflateRawSync(data)) : data,
    size = data.length,
    crc = crc32(data),
    flags = 0,
  } of entries) {
    const common = [
      ...le(20, 2),
      ...le(flags, 2),
      ...le(method, 2),
      ...le(0, 4),
      ...le(crc, 4),
      ...le(packed.length, 4),
      ...le(size, 4),
      ...le(text(name).length, 2),
      ...le(0, 2),
    ]
    directory.push(
      ...le(0x02014b50, 4),
      ...le(20, 2),
      ...common,
      ...le(0, 10),
      ...le(base + out.length, 4),
      ...text(name),
    )
    out.push(...le(0x04034b50, 4), ...common, ...text(name), ...packed)
  }
  const start = base + out.length
  out.push(
    ...directory,
    ...le(0x06054b50, 4),
    ...le(0, 4),
    ...le(entries.length, 2),
    ...le(entries.length, 2),
    ...le(directory.length, 4),
    ...le(start, 4),
    ...le(comment.length, 2),
    ...text(comment),
  )
  return Uint8Array.from(out)
}

const concat = (...parts: Uint8Array[]): Uint8Array => Uint8Array.from(parts.flatMap((p) => [...p]))

interface Spec {
  mean?: number[] | undefined
  std?: number[] | undefined
  color?: number
  content?: number
  labelType?: number
  labelFiles?: [string, string?][]
  outputContent?: number
}

/** The flatbuffer of TFLITE_METADATA, fields by slot. */
function metadataBuffer({
  mean,
  std,
  color = 1,
  content = 2,
  labelType = 2,
  labelFiles = [['labels.txt']],
  outputContent,
}: Spec = {}): Uint8Array {
  const b = new FlatBufferBuilder()
  const files = labelFiles.map(([name, locale]) =>
    b.table([
      offset(b.string(name)),
      undefined,
      i8(labelType),
      locale === undefined ? undefined : offset(b.string(locale)),
    ]),
  )
  const contentTable = (type: number, properties: number): number => b.table([u8(type), offset(properties)])
  const normalization = mean && std ? b.table([offset(b.float32Vector(mean)), offset(b.float32Vector(std))]) : undefined
  const units =
    normalization === undefined ? undefined : offset(b.offsetVector([b.table([u8(1), offset(normalization)])]))
  const input = b.table([
    undefined,
    undefined,
    undefined,
    content ? offset(contentTable(content, b.table([i8(color)]))) : undefined,
    units,
  ])
  const output = b.table([
    undefined,
    undefined,
    undefined,
    outputContent ? offset(contentTable(outputContent, b.table([]))) : undefined,
    undefined,
    undefined,
    offset(b.offsetVector(files)),
  ])
  const subgraph = b.table([undefined, undefined, offset(b.offsetVector([input])), offset(b.offsetVector([output]))])
  const strings = ['name', 'description', 'v1', 'author', 'MIT'].map((s) => offset(b.string(s)))
  return b.finish(
    b.table([strings[0], strings[1], strings[2], offset(b.offsetVector([subgraph])), strings[3], strings[4]]),
    'M001',
  )
}

/** A one-op model with that metadata. */
function modelBytes(
  spec: Spec = {},
  {
    type = 9,
    shape = [1, 8, 8, 3],
    scale = 0.0078125,
    zeroPoint = -1,
  }: { type?: number; shape?: number[]; scale?: number | null; zeroPoint?: number } = {},
): Uint8Array {
  const tensor = { shape, type, ...(type === 0 || scale === null ? {} : { scales: [scale], zeroPoints: [zeroPoint] }) }
  return rawTflite({
    codes: [{ narrow: 19 }],
    buffers: [undefined, metadataBuffer(spec)],
    tensors: [tensor, tensor],
    ops: [{ code: 0, inputs: [0], outputs: [1] }],
    inputs: [0],
    outputs: [1],
    metadata: [
      { name: 'min_runtime_version', buffer: 0 },
      { name: 'TFLITE_METADATA', buffer: 1 },
    ],
  })
}

const LABELS = text('cat\ndog\r\nbird, small\n')

test('who made it, what it is called, and its labels, from either kind of archive', () => {
  const model = modelBytes()
  for (const method of [0, 8] as const) {
    for (const base of [0, model.length]) {
      const { metadata } = readTflite(
        concat(
          model,
          zip(
            [
              { name: 'readme.txt', data: text('no labels') },
              { name: 'labels.txt', data: LABELS, method },
            ],
            base,
            'a comment',
          ),
        ),
      )
      assert.equal(metadata, {
        name: 'name',
        description: 'description',
        version: 'v1',
        author: 'author',
        license: 'MIT',
        labels: ['cat', 'dog', 'bird, small'],
        preprocess: { fit: 'stretch', method: 'bilinear-fast', channels: 'rgb', mean: [127], std: [128] },
        preprocessFrom: "assumed: the pixels themselves, stretched, as TFLite's Task Library does with an int8 image",
        task: 'segmentation',
      })
    }
  }
})

test('labels: the English list among several, of both kinds', () => {
  const archive = zip([
    { name: 'de.txt', data: text('Katze') },
    { name: 'en.txt', data: text('cat') },
  ])
  const labels = (spec: Spec): unknown => readTflite(concat(modelBytes(spec), archive)).metadata.labels
  assert.equal(
    labels({
      labelFiles: [
        ['de.txt', 'de'],
        ['en.txt', 'en-US'],
      ],
    }),
    ['cat'],
  )
  assert.equal(
    labels({
      labelFiles: [
        ['de.txt', 'de'],
        ['en.txt', 'fr'],
      ],
    }),
    ['Katze'],
  )
  assert.equal(labels({ labelFiles: [['de.txt', 'de'], ['en.txt']], labelType: 3 }), ['cat'])
  assert.equal(labels({ labelFiles: [['de.txt']], labelType: 1 }), undefined, 'descriptions are no labels')
  assert.is(
    readTflite(concat(modelBytes({ labelFiles: [['en.txt']], labelType: 3 }), archive)).metadata.task,
    'detection',
  )
})

test('normalization: per channel or for all; pixels as they are for uint8', () => {
  const preprocess = (spec: Spec, tensor?: Parameters<typeof modelBytes>[1]): unknown =>
    readTflite(modelBytes({ labelFiles: [], ...spec }, tensor)).metadata.preprocess
  const stretch = { fit: 'stretch', method: 'bilinear-fast', channels: 'rgb' }
  assert.equal(preprocess({ mean: [127.5], std: [127.5] }), { ...stretch, mean: [127.5], std: [127.5] })
  assert.equal(preprocess({ mean: [1, 2, 3], std: [4, 5, 6], content: 0 }, { type: 0 }), {
    ...stretch,
    mean: [1, 2, 3],
    std: [4, 5, 6],
  })
  assert.equal(preprocess({ mean: [127.5], std: [127.5] }, { type: 3, zeroPoint: 128 }), {
    ...stretch,
    mean: [128],
    std: [128],
  })
  assert.equal(preprocess({ mean: [127.5], std: [127.5] }, { shape: [1, 8, 8, 1] }), {
    ...stretch,
    channels: 'gray',
    mean: [127.5],
    std: [127.5],
  })
  assert.equal(preprocess({}, { type: 0 }), undefined, 'a float input does not say its range')
  assert.equal(preprocess({ content: 0 }), undefined, 'not called an image, no normalization')
  assert.equal(preprocess({ content: 1, mean: [0], std: [1] }, { shape: [1, 640] }), undefined, 'features')
  assert.equal(preprocess({}, { shape: [1, 8, 3] }), undefined, 'rank 3')
  for (const channels of [2, 4]) assert.equal(preprocess({}, { shape: [1, 8, 8, channels] }), undefined, 'no colours')
  // Without a quantization the pixels are the values.
  for (const [type, mean] of [
    [3, 0],
    [9, 128],
  ] as const) {
    for (const scale of [null, 0]) {
      assert.equal(preprocess({}, { type, scale, zeroPoint: 0 }), { ...stretch, mean: [mean], std: [1] })
    }
  }
  for (const [mean, std] of [
    [
      [1, 2],
      [1, 2],
    ],
    [[1], [0]],
    [[NaN], [1]],
    [[1], [Infinity]],
    [[], [1]],
  ]) {
    assert.is(
      errorCode(() => preprocess({ mean, std })),
      'format/metadata',
      JSON.stringify([mean, std]),
    )
  }
})

test('without normalization the input tensor is the pixels, whatever its quantization', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(3, 9),
      fc.double({ min: 1e-5, max: 100, noNaN: true }),
      fc.integer({ min: 0, max: 255 }),
      (type, size, point) => {
        const [scale, zeroPoint] = [Math.fround(size), type === 9 ? point - 128 : point]
        const { metadata } = readTflite(modelBytes({ labelFiles: [] }, { type, scale, zeroPoint }))
        const table = inputTable(
          { name: 'x', shape: [1, 8, 8, 3], dtype: type === 9 ? 'int8' : 'uint8', scale, zeroPoint },
          metadata.preprocess!.mean[0]!,
          metadata.preprocess!.std[0]!,
        )
        for (let pixel = 0; pixel < 256; pixel++) assert.is(table[pixel], type === 9 ? pixel - 128 : pixel)
      },
    ),
    { numRuns: 500 },
  )
})

test('classify on a model without normalization feeds the raw pixels', async () => {
  for (const [type, zeroPoint] of [
    [9, -100],
    [9, 127],
    [3, 28],
  ] as const) {
    const scale = Math.fround(0.0039)
    const tensor = { type, scales: [scale], zeroPoints: [zeroPoint] }
    const axes = new Uint8Array(Int32Array.of(1, 2).buffer)
    const bytes = rawTflite({
      codes: [{ narrow: 40 }],
      buffers: [undefined, metadataBuffer({ labelFiles: [] }), axes],
      tensors: [
        { ...tensor, shape: [1, 8, 8, 3] },
        { shape: [2], type: 2, buffer: 2 },
        { ...tensor, shape: [1, 3] },
      ],
      ops: [{ code: 0, inputs: [0, 1], outputs: [2] }],
      inputs: [0],
      outputs: [2],
      metadata: [{ name: 'TFLITE_METADATA', buffer: 1 }],
    })
    const model = await loadModel(bytes)
    const pixels = Uint8Array.from({ length: 192 }, (_, i) => (i * 37 + (i % 3) * 50) & 255)
    const found = (await createClassifier(model, { scores: 'identity' })).classify({
      data: pixels,
      width: 8,
      height: 8,
      channels: 3,
    })
    const q = model.run(type === 9 ? Int8Array.from(pixels, (p) => p - 128) : pixels)[0]! as Int8Array
    assert.is(found.length, 3)
    for (const { index, score } of found) assert.is(Math.fround(score), Math.fround((q[index]! - zeroPoint) * scale))
    model.dispose()
  }
})

test('a label file that is not there: the file was cut or rewritten', () => {
  assert.is(
    errorCode(() => readTflite(modelBytes())),
    'format/metadata',
  )
  assert.is(
    errorCode(() => readTflite(concat(modelBytes(), zip([{ name: 'other.txt', data: LABELS }])))),
    'format/metadata',
  )
  const whole = concat(modelBytes(), zip([{ name: 'labels.txt', data: LABELS, method: 8 }]))
  for (let n = modelBytes().length; n < whole.length; n++) {
    assert.match(
      errorCode(() => readTflite(whole.subarray(0, n))),
      /^format\//,
      `cut to ${n}`,
    )
  }
})

test('hostile archives: one error, no memory, no time', () => {
  const open = (e: Partial<Entry>): string =>
    errorCode(() => readZipFile(zip([{ name: 'labels.txt', data: LABELS, ...e }]), 'labels.txt'))
  assert.is(open({}), 'no error')
  assert.is(open({ crc: 1 }), 'format/zip')
  assert.is(open({ flags: 1 }), 'format/zip')
  assert.is(open({ method: 8, size: LABELS.length - 1 }), 'format/zip')
  assert.is(open({ method: 8, size: LABELS.length + 1 }), 'format/zip')
  assert.is(open({ size: LABELS.length + 1 }), 'format/zip')
  assert.is(open({ method: 8, size: MAX_UNPACKED_BYTES + 1 }), 'format/zip')
  // Whole in itself, and only too large.
  const most = new Uint8Array(MAX_UNPACKED_BYTES)
  const archive = zip([
    { name: 'most', data: most, method: 8 },
    { name: 'more', data: new Uint8Array(MAX_UNPACKED_BYTES + 1), method: 8 },
  ])
  assert.is(readZipFile(archive, 'most')?.length, MAX_UNPACKED_BYTES)
  assert.match(refusal(() => readZipFile(archive, 'more')).message, /too large.*at most 16777216 bytes, got 16777217/)
  const bomb = deflateRawSync(new Uint8Array(50_000_000))
  const start = processorMs()
  assert.is(open({ method: 8, packed: new Uint8Array(bomb), size: 1000 }), 'format/zip')
  assert.ok(processorMs() - start < 1000)
  assert.is(readZipFile(text('no archive at all, but long enough to look for one'), 'x'), undefined)
  const good = zip([
    { name: 'labels.txt', data: LABELS, method: 8 },
    { name: 'b', data: LABELS },
  ])
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.nat(255), fc.nat(good.length - 1), fc.nat(255), (a, x, b, y) => {
      const damaged = good.slice()
      damaged[a] = x
      damaged[b] = y
      const result = errorCode(() => {
        const data = readZipFile(damaged, 'labels.txt')
        if (data) equalBytes(data, LABELS, 'what comes out is what went in')
      })
      assert.ok(result === 'no error' || result === 'format/zip', result)
    }),
    { numRuns: 3000 },
  )
})

test('inflate undoes deflate of any kind', () => {
  const content = fc.oneof(
    fc.uint8Array({ maxLength: 3000 }),
    fc.string({ maxLength: 3000, unit: fc.constantFrom('a', 'b', 'abc', 'the quick ') }).map(text),
  )
  fc.assert(
    fc.property(content, fc.nat(9), fc.constantFrom(0, 1, 2, 3, 4), (data, level, strategy) => {
      const packed = new Uint8Array(deflateRawSync(data, { level, strategy }))
      equalBytes(inflate(packed, data.length), data, `level ${level}, strategy ${strategy}`)
      if (data.length > 0) {
        assert.is(
          errorCode(() => inflate(packed, data.length - 1)),
          'format/zip',
        )
      }
      assert.is(
        errorCode(() => inflate(packed, data.length + 1)),
        'format/zip',
      )
      assert.is(
        errorCode(() => inflate(packed.subarray(0, packed.length - 1), data.length)),
        'format/zip',
      )
    }),
    { numRuns: 300 },
  )
})

test('inflate of noise ends in bytes or an error', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 400 }), fc.nat(2000), (noise, size) => {
      const result = errorCode(() => inflate(noise, size))
      assert.ok(result === 'no error' || result === 'format/zip', result)
    }),
    { numRuns: 3000 },
  )
})

test('crc32: the check value, any length at any place in memory', () => {
  assert.is(crc32(text('123456789')), 0xcbf43926)
  assert.is(crc32(new Uint8Array(0)), 0)
  for (const length of [57343, 57344, 57345, 200000, 1 << 20]) {
    const large = Uint8Array.from({ length }, (_, i) => (i * i) >>> 3)
    assert.is(crc32(large), plainCrc32(large), `${length} bytes`)
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(8), (all, from) => {
      const data = all.subarray(from)
      let c = 0xffffffff
      for (const byte of data) {
        c ^= byte
        for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1
      }
      assert.is(crc32(data), ~c >>> 0)
    }),
  )
})

need(
  test,
  'labels and preprocessing of real models',
  { resource: shared('models/tf2_mobilenet_v2_1.0_224_ptq.tflite'), missing: 'no ../shared/models' },
  (file) => {
    const { metadata } = readTflite(readFileSync(file))
    assert.is(metadata.name, 'ImageClassifier')
    assert.is(metadata.labels!.length, 1001)
    assert.equal(
      [metadata.labels![0], metadata.labels![1000]],
      ['background', 'toilet tissue, toilet paper, bathroom tissue'],
    )
    assert.equal(metadata.labels, parseLabels(readFileSync(shared('labels/imagenet_1001.txt')!, 'utf8')))
    assert.is(metadata.task, 'classification')
    // Scale 0.0078431..., zero point 127: the pixel itself, whatever the rounding.
    const { mean, std } = metadata.preprocess!
    for (let pixel = 0; pixel < 256; pixel++) {
      assert.is(Math.round((pixel - mean[0]!) / std[0]! / (1 / std[0]!) + 127), pixel)
    }
  },
)

test.run()
