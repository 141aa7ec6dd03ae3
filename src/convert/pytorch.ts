/**
 * PyTorch state dicts (`.pt`, `.pth`) to named float32 tensors: the zip container that torch writes since 1.6, and
 * the legacy stream of pickles before it. Only data is read; no code in a pickle is ever executed.
 * Source: torch/serialization.py and torch/_utils.py (file layout, `_rebuild_tensor_v2`).
 */
import { ThimbleError } from '../base/errors.ts'
import { elements } from '../graph/graph.ts'
import { halfToFloat } from '../float/values.ts'
export { halfToFloat } from '../float/values.ts'
import { unpickle, type PickleGlobals } from './pickle.ts'
import { isZip, readZip } from './zip.ts'

/** One tensor of a state dict, row-major, converted to float32 (integer tensors such as `num_batches_tracked` too). */
export interface StateTensor {
  shape: number[]
  data: Float32Array
}
export type StateDict = Map<string, StateTensor>

type StorageType =
  'float32' | 'float64' | 'float16' | 'bfloat16' | 'int64' | 'int32' | 'int16' | 'int8' | 'uint8' | 'bool'
const BYTES: Record<StorageType, number> = {
  float32: 4,
  float64: 8,
  float16: 2,
  bfloat16: 2,
  int64: 8,
  int32: 4,
  int16: 2,
  int8: 1,
  uint8: 1,
  bool: 1,
}
const STORAGES: Record<string, StorageType> = {
  FloatStorage: 'float32',
  DoubleStorage: 'float64',
  HalfStorage: 'float16',
  BFloat16Storage: 'bfloat16',
  LongStorage: 'int64',
  IntStorage: 'int32',
  ShortStorage: 'int16',
  CharStorage: 'int8',
  ByteStorage: 'uint8',
  BoolStorage: 'bool',
}

/** A storage named by a persistent id; `bytes` is filled in when the file part that holds it is read. */
interface Storage {
  type: StorageType
  key: string
  size: number
  bytes?: Uint8Array | undefined
}
/** A strided view of a storage, resolved after the whole file is read. */
interface TensorRef {
  storage: Storage
  offset: number
  shape: number[]
  strides: number[]
}

const isRef = (v: unknown): v is TensorRef => typeof v === 'object' && v !== null && 'storage' in v && 'strides' in v
const isStorage = (v: unknown): v is Storage => typeof v === 'object' && v !== null && 'type' in v && 'key' in v
const bad = (what: string): never => {
  throw new ThimbleError('format/pytorch', what, {
    hint: 'save the weights with torch.save(model.state_dict(), path), or export to ONNX',
  })
}

function rebuildTensor(args: unknown[]): TensorRef {
  const [storage, offset, shape, strides] = args
  if (!isStorage(storage) || typeof offset !== 'number' || !Array.isArray(shape) || !Array.isArray(strides)) {
    bad('malformed tensor in the state dict')
  }
  return {
    storage: storage as Storage,
    offset: offset as number,
    shape: shape as number[],
    strides: strides as number[],
  }
}

const storageGlobals = Object.fromEntries(
  Object.entries(STORAGES).map(([name, type]) => [
    `torch.${name}`,
    { call: (): never => bad('a storage is not callable'), type },
  ]),
)
/**
 * What checkpoints carry beside their weights (arguments, metrics, paths, dtypes): read past, kept as an object that
 * holds nothing.
 */
class Inert {}
const inert = { call: (): unknown => new Inert(), build: (): void => {} }
const INERT = [
  'argparse.Namespace',
  'numpy.dtype',
  'numpy.ndarray',
  ...['numpy.core', 'numpy._core'].flatMap((n) => [
    `${n}.multiarray.scalar`,
    `${n}.multiarray._reconstruct`,
    `${n}.numeric._frombuffer`,
  ]),
  ...['pathlib', 'pathlib._local'].flatMap((n) =>
    ['Path', 'PosixPath', 'WindowsPath', 'PurePosixPath', 'PureWindowsPath'].map((c) => `${n}.${c}`),
  ),
  'datetime.datetime',
  'datetime.date',
  'datetime.timedelta',
  '_codecs.encode',
  ...['builtins', '__builtin__'].flatMap((n) =>
    ['set', 'frozenset', 'list', 'dict', 'int', 'float', 'str', 'bool', 'bytearray', 'slice', 'complex'].map(
      (c) => `${n}.${c}`,
    ),
  ),
  'torch.device',
  ...[
    'float32',
    'float64',
    'float16',
    'bfloat16',
    'int64',
    'int32',
    'int16',
    'int8',
    'uint8',
    'bool',
    'contiguous_format',
    'channels_last',
  ].map((n) => `torch.${n}`),
]
const dict = { call: (): unknown => new Map(), build: (): void => {} }

