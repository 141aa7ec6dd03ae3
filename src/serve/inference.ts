/** Open Inference Protocol v2 tensors, as JSON and in the binary extension, to typed arrays and back. */
import { ThimbleError } from '../base/errors.ts'
import type { DType } from '../graph/graph.ts'
import { elements } from '../graph/graph.ts'
import type { TensorInfo, TypedArray } from '../graph/types.ts'
import { joined } from './bodies.ts'

/** The protocol's names of types. */
export const DATATYPES: Partial<Record<DType, string>> = {
  uint8: 'UINT8',
  int8: 'INT8',
  int16: 'INT16',
  int32: 'INT32',
  int64: 'INT64',
  float32: 'FP32',
  bool: 'BOOL',
}
const ARRAYS = {
  UINT8: Uint8Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  INT64: BigInt64Array,
  FP32: Float32Array,
  BOOL: Uint8Array,
} as const
const RANGES: Record<string, [number, number]> = {
  UINT8: [0, 255],
  INT8: [-128, 127],
  INT16: [-32768, 32767],
  INT32: [-2147483648, 2147483647],
}

const bad = (what: string, tensor?: string, expected?: string | number, got?: string | number): ThimbleError =>
  new ThimbleError('usage/tensor', what, { tensor, expected, got })

type Json = Record<string, unknown>
/** A value of JSON as an error names it: lists may be too deep, objects without a text. */
const shown = (v: unknown): string =>
  typeof v === 'object' && v !== null
    ? Array.isArray(v)
      ? 'a list'
      : 'an object'
    : (JSON.stringify(v) ?? 'nothing').slice(0, 40)
const isObject = (v: unknown): v is Json => typeof v === 'object' && v !== null && !Array.isArray(v)

export const tensorOf = ({ name, shape, dtype }: TensorInfo): object => ({
  name,
  datatype: DATATYPES[dtype] ?? dtype.toUpperCase(),
  shape: [...shape],
})

/** Values of JSON, nested or flat, as the tensor's type. Errors: `usage/tensor`. */
function fromJson(data: unknown, type: keyof typeof ARRAYS, count: number, name: string): TypedArray {
  if (!Array.isArray(data)) throw bad('the tensor has no data', name, 'a list')
  const values: unknown[] = data.flat(8)
  if (values.length !== count) throw bad('wrong number of values', name, count, values.length)
  const out = new ARRAYS[type](count) as TypedArray
  values.forEach((value, i) => {
    const wrong = (): ThimbleError => bad(`value ${i} is no ${type}`, name, type, shown(value))
    if (type === 'BOOL') {
      if (typeof value !== 'boolean' && value !== 0 && value !== 1) throw wrong()
      out[i] = Number(value)
      return
    }
    if (typeof value !== 'number') throw wrong()
    if (type !== 'FP32') {
      const [low, high] = RANGES[type] ?? [-Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER]
      if (!Number.isInteger(value) || value < low || value > high) throw wrong()
    }
    if (out instanceof BigInt64Array) out[i] = BigInt(value)
    else out[i] = value
  })
  return out
}

export interface InferRequest {
  id?: string
  inputs: TypedArray[]
  /** Outputs that are wanted: index, and whether in binary. */
  outputs: { index: number; binary: boolean }[]
}

