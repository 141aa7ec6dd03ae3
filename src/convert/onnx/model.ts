/** ONNX ModelProto to plain objects. Source: onnx/onnx.proto3 (field numbers). */
import { ThimbleError } from '../../base/errors.ts'
import { dtypeBytes, elements, type DType } from '../../graph/graph.ts'
import { needSidecar, type Sidecar } from '../sidecar.ts'
import { decodeNumbers } from '../values.ts'
import { fields, float, floats, int, ints, text } from './protobuf.ts'

/** A constant: numbers (exact for every type but large 64-bit integers). */
export interface OnnxTensor {
  name: string
  dtype: DType | 'bfloat16'
  shape: number[]
  data: Float32Array | Float64Array
}
export interface OnnxAttribute {
  f?: number
  i?: number
  s?: string
  t?: OnnxTensor | undefined
  floats: number[]
  ints: number[]
  hasGraph: boolean
}
export interface OnnxNode {
  type: string
  domain: string
  name: string
  inputs: string[]
  outputs: string[]
  attributes: Map<string, OnnxAttribute>
}
/** -1 for an open dimension. */
export interface OnnxValue {
  name: string
  dtype?: DType
  shape?: number[]
}
export interface OnnxModel {
  opset: number
  producer: string
  name: string
  nodes: OnnxNode[]
  constants: Map<string, OnnxTensor>
  inputs: OnnxValue[]
  outputs: OnnxValue[]
}

const DTYPES: Record<number, DType | 'bfloat16'> = {
  1: 'float32',
  2: 'uint8',
  3: 'int8',
  4: 'uint16',
  5: 'int16',
  6: 'int32',
  7: 'int64',
  9: 'bool',
  10: 'float16',
  11: 'float64',
  12: 'uint32',
  13: 'uint64',
  16: 'bfloat16',
}
const MAX_NODES = 200000
const bad = (what: string, where?: string, got?: string | number): never => {
  throw new ThimbleError('format/onnx', what, {
    ...(where === undefined ? {} : { tensor: where }),
    ...(got === undefined ? {} : { got }),
  })
}

interface Raw {
  name: string
  type: number
  dims: number[]
  raw?: Uint8Array
  numbers: number[]
  external?: Map<string, string>
  located: boolean
}

function parseTensor(bytes: Uint8Array): Raw {
  const t: Raw = { name: '', type: 0, dims: [], numbers: [], located: false }
  for (const f of fields(bytes)) {
    switch (f.number) {
      case 1:
        ints(f, t.dims)
        break
      case 2:
        t.type = int(f.value)
        break
      case 4:
        floats(f, t.numbers)
        break
      case 5:
      case 7:
      case 11:
        ints(f, t.numbers)
        break
      case 8:
        t.name = text(f)
        break
      case 9:
        t.raw = f.bytes
        break
      case 10:
        floats(f, t.numbers, 8)
        break
      case 13: {
        const [k, v] = entry(f.bytes)
        ;(t.external ??= new Map()).set(k, v)
        break
      }
      case 14:
        t.located = int(f.value) === 1
        break
    }
  }
  return t
}

function entry(bytes: Uint8Array): [string, string] {
  let key = ''
  let value = ''
  for (const f of fields(bytes)) {
    if (f.number === 1) key = text(f)
    else if (f.number === 2) value = text(f)
  }
  return [key, value]
}

/** Where a tensor's external bytes are: file name, offset, length. */
function externalSlice(raw: Raw, file: Uint8Array): Uint8Array {
  const offset = Number(raw.external!.get('offset') ?? 0)
  const length = Number(raw.external!.get('length') ?? file.length - offset)
  if (![offset, length].every((v) => Number.isSafeInteger(v) && v >= 0) || offset + length > file.length) {
    return bad('external data lies outside its file', raw.name, file.length)
  }
  return file.subarray(offset, offset + length)
}

