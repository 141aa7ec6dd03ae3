/** Files of other tools, read into graphs. What is read as an 8-bit graph also runs. */
import { readFileSync } from 'node:fs'
import { strToU8, unzipSync, zipSync } from 'fflate'
import { openHdf5, Hdf5Dataset, Hdf5Group } from '../../../src/convert/hdf5/file.ts'
import { readFloatModel } from '../../../src/convert/index.ts'
import { isNpy, readNpy, readNpz } from '../../../src/convert/npy.ts'
import { readStateDict } from '../../../src/convert/pytorch.ts'
import { readSafetensors } from '../../../src/convert/safetensors.ts'
import { readZip } from '../../../src/convert/zip.ts'
import { ThimbleError } from '../../../src/base/errors.ts'
import { readZipFile } from '../../../src/formats/zip.ts'
import { dice } from '../../../test/mutate.ts'
import { changeBytes, changeJsonText, changeProtobuf, changeText, changeZip, isJsonName, joined } from '../mutators.ts'
import { randomOnnx } from '../random-models.ts'
import type { FuzzTarget, Work } from '../target.ts'
import { runGraph } from './models.ts'

const FOLDER = 'test/fixtures/convert/'
const fixture = (name: string): Uint8Array => new Uint8Array(readFileSync(FOLDER + name))
const beside =
  (folder: string) =>
  (name: string): Uint8Array | undefined => {
    try {
      return fixture(folder + name)
    } catch {
      return undefined
    }
  }

async function convert(bytes: Uint8Array, folder = ''): Promise<void> {
  const graph = await readFloatModel(bytes, { size: 32, sidecar: beside(folder) })
  const types = new Set([...graph.inputs, ...graph.outputs].map((i) => graph.tensors[i]!.dtype))
  if (types.has('int8') || types.has('uint8')) await runGraph(graph)
}

const onnx: FuzzTarget = {
  name: 'onnx',
  about: 'ONNX (protobuf): reader, layout, QDQ fusion; 8-bit graphs run',
  seeds: () =>
    [
      'torch.opset9.onnx',
      'torch.opset17.onnx',
      'torch.opset18.onnx',
      'tf2onnx.onnx',
      'qdq.u8u8.onnx',
      'qdq.u8s8-per-channel.onnx',
    ]
      .map(fixture)
      .concat(Array.from({ length: 12 }, (_, i) => randomOnnx(dice(i)))),
  run: (bytes) => convert(bytes),
  change: (work) => (work.dice.int(6) === 0 ? randomOnnx(work.dice) : changeProtobuf(work)),
}

/** A part that is refused does not keep the others from being read. */
const each = (read: () => unknown): void => {
  try {
    read()
  } catch (error) {
    if (!(error instanceof ThimbleError)) throw error
  }
}

const walk = (group: Hdf5Group, depth = 0): void => {
  for (const attribute of group.attributes.values()) each(() => attribute.strings())
  for (const name of group.keys().slice(0, 50)) {
    const child = group.get(name)
    if (child instanceof Hdf5Group && depth < 8) walk(child, depth + 1)
    else if (child instanceof Hdf5Dataset) each(() => child.numbers())
  }
}

const hdf5: FuzzTarget = {
  name: 'hdf5',
  about: 'HDF5 files: every group, attribute and dataset',
  seeds: () => [new Uint8Array(readFileSync('test/fixtures/hdf5/v108.h5')), fixture('nested.keras2.h5')],
  run: (bytes) => walk(openHdf5(bytes)),
}

const keras: FuzzTarget = {
  name: 'keras',
  about: 'Keras 2 and 3 (.h5, .keras): topology and weights into a graph',
  seeds: () => [fixture('nested.keras2.h5'), fixture('nested.keras3.h5')],
  run: (bytes) => convert(bytes),
  // The topology is JSON text within the file: keep its length.
  change({ bytes, dice, words }) {
    const open = bytes.indexOf(0x7b)
    if (open < 0) return undefined
    const out = bytes.slice()
    const at = open + dice.int(Math.min(6000, out.length - open))
    const word = dice.int(2) ? dice.pick(words) : Uint8Array.of(48 + dice.int(10))
    out.set(word.subarray(0, out.length - at), at)
    return out
  },
}

const tfjs: FuzzTarget = {
  name: 'tfjs',
  about: "TensorFlow.js' model.json, layers and graph models, with their shards",
  seeds: () => ['tfjs-layers-float/model.json', 'tfjs-layers-uint8/model.json', 'tfjs-graph/model.json'].map(fixture),
  async run(bytes) {
    const kind = ['tfjs-layers-float/', 'tfjs-layers-uint8/', 'tfjs-graph/'][bytes.length % 3]!
    await convert(bytes, kind)
  },
  change: ({ bytes, dice }) => changeJsonText(bytes, dice),
}

