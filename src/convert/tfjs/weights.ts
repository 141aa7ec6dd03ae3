/**
 * TensorFlow.js weights: `weightsManifest` plus shards, including uint8, uint16 and float16 quantized ones.
 * Source: tfjs-core io/io_utils.ts (decodeWeights): value = q * scale + min.
 */
import { ThimbleError } from '../../base/errors.ts'
import { dtypeBytes, elements, type DType } from '../../graph/graph.ts'
import { isObject, type Json } from '../keras/config.ts'
import { needSidecar, type Sidecar } from '../sidecar.ts'
import { decodeNumbers } from '../values.ts'

/** A decoded weight: real values, whatever way they were stored. */
export interface TfjsWeight {
  name: string
  shape: number[]
  dtype: DType
  data: Float32Array
}

const bad = (what: string, where?: string): never => {
  throw new ThimbleError('format/tfjs', what, where === undefined ? {} : { tensor: where })
}
const DTYPES = new Set(['float32', 'int32', 'bool', 'uint8', 'uint16', 'float16', 'int8', 'int16'])

interface Spec {
  name: string
  shape: number[]
  stored: DType
  dtype: DType
  scale: number
  min: number
}

function parseSpec(w: Json): Spec {
  if (!isObject(w) || typeof w.name !== 'string' || !Array.isArray(w.shape)) {
    return bad('malformed weight in the manifest')
  }
  const shape = w.shape.map((d) =>
    typeof d === 'number' && Number.isSafeInteger(d) && d >= 0
      ? d
      : bad('weight has a malformed shape', String(w.name)),
  )
  if (!Number.isSafeInteger(elements(shape)) || elements(shape) > 2 ** 31) return bad('weight is too large', w.name)
  const dtype = w.dtype ?? 'float32'
  const q = isObject(w.quantization) ? w.quantization : undefined
  const stored = q ? q.dtype : dtype
  if (typeof dtype !== 'string' || typeof stored !== 'string' || !DTYPES.has(dtype) || !DTYPES.has(stored)) {
    return bad(`weight type ${String(stored)} is not read`, w.name)
  }
  const affine = q && stored !== 'float16'
  if (affine && (typeof q.scale !== 'number' || typeof q.min !== 'number')) {
    return bad('quantized weight lacks scale and min', w.name)
  }
  return {
    name: w.name,
    shape,
    stored: stored as DType,
    dtype: dtype as DType,
    scale: affine ? (q.scale as number) : 1,
    min: affine ? (q.min as number) : 0,
  }
}

/** Values of consecutive weights in one buffer. */
export function decodeWeights(specs: readonly Json[], bytes: Uint8Array): TfjsWeight[] {
  let at = 0
  return specs.map((json) => {
    const s = parseSpec(json)
    const count = elements(s.shape)
    const length = count * dtypeBytes(s.stored)
    if (at + length > bytes.length) {
      throw new ThimbleError('format/tfjs', 'weight shards are too short', {
        tensor: s.name,
        expected: at + length,
        got: bytes.length,
      })
    }
    const read = decodeNumbers(s.stored, bytes.subarray(at, at + length), count)
    const data = new Float32Array(count)
    const plain = s.scale === 1 && s.min === 0
    for (let i = 0; i < count; i++) data[i] = plain ? read(i) : read(i) * s.scale + s.min
    if (s.dtype === 'int32') for (let i = 0; i < count; i++) data[i] = Math.round(data[i]!)
    at += length
    return { name: s.name, shape: s.shape, dtype: s.dtype, data }
  })
}

/** All weights of a manifest (`[{ paths, weights }]`). Errors: `format/tfjs`, `format/sidecar`. */
export async function readManifest(manifest: Json | undefined, sidecar: Sidecar | undefined): Promise<TfjsWeight[]> {
  if (!Array.isArray(manifest)) return bad('file has no weightsManifest')
  const out: TfjsWeight[][] = []
  for (const group of manifest) {
    if (!isObject(group) || !Array.isArray(group.paths) || !Array.isArray(group.weights)) {
      return bad('malformed weightsManifest')
    }
    const shards: Uint8Array[] = []
    for (const path of group.paths) {
      shards.push(await needSidecar(sidecar, typeof path === 'string' ? path : bad('malformed shard path')))
    }
    const bytes = new Uint8Array(shards.reduce((n, s) => n + s.length, 0))
    let at = 0
    for (const s of shards) {
      bytes.set(s, at)
      at += s.length
    }
    out.push(decodeWeights(group.weights, bytes))
  }
  return out.flat()
}