function decode(raw: Raw, external: Map<string, Uint8Array>): OnnxTensor {
  const dtype = DTYPES[raw.type]
  if (!dtype) return bad('constant type is not read', raw.name, raw.type)
  const count = elements(raw.dims)
  if (!raw.dims.every((d) => d >= 0) || !Number.isSafeInteger(count) || count > 2 ** 31) {
    return bad('constant has a bad shape', raw.name, raw.dims.join('x'))
  }
  const location = raw.located
    ? (raw.external?.get('location') ?? bad('external constant without a file', raw.name))
    : undefined
  const bytes = location === undefined ? raw.raw : externalSlice(raw, external.get(location)!)
  const wide = dtype === 'float64' || (dtype.includes('32') && dtype !== 'float32') || dtype.includes('64')
  if (bytes === undefined) {
    // Half floats travel as their bits in int32_data.
    if (raw.numbers.length !== count) return bad('constant does not fill its shape', raw.name, raw.numbers.length)
    if (dtype === 'float16' || dtype === 'bfloat16') {
      return decode({ ...raw, located: false, raw: new Uint8Array(Uint16Array.from(raw.numbers).buffer) }, external)
    }
    return {
      name: raw.name,
      dtype,
      shape: raw.dims,
      data: wide ? Float64Array.from(raw.numbers) : Float32Array.from(raw.numbers),
    }
  }
  if (bytes.length !== count * (dtype === 'bfloat16' ? 2 : dtypeBytes(dtype))) {
    return bad('constant does not fill its shape', raw.name, bytes.length)
  }
  if (dtype === 'bfloat16') {
    const data = new Float32Array(count)
    const bits = new Uint32Array(data.buffer)
    for (let i = 0; i < count; i++) bits[i] = ((bytes[2 * i + 1]! << 8) | bytes[2 * i]!) << 16
    return { name: raw.name, dtype, shape: raw.dims, data }
  }
  if (dtype === 'float32') {
    return { name: raw.name, dtype, shape: raw.dims, data: new Float32Array(bytes.slice().buffer) }
  }
  const read = decodeNumbers(dtype, bytes, count)
  const data = wide ? new Float64Array(count) : new Float32Array(count)
  for (let i = 0; i < count; i++) data[i] = read(i)
  return { name: raw.name, dtype, shape: raw.dims, data }
}

interface RawAttribute extends Omit<OnnxAttribute, 't'> {
  t?: Raw
}
function parseAttribute(bytes: Uint8Array): [string, RawAttribute] {
  let name = ''
  const a: RawAttribute = { floats: [], ints: [], hasGraph: false }
  for (const f of fields(bytes)) {
    switch (f.number) {
      case 1:
        name = text(f)
        break
      case 2:
        if (f.wire === 5) a.f = float(f)
        break
      case 3:
        a.i = int(f.value)
        break
      case 4:
        a.s = text(f)
        break
      case 5:
        a.t = parseTensor(f.bytes)
        break
      case 6:
      case 11:
        a.hasGraph = true
        break
      case 7:
        floats(f, a.floats)
        break
      case 8:
        ints(f, a.ints)
        break
    }
  }
  return [name, a]
}

interface RawNode extends Omit<OnnxNode, 'attributes'> {
  attributes: Map<string, RawAttribute>
}
function parseNode(bytes: Uint8Array): RawNode {
  const n: RawNode = { type: '', domain: '', name: '', inputs: [], outputs: [], attributes: new Map() }
  for (const f of fields(bytes)) {
    switch (f.number) {
      case 1:
        n.inputs.push(text(f))
        break
      case 2:
        n.outputs.push(text(f))
        break
      case 3:
        n.name = text(f)
        break
      case 4:
        n.type = text(f)
        break
      case 5: {
        const [k, v] = parseAttribute(f.bytes)
        n.attributes.set(k, v)
        break
      }
      case 7:
        n.domain = text(f)
        break
    }
  }
  return n
}