// Pickles ---------------------------------------------------------------------

const short = (text: string): Uint8Array => joined(Uint8Array.of(0x8c, text.length), strToU8(text))
const globalOf = (module: string, name: string): Uint8Array => strToU8(`c${module}\n${name}\n`)
const ops = (...list: (number | Uint8Array)[]): Uint8Array =>
  joined(...list.map((v) => (typeof v === 'number' ? Uint8Array.of(v) : v)))

/** A pickled OrderedDict of one 2x3 tensor, as torch.save writes it. */
const statePickle = (): Uint8Array =>
  ops(
    0x80,
    2,
    globalOf('collections', 'OrderedDict'),
    0x29,
    0x52,
    0x71,
    0,
    0x28,
    short('features.0.weight'),
    globalOf('torch._utils', '_rebuild_tensor_v2'),
    0x28,
    0x28,
    short('storage'),
    globalOf('torch', 'FloatStorage'),
    short('0'),
    short('cpu'),
    0x4b,
    6,
    0x74,
    0x51,
    0x4b,
    0,
    0x4b,
    2,
    0x4b,
    3,
    0x86,
    0x4b,
    3,
    0x4b,
    1,
    0x86,
    0x89,
    globalOf('collections', 'OrderedDict'),
    0x29,
    0x52,
    0x74,
    0x52,
    0x75,
    0x2e,
  )
const torchZip = (): Uint8Array =>
  zipSync({
    'archive/data.pkl': statePickle(),
    'archive/version': strToU8('3\n'),
    'archive/data/0': new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, 6).buffer),
  })

/** Opcodes of all kinds, with small operands. */
const OPCODES: readonly Uint8Array[] = [
  ...[
    0x28, 0x30, 0x31, 0x32, 0x4e, 0x88, 0x89, 0x5d, 0x29, 0x7d, 0x8f, 0x6c, 0x74, 0x85, 0x86, 0x87, 0x64, 0x73, 0x75,
    0x61, 0x65, 0x90, 0x93, 0x52, 0x81, 0x62, 0x51, 0x94, 0x2e,
  ].map((b) => Uint8Array.of(b)),
  ...[0, 1, 2].flatMap((n) => [Uint8Array.of(0x71, n), Uint8Array.of(0x68, n), Uint8Array.of(0x4b, n)]),
  Uint8Array.of(0x4a, 255, 255, 255, 255),
  Uint8Array.of(0x8a, 2, 1, 128),
  Uint8Array.of(0x47, 64, 9, 33, 251, 84, 68, 45, 24),
  short('a'),
  strToU8('I1\n'),
  strToU8('I01\n'),
  strToU8('L5L\n'),
  strToU8('F1e999\n'),
  strToU8("S'a'\n"),
  strToU8('p0\n'),
  strToU8('g0\n'),
  globalOf('collections', 'OrderedDict'),
  globalOf('torch', 'Size'),
  globalOf('torch', 'FloatStorage'),
  globalOf('torch._utils', '_rebuild_tensor_v2'),
  globalOf('torch._utils', '_rebuild_parameter'),
  globalOf('torch.serialization', '_get_layout'),
  globalOf('numpy.core.multiarray', 'scalar'),
  globalOf('__builtin__', 'set'),
]

function changePickle({ bytes, dice }: Work): Uint8Array {
  const at = dice.int(bytes.length + 1)
  const put = joined(...Array.from({ length: 1 + dice.int(4) }, () => dice.pick(OPCODES)))
  const dropped = dice.int(2) ? 0 : 1 + dice.int(6)
  return joined(bytes.subarray(0, at), put, bytes.subarray(Math.min(bytes.length, at + dropped)))
}

const pickle: FuzzTarget = {
  name: 'pickle',
  about: "PyTorch's files, zipped and legacy: no code runs, tensors are within their storages",
  seeds: () => [torchZip()],
  async run(bytes) {
    for (const [name, t] of readStateDict(bytes)) {
      if (typeof name !== 'string' || t.data.length !== t.shape.reduce((a, b) => a * b, 1)) {
        throw new Error(`tensor ${name}`)
      }
    }
    await convert(bytes)
  },
  change: (work) => changeZip(work, (name, inner) => (name.endsWith('.pkl') ? changePickle(inner) : undefined)),
}