/** Reads a request's body, `headerLength` bytes of JSON and then binary data. Errors: `usage/tensor`, `usage/input`. */
export function readInfer(
  body: Uint8Array,
  headerLength: number | undefined,
  model: { inputs: TensorInfo[]; outputs: TensorInfo[] },
): InferRequest {
  if (
    headerLength !== undefined &&
    (!Number.isInteger(headerLength) || headerLength < 0 || headerLength > body.length)
  ) {
    throw bad('Inference-Header-Content-Length is wrong', undefined, `0 to ${body.length}`)
  }
  let json: unknown
  try {
    json = JSON.parse(new TextDecoder().decode(body.subarray(0, headerLength ?? body.length)))
  } catch {
    throw bad('the request is no JSON')
  }
  if (!isObject(json) || !Array.isArray(json.inputs)) throw bad('the request has no inputs')
  const given = json.inputs as unknown[]
  if (given.length !== model.inputs.length) {
    throw bad('wrong number of inputs', undefined, model.inputs.length, given.length)
  }
  const inputs: TypedArray[] = new Array(model.inputs.length) as TypedArray[]
  let at = headerLength ?? body.length
  for (const input of given) {
    if (!isObject(input) || typeof input.name !== 'string') throw bad('an input has no name')
    const { name } = input
    const index = model.inputs.findIndex((t, i) => t.name === name && inputs[i] === undefined)
    if (index < 0) {
      throw bad(`no input is called ${name.slice(0, 80)}`, undefined, model.inputs.map((t) => t.name).join(', '))
    }
    const info = model.inputs[index]!
    const type = DATATYPES[info.dtype] as keyof typeof ARRAYS | undefined
    if (!type || input.datatype !== type) {
      throw bad('wrong datatype', name, type ?? info.dtype, shown(input.datatype))
    }
    const { shape } = input
    const sizes: unknown[] = Array.isArray(shape) ? shape : []
    if (sizes.length !== info.shape.length || sizes.some((size, i) => size !== info.shape[i])) {
      const got = sizes.length && sizes.length <= 8 ? `[${sizes.map(shown).join(', ')}]` : shown(shape)
      throw bad('wrong shape', name, `[${info.shape.join(', ')}]`, got)
    }
    const count = elements(info.shape)
    const size = isObject(input.parameters) ? input.parameters.binary_data_size : undefined
    if (size === undefined) {
      inputs[index] = fromJson(input.data, type, count, name)
      continue
    }
    const wanted = count * ARRAYS[type].BYTES_PER_ELEMENT
    if (size !== wanted) throw bad('wrong number of bytes', name, wanted, shown(size))
    if (at + wanted > body.length) throw bad('wrong number of bytes', name, wanted, body.length - at)
    inputs[index] = new ARRAYS[type](body.slice(at, at + wanted).buffer)
    at += wanted
  }
  if (at !== body.length) throw bad('bytes behind the last tensor', undefined, 0, body.length - at)
  const parameter = (o: unknown, name: string): unknown =>
    isObject(o) && isObject(o.parameters) ? o.parameters[name] : undefined
  const allBinary = parameter(json, 'binary_data_output') === true
  const wanted = Array.isArray(json.outputs) && json.outputs.length ? (json.outputs as unknown[]) : undefined
  // An output asked for again and again would make a small request a large answer.
  if (wanted && wanted.length > model.outputs.length) {
    throw bad('too many outputs are asked for', undefined, `at most ${model.outputs.length}`, wanted.length)
  }
  const outputs = wanted
    ? wanted.map((o) => {
        const index = isObject(o) ? model.outputs.findIndex((t) => t.name === o.name) : -1
        if (index < 0) throw bad('no such output', undefined, model.outputs.map((t) => t.name).join(', '))
        const binary = parameter(o, 'binary_data')
        return { index, binary: binary === undefined ? allBinary : binary === true }
      })
    : model.outputs.map((_, index) => ({ index, binary: allBinary }))
  return { ...(typeof json.id === 'string' ? { id: json.id } : {}), inputs, outputs }
}

/** The answer's body, and the length of its JSON where binary data follows. */
export function writeInfer(
  name: string,
  request: InferRequest,
  values: TypedArray[],
  infos: TensorInfo[],
): { body: Uint8Array; headerLength?: number } {
  const parts: Uint8Array[] = []
  const outputs = request.outputs.map(({ index, binary }) => {
    const value = values[index]!
    if (!binary) {
      const numbers = Array.from(value as ArrayLike<number | bigint>, Number)
      return { ...tensorOf(infos[index]!), data: infos[index]!.dtype === 'bool' ? numbers.map(Boolean) : numbers }
    }
    parts.push(new Uint8Array(value.buffer, value.byteOffset, value.byteLength))
    return { ...tensorOf(infos[index]!), parameters: { binary_data_size: value.byteLength } }
  })
  const json = {
    model_name: name,
    model_version: '1',
    ...(request.id === undefined ? {} : { id: request.id }),
    outputs,
  }
  const header = new TextEncoder().encode(JSON.stringify(json))
  if (!parts.length) return { body: header }
  return { body: joined([header, ...parts]), headerLength: header.length }
}