const GLOBALS: PickleGlobals = {
  ...Object.fromEntries(INERT.map((name) => [name, inert])),
  ...storageGlobals,
  'collections.defaultdict': dict,
  'collections.Counter': dict,
  'collections.OrderedDict': { call: () => new Map(), build: () => {} },
  'torch._utils._rebuild_tensor_v2': { call: rebuildTensor },
  'torch._utils._rebuild_parameter': { call: ([tensor]) => tensor },
  'torch.Size': { call: ([shape]) => shape },
}

function storageOf(id: unknown): Storage {
  if (!Array.isArray(id) || id[0] !== 'storage') bad('unknown persistent id in the state dict')
  const [, type, key, , size] = id as unknown[]
  const name =
    typeof type === 'object' && type !== null && 'name' in type
      ? String(type.name).replace(/^torch\./, '')
      : String(type)
  const dtype = Object.hasOwn(STORAGES, name) ? STORAGES[name] : undefined
  if (!dtype || typeof key !== 'string' || !Number.isSafeInteger(size) || (size as number) < 0) {
    bad(`storage type ${name} is not read`)
  }
  return { type: dtype!, key: key as string, size: size as number }
}

/** Numbers of a storage as float32, `size` elements. */
function decode(storage: Storage): (i: number) => number {
  const bytes = storage.bytes ?? bad(`storage "${storage.key}" is missing from the file`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  switch (storage.type) {
    case 'float32':
      return (i) => view.getFloat32(4 * i, true)
    case 'float64':
      return (i) => view.getFloat64(8 * i, true)
    case 'float16':
      return (i) => halfToFloat(view.getUint16(2 * i, true))
    case 'bfloat16': {
      const f = new Float32Array(1)
      const u = new Uint32Array(f.buffer)
      return (i) => {
        u[0] = view.getUint16(2 * i, true) << 16
        return f[0]!
      }
    }
    case 'int64':
      return (i) => Number(view.getBigInt64(8 * i, true))
    case 'int32':
      return (i) => view.getInt32(4 * i, true)
    case 'int16':
      return (i) => view.getInt16(2 * i, true)
    case 'int8':
      return (i) => view.getInt8(i)
    default:
      return (i) => view.getUint8(i)
  }
}

function materialize(name: string, ref: TensorRef): StateTensor {
  const { shape, strides, offset, storage } = ref
  const whole = (v: unknown): boolean => typeof v === 'number' && Number.isSafeInteger(v) && v >= 0
  if (shape.length !== strides.length || ![offset, ...shape, ...strides].every(whole)) {
    bad(`tensor "${name}" has a malformed shape`)
  }
  const count = elements(shape)
  const last = count === 0 ? -1 : shape.reduce((sum, d, i) => sum + (d - 1) * strides[i]!, offset)
  if (last >= storage.size) bad(`tensor "${name}" reaches outside its storage`)
  if (count > storage.size && count > 1 << 24) bad(`tensor "${name}" repeats its storage ${count} times`)
  const read = decode(storage)
  const data = new Float32Array(count)
  const index = new Array<number>(shape.length).fill(0)
  let at = offset
  for (let i = 0; i < count; i++) {
    data[i] = read(at)
    for (let d = shape.length - 1; d >= 0; d--) {
      at += strides[d]!
      if (++index[d]! < shape[d]!) break
      at -= strides[d]! * shape[d]!
      index[d] = 0
    }
  }
  return { shape: [...shape], data }
}

/** Where checkpoints keep their weights. Averaged ones first: they are what a model is meant to be evaluated with. */
const WRAPPERS = [
  'state_dict_ema',
  'model_ema',
  'ema_state_dict',
  'params_ema',
  'ema',
  'state_dict',
  'model',
  'model_state_dict',
  'net',
  'network',
  'module',
  'weights',
  'params',
]

/** Tensors of a dict, or of what a checkpoint wraps its weights in. */
function collect(value: unknown): StateDict {
  if (!(value instanceof Map)) return bad('file does not hold a state dict')
  return tensorsOf(value, 0) ?? bad('file holds no tensors')
}

function tensorsOf(value: Map<unknown, unknown>, depth: number): StateDict | undefined {
  for (const key of depth < 4 ? WRAPPERS : []) {
    const inner = value.get(key)
    const found = inner instanceof Map ? tensorsOf(inner, depth + 1) : undefined
    if (found) return found
  }
  const out: StateDict = new Map()
  for (const [key, entry] of value) if (isRef(entry)) out.set(String(key), materialize(String(key), entry))
  return out.size > 0 ? out : undefined
}

function readZipped(bytes: Uint8Array): StateDict {
  const files = readZip(bytes)
  const names = [...files.keys()]
  if (names.some((name) => /(^|\/)constants\.pkl$/.test(name))) {
    throw new ThimbleError('format/pytorch', 'file is a TorchScript archive: its network is a program', {
      hint: "in Python, model = torch.jit.load(path).eval(), then torch.onnx.export(model, (torch.randn(1, 3, 224, 224),), 'model.onnx', dynamo=False); or torch.save(model.state_dict(), path) of an architecture that is read",
    })
  }
  const entry = names.find((name) => name.endsWith('/data.pkl') || name === 'data.pkl')
  if (!entry) return bad('zip file without data.pkl')
  const root = entry.slice(0, -'data.pkl'.length)
  const order = files.get(`${root}byteorder`)
  if (order && new TextDecoder().decode(order).trim() !== 'little') bad('big-endian file')
  const persistent = (id: unknown): Storage => {
    const storage = storageOf(id)
    storage.bytes = files.get(`${root}data/${storage.key}`)
    if (storage.bytes && storage.bytes.length < storage.size * BYTES[storage.type]) {
      bad(`storage "${storage.key}" is truncated`)
    }
    return storage
  }
  return collect(unpickle(files.get(entry)!, { globals: GLOBALS, persistent }).value)
}

/**
 * Legacy layout: magic number, protocol, system info, the object, storage keys (five pickles), then per storage int64
 * count + data.
 */
function readLegacy(bytes: Uint8Array): StateDict {
  const storages = new Map<string, Storage>()
  const persistent = (id: unknown): Storage => {
    const storage = storageOf(id)
    const known = storages.get(storage.key)
    if (known) return known
    storages.set(storage.key, storage)
    return storage
  }
  let offset = 0
  const next = (): unknown => {
    const r = unpickle(bytes, { globals: GLOBALS, persistent, offset })
    offset = r.end
    return r.value
  }
  if (next() !== 0x1950a86a20f9469cfc6cn) bad('not a PyTorch file')
  next()
  const system = next()
  if (system instanceof Map && system.get('little_endian') === false) bad('big-endian file')
  const root = next()
  const keys = next()
  if (!Array.isArray(keys)) bad('malformed storage table')
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (const key of keys as unknown[]) {
    const storage = storages.get(String(key)) ?? bad(`storage "${String(key)}" is never used`)
    if (offset + 8 > bytes.length) bad('file is truncated')
    const length = Number(view.getBigInt64(offset, true)) * BYTES[storage.type]
    offset += 8
    if (length !== storage.size * BYTES[storage.type] || offset + length > bytes.length) {
      bad(`storage "${storage.key}" is truncated`)
    }
    storage.bytes = bytes.subarray(offset, offset + length)
    offset += length
  }
  return collect(root)
}

/** True for a file that `readStateDict` reads. */
export const isPytorch = (bytes: Uint8Array): boolean => isZip(bytes) || (bytes[0] === 0x80 && bytes[2] === 0x8a)

/**
 * Reads a state dict.
 * Returns: name to tensor, in file order; strided views are made contiguous, every dtype becomes float32.
 * Errors: `format/pytorch`, `format/pickle` (a pickle that wants anything but tensors), `format/zip`.
 */
export function readStateDict(bytes: Uint8Array): StateDict {
  return isZip(bytes) ? readZipped(bytes) : readLegacy(bytes)
}