const legacy: FuzzTarget = {
  name: 'pickle-legacy',
  about: 'the five pickles of a PyTorch file from before its zips',
  seeds: () => [
    ops(
      0x80,
      2,
      0x8a,
      0x0a,
      Uint8Array.of(0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19),
      0x2e,
      0x80,
      2,
      0x4d,
      0xe9,
      3,
      0x2e,
      0x80,
      2,
      0x7d,
      0x28,
      short('little_endian'),
      0x88,
      0x75,
      0x2e,
      statePickle().slice(),
      0x80,
      2,
      0x5d,
      0x28,
      short('0'),
      0x65,
      0x2e,
      new Uint8Array(BigInt64Array.of(6n).buffer),
      new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, 6).buffer),
    ),
  ],
  run: (bytes) => {
    for (const [, t] of readStateDict(bytes)) {
      if (t.data.length !== t.shape.reduce((a, b) => a * b, 1)) throw new Error('a tensor of another size')
    }
  },
  change: changePickle,
}

const safetensors: FuzzTarget = {
  name: 'safetensors',
  about: 'safetensors: header and offsets',
  seeds: () => {
    const json = strToU8(
      '{"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"b":{"dtype":"F16","shape":[2],"data_offsets":[24,28]},"__metadata__":{"format":"pt"}} ',
    )
    return [joined(new Uint8Array(BigUint64Array.of(BigInt(json.length)).buffer), json, new Uint8Array(28).fill(60))]
  },
  async run(bytes) {
    for (const [, t] of readSafetensors(bytes)) {
      if (t.data.length !== t.shape.reduce((a, b) => a * b, 1)) throw new Error('a tensor of another size')
    }
    await convert(bytes)
  },
  change({ bytes, dice }) {
    const size = bytes.length < 8 ? 0 : Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true))
    if (size > bytes.length - 8) return undefined
    const json = changeJsonText(bytes.subarray(8, 8 + size), dice)
    return json && joined(new Uint8Array(BigUint64Array.of(BigInt(json.length)).buffer), json, bytes.subarray(8 + size))
  },
}

const changeEntry = (name: string, work: Work): Uint8Array | undefined =>
  isJsonName(name) ? changeJsonText(work.bytes, work.dice) : changeBytes(work)

const zip: FuzzTarget = {
  name: 'zip',
  about: 'zip archives: of models (Teachable Machine), and of labels behind a model',
  seeds: () => [
    fixture('teachable-machine.zip'),
    zipSync({
      'labels.txt': strToU8('cat\ndog\n'.repeat(40)),
      'metadata.json': [strToU8('{"labels":["a","b"]}'), { level: 0 }],
    }),
  ],
  async run(bytes) {
    const found = readZipFile(bytes, 'labels.txt')
    const all = readZip(bytes)
    if (found && all.get('labels.txt') && Buffer.compare(found, all.get('labels.txt')!) !== 0) {
      throw new Error('two readers, two contents')
    }
    await convert(bytes)
  },
  change: (work) => changeZip(work, changeEntry),
}

/** The archive alone, small: its weights' file is for the target hdf5. */
const archive: FuzzTarget = {
  name: 'keras-archive',
  about: '.keras: the zip, its config.json and its weights',
  seeds: () => {
    const parts = unzipSync(fixture('everywhere.keras3.keras'))
    return [zipSync(Object.fromEntries(Object.entries(parts).map(([name, data]) => [name, [data, { level: 6 }]])))]
  },
  run: (bytes) => convert(bytes),
  change: (work) => changeZip(work, changeEntry),
  maxBytes: 1 << 17,
}

/** An array file of format 1. */
function npyFile(dtype: string, shape: string, data: Uint8Array, fortran = 'False'): Uint8Array {
  const text = `{'descr': '${dtype}', 'fortran_order': ${fortran}, 'shape': ${shape}, }`
  const header = strToU8(`${text.padEnd(64 * Math.ceil((text.length + 11) / 64) - 11)}\n`)
  return joined(Uint8Array.of(0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, header.length, 0), header, data)
}

const npy: FuzzTarget = {
  name: 'npy',
  about: "NumPy's arrays (.npy, .npz) for calibration",
  seeds: () => [
    npyFile('<f4', '(2, 3)', new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, 6).buffer)),
    npyFile('|u1', '(2, 2, 1)', Uint8Array.of(1, 2, 3, 4), 'True'),
    npyFile('>i2', '(3,)', Uint8Array.of(0, 1, 0, 2, 0, 3)),
    zipSync({ 'x.npy': npyFile('<f8', '()', new Uint8Array(8)), 'y.npy': npyFile('|b1', '(2,)', Uint8Array.of(0, 1)) }),
  ],
  run(bytes) {
    const read = isNpy(bytes) ? [readNpy(bytes, 'x')] : [...readNpz(bytes, 'x').values()]
    for (const { shape, data } of read) {
      if (data.length !== shape.reduce((a, b) => a * b, 1)) throw new Error('numbers of another shape')
    }
  },
  change: (work) => (isNpy(work.bytes) ? changeText(work) : changeZip(work, (_, inner) => changeText(inner))),
}

export default [onnx, hdf5, keras, archive, tfjs, pickle, legacy, safetensors, zip, npy]