/** Walks single sub-messages: `message(bytes, 2, 1)` is field 1 of field 2. */
function message(bytes: Uint8Array, ...path: number[]): Uint8Array | undefined {
  let at: Uint8Array | undefined = bytes
  for (const number of path) {
    let next: Uint8Array | undefined
    for (const f of fields(at)) if (f.number === number && f.wire === 2) next = f.bytes
    if (!next) return undefined
    at = next
  }
  return at
}

function parseValue(bytes: Uint8Array): OnnxValue {
  const v: OnnxValue = { name: '' }
  for (const f of fields(bytes)) if (f.number === 1) v.name = text(f)
  const type = message(bytes, 2, 1)
  if (!type) return v
  for (const f of fields(type)) {
    if (f.number === 1) {
      const d = DTYPES[int(f.value)]
      if (d && d !== 'bfloat16') v.dtype = d
    }
    if (f.number !== 2) continue
    v.shape = [...fields(f.bytes)]
      .filter((d) => d.number === 1)
      .map((d) => {
        let length = -1
        for (const g of fields(d.bytes)) if (g.number === 1) length = int(g.value)
        return length > 0 ? length : -1
      })
  }
  return v
}

/** True for bytes that are a ModelProto at the top level: known field numbers with their wire types, and a graph. */
export function isOnnx(bytes: Uint8Array): boolean {
  const wires: Record<number, number> = { 1: 0, 2: 2, 3: 2, 4: 2, 5: 0, 6: 2, 7: 2, 8: 2, 14: 2, 20: 2, 25: 2, 26: 2 }
  let graph = false
  try {
    for (const f of fields(bytes)) {
      if (wires[f.number] !== f.wire) return false
      graph ||= f.number === 7
    }
  } catch {
    return graph
  }
  return graph
}

/**
 * Parses a model; external data comes from the sidecar.
 * Errors: `format/protobuf`, `format/onnx`, `format/sidecar`.
 */
export async function parseOnnx(bytes: Uint8Array, sidecar?: Sidecar): Promise<OnnxModel> {
  let graph: Uint8Array | undefined
  let opset = 0
  let producer = ''
  for (const f of fields(bytes)) {
    if (f.number === 2) producer = text(f)
    if (f.number === 7) graph = f.bytes
    if (f.number === 8) {
      let domain = ''
      let version = 0
      for (const g of fields(f.bytes)) {
        if (g.number === 1) domain = text(g)
        else if (g.number === 2) version = int(g.value)
      }
      if (domain === '' || domain === 'ai.onnx') opset = version
    }
  }
  if (!graph) return bad('file holds no graph')
  const nodes: RawNode[] = []
  const raws: Raw[] = []
  const model: OnnxModel = {
    opset: opset || 1,
    producer,
    name: '',
    nodes: [],
    constants: new Map(),
    inputs: [],
    outputs: [],
  }
  for (const f of fields(graph)) {
    switch (f.number) {
      case 1:
        nodes.push(parseNode(f.bytes))
        break
      case 2:
        model.name = text(f)
        break
      case 5:
        raws.push(parseTensor(f.bytes))
        break
      case 11:
        model.inputs.push(parseValue(f.bytes))
        break
      case 12:
        model.outputs.push(parseValue(f.bytes))
        break
      case 15:
        bad('sparse constants are not read')
    }
    if (nodes.length > MAX_NODES) bad('graph has too many nodes')
  }
  const external = new Map<string, Uint8Array>()
  for (const t of [...raws, ...nodes.flatMap((n) => [...n.attributes.values()].flatMap((a) => a.t ?? []))]) {
    const location = t.located ? t.external?.get('location') : undefined
    if (location !== undefined && !external.has(location)) external.set(location, await needSidecar(sidecar, location))
  }
  for (const t of raws) model.constants.set(t.name, decode(t, external))
  model.nodes = nodes.map((n) => ({
    ...n,
    attributes: new Map([...n.attributes].map(([k, a]) => [k, { ...a, t: a.t && decode(a.t, external) }])),
  }))
  // Old files list their constants among the inputs.
  model.inputs = model.inputs.filter((i) => !model.constants.has(i.name))
  return model
}
