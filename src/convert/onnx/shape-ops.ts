/** Data movement and reductions of ONNX, carried out on stored axes. */
import { elements, type OpOf } from '../../graph/graph.ts'
import { resolveShape } from './constants.ts'
import { commonLayout } from './elementwise.ts'
import { attribute, constant, fail, malformed, numbersOf, type Handler, type Reader } from './reader.ts'
import type { OnnxNode } from './model.ts'
import { NCHW, type Activation, type Value } from './values.ts'

const plainOrder = (rank: number): number[] => Array.from({ length: rank }, (_, i) => i)
const normal = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis)

/** A list given as an attribute in old opsets and as an input in new ones. */
function list(r: Reader, n: OnnxNode, key: string, i: number): number[] | undefined {
  const a = n.attributes.get(key)?.ints
  if (a?.length) return a
  if (!n.inputs[i]) return undefined
  return numbersOf(r.input(n, i)) ?? fail(n, `${key} that are not constant`)
}

export const transposeNode: Handler = (r, n) => {
  const x = r.net.settled(n.name, r.input(n, 0))
  const rank = x.permutation.length
  const order = n.attributes.get('perm')?.ints ?? []
  const perm = order.length ? order : plainOrder(rank).reverse()
  if (perm.length !== rank || new Set(perm).size !== rank || perm.some((p) => !(p in x.permutation))) {
    return malformed(n, 'perm')
  }
  return [{ ...x, permutation: perm.map((p) => x.permutation[p]!) }]
}

function reshaped(r: Reader, n: OnnxNode, x: Value, shape: number[]): Value {
  const from = r.net.onnxShape(x)
  if (elements(from) !== elements(shape) || shape.some((d) => d < 1)) {
    return malformed(n, `shape [${shape.join(', ')}] for [${from.join(', ')}]`)
  }
  if (from.length === shape.length && from.every((d, i) => d === shape[i])) return x
  // Flattening an image stays open until something needs the order of its elements.
  if (
    x.kind === 'tensor' &&
    from.length === 4 &&
    shape.length === 2 &&
    shape[0] === from[0] &&
    x.permutation[0] === 0 &&
    from.slice(2).some((d) => d !== 1)
  ) {
    return { kind: 'flat', of: x }
  }
  const id = r.net.reshape(n.name, r.net.plain(n.name, x), shape)
  return { kind: 'tensor', id, permutation: plainOrder(shape.length) }
}

export const reshape: Handler = (r, n) => {
  const x = r.input(n, 0)
  const want = list(r, n, 'shape', 1) ?? malformed(n, 'shape')
  return [reshaped(r, n, x, resolveShape(r.net.onnxShape(x), want, attribute.int(n, 'allowzero', 0) === 1))]
}

export const flatten: Handler = (r, n) => {
  const x = r.input(n, 0)
  const shape = r.net.onnxShape(x)
  const axis = normal(attribute.int(n, 'axis', 1), shape.length)
  return [reshaped(r, n, x, [elements(shape.slice(0, axis)), elements(shape.slice(axis))])]
}

export const squeeze: Handler = (r, n) => {
  const x = r.input(n, 0)
  const shape = r.net.onnxShape(x)
  const axes = list(r, n, 'axes', 1)?.map((a) => normal(a, shape.length))
  return [
    reshaped(
      r,
      n,
      x,
      shape.filter((d, i) => (axes ? !axes.includes(i) : d !== 1)),
    ),
  ]
}

export const unsqueeze: Handler = (r, n) => {
  const x = r.input(n, 0)
  const shape = [...r.net.onnxShape(x)]
  const axes = list(r, n, 'axes', 1) ?? malformed(n, 'axes')
  const rank = shape.length + axes.length
  for (const a of axes.map((v) => normal(v, rank)).sort((p, q) => p - q)) shape.splice(a, 0, 1)
  return [reshaped(r, n, x, shape)]
}

export const concat: Handler = (r, n) => {
  const values = n.inputs.map((_, i) => r.input(n, i))
  const rank = r.net.onnxShape(values[0]!).length
  const axis = normal(n.attributes.get('axis')?.i ?? 1, rank)
  if (axis < 0 || axis >= rank || values.some((v) => r.net.onnxShape(v).length !== rank)) return malformed(n, 'axis')
  const permutation = commonLayout(r, values, rank)
  const parts = values.map((v, i) => r.net.arrange(`${n.name}/${i}`, v, permutation))
  return [{ kind: 'tensor', id: r.net.concat(n.name, parts, permutation[axis]!), permutation }]
}

export const reduce =
  (type: 'MEAN' | 'SUM' | 'REDUCE_MAX' | 'REDUCE_MIN'): Handler =>
  (r, n) => {
    const x = r.net.settled(n.name, r.input(n, 0))
    const shape = r.net.onnxShape(x)
    const axes = (list(r, n, 'axes', 1) ?? plainOrder(shape.length)).map((a) => normal(a, shape.length))
    const keep = attribute.int(n, 'keepdims', 1) === 1
    const stored = axes.map((a) => x.permutation[a] ?? malformed(n, 'axes'))
    const id = r.net.reduce(n.name, x.id, { type, axes: [...stored].sort((a, b) => a - b), keepDims: keep })
    if (keep) return [{ kind: 'tensor', id, permutation: x.permutation }]
    const left = plainOrder(shape.length).filter((d) => !stored.includes(d))
    return [
      { kind: 'tensor', id, permutation: x.permutation.filter((p) => !stored.includes(p)).map((p) => left.indexOf(p)) },
    ]
  }

/** Repeats the first and the last of every dimension; pairs: before and after, dimension by dimension. */
function padEdges(r: Reader, name: string, x: number, pairs: readonly number[]): number {
  let y = x
  for (let d = 0; 2 * d < pairs.length; d++) {
    const [before, after] = [pairs[2 * d]!, pairs[2 * d + 1]!]
    if (before + after === 0) continue
    const shape = r.net.shape(y)
    const edge = (as: string, at: number): number =>
      r.net.slice(
        `${name}/${as}${d}`,
        y,
        shape.map((_, i) => (i === d ? at : 0)),
        shape.map((size, i) => (i === d ? 1 : size)),
      )
    const first = before > 0 ? new Array<number>(before).fill(edge('first', 0)) : []
    const last = after > 0 ? new Array<number>(after).fill(edge('last', shape[d]! - 1)) : []
    y = r.net.concat(`${name}/${d}`, [...first, y, ...last], d)
  }
  return y
}

export const pad: Handler = (r, n) => {
  const x = r.net.settled(n.name, r.input(n, 0))
  const rank = x.permutation.length
  const mode = attribute.text(n, 'mode', 'constant')
  const given = list(r, n, 'pads', 1) ?? list(r, n, 'paddings', 1) ?? malformed(n, 'pads')
  const value = n.attributes.get('value')?.f ?? (n.inputs[2] ? numbersOf(r.input(n, 2))?.[0] : 0) ?? 0
  if (mode !== 'constant' && mode !== 'reflect' && mode !== 'edge') return fail(n, `mode "${mode}"`)
  const mirror = mode === 'reflect'
  const axes = (list(r, n, 'axes', 3) ?? plainOrder(rank)).map((a) => normal(a, rank))
  if (given.length !== 2 * axes.length || given.some((p) => !(Number.isInteger(p) && p >= 0 && p <= 1 << 16))) {
    return given.some((p) => p < 0) ? fail(n, 'negative pads') : malformed(n, 'pads')
  }
  const pairs = new Array<number>(2 * rank).fill(0)
  axes.forEach((a, i) => {
    pairs[2 * x.permutation[a]!] = given[i]!
    pairs[2 * x.permutation[a]! + 1] = given[i + axes.length]!
  })
  const shape = r.net.shape(x.id).map((d, i) => d + pairs[2 * i]! + pairs[2 * i + 1]!)
  const inputs = [x.id, r.net.int32(`${n.name}/paddings`, [rank, 2], pairs)]
  if (mirror && pairs.some((p, i) => p >= r.net.shape(x.id)[i >> 1]!)) return malformed(n, 'pads')
  if (mode === 'edge') return [{ ...x, id: padEdges(r, n.name, x.id, pairs) }]
  if (!mirror && value !== 0) {
    const filling = r.net.constant(`${n.name}/value`, { shape: [1], data: Float32Array.of(value) })
    const padded = r.net.op<OpOf<'PADV2'>>({ type: 'PADV2', inputs: [...inputs, filling], attrs: {} }, n.name, shape)
    return [{ ...x, id: padded }]
  }
  const id = mirror
    ? r.net.op<OpOf<'MIRROR_PAD'>>({ type: 'MIRROR_PAD', inputs, attrs: { mode: 'REFLECT' } }, n.name, shape)
    : r.net.op<OpOf<'PAD'>>({ type: 'PAD', inputs, attrs: {} }, n.name, shape)
  return [{ ...x, id }]
}

export const slice: Handler = (r, n) => {
  const x = r.net.settled(n.name, r.input(n, 0))
  const shape = r.net.onnxShape(x)
  const starts = list(r, n, 'starts', 1) ?? malformed(n, 'starts')
  const ends = list(r, n, 'ends', 2) ?? malformed(n, 'ends')
  const axes = (list(r, n, 'axes', 3) ?? plainOrder(starts.length)).map((a) => normal(a, shape.length))
  const steps = list(r, n, 'steps', 4) ?? axes.map(() => 1)
  const begin = new Array<number>(shape.length).fill(0)
  const end = [...r.net.shape(x.id)]
  const step = new Array<number>(shape.length).fill(1)
  axes.forEach((a, i) => {
    const d = shape[a] ?? malformed(n, 'axes')
    const clamp = (v: number): number => Math.max(0, Math.min(d, v < 0 ? v + d : v))
    const s = x.permutation[a]!
    begin[s] = clamp(starts[i]!)
    end[s] = clamp(ends[i]!)
    step[s] = steps[i]!
  })
  if (step.some((s) => s < 1)) return fail(n, 'negative steps')
  const size = end.map((e, i) => Math.ceil((e - begin[i]!) / step[i]!))
  if (size.some((s) => s < 1)) return malformed(n, 'range')
  if (step.every((s) => s === 1)) return [{ ...x, id: r.net.slice(n.name, x.id, begin, size) }]
  const rank = shape.length
  const inputs = [
    x.id,
    r.net.int32(`${n.name}/begin`, [rank], begin),
    r.net.int32(`${n.name}/end`, [rank], end),
    r.net.int32(`${n.name}/strides`, [rank], step),
  ]
  const attrs = { beginMask: 0, endMask: 0, ellipsisMask: 0, newAxisMask: 0, shrinkAxisMask: 0 }
  return [{ ...x, id: r.net.op<OpOf<'STRIDED_SLICE'>>({ type: 'STRIDED_SLICE', inputs, attrs }, n.name, size) }]
}

export const split: Handler = (r, n) => {
  const x = r.net.settled(n.name, r.input(n, 0))
  const shape = r.net.onnxShape(x)
  const axis = normal(attribute.int(n, 'axis', 0), shape.length)
  const parts = n.outputs.length
  const even = Math.ceil(shape[axis]! / parts)
  const sizes = list(r, n, 'split', 1) ?? n.outputs.map((_, i) => Math.min(even, shape[axis]! - i * even))
  if (sizes.reduce((a, b) => a + b, 0) !== shape[axis] || sizes.some((s) => s < 1)) return malformed(n, 'split')
  const at = x.permutation[axis]!
  const stored = r.net.shape(x.id)
  let from = 0
  return sizes.map((size, i): Value => {
    const begin = stored.map((_, d) => (d === at ? from : 0))
    from += size
    return {
      ...x,
      id: r.net.slice(
        `${n.name}/${i}`,
        x.id,
        begin,
        stored.map((d, k) => (k === at ? size : d)),
      ),
    }
  })
}

export const argMax: Handler = (r, n) => {
  const x = r.net.settled(n.name, r.input(n, 0))
  const shape = r.net.onnxShape(x)
  const axis = normal(attribute.int(n, 'axis', 0), shape.length)
  if (attribute.int(n, 'select_last_index', 0) !== 0) return fail(n, 'select_last_index')
  const at = x.permutation[axis] ?? malformed(n, 'axis')
  const left = plainOrder(shape.length).filter((d) => d !== at)
  const stored = left.map((d) => r.net.shape(x.id)[d]!)
  const id = r.net.op<OpOf<'ARG_MAX'>>(
    { type: 'ARG_MAX', inputs: [x.id, r.net.int32(`${n.name}/axis`, [1], [at])], attrs: { outputType: 'int64' } },
    n.name,
    stored,
    'int64',
  )
  const permutation = x.permutation.filter((p) => p !== at).map((p) => left.indexOf(p))
  if (attribute.int(n, 'keepdims', 1) === 0) return [{ kind: 'tensor', id, permutation }]
  const kept = r.net.op<OpOf<'RESHAPE'>>(
    { type: 'RESHAPE', inputs: [id], attrs: {} },
    `${n.name}/kept`,
    r.net.shape(x.id).map((d, i) => (i === at ? 1 : d)),
    'int64',
  )
  return [{ kind: 'tensor', id: kept, permutation: x.permutation }]
}

export const shapeNode: Handler = (r, n) => {
  const shape = r.net.onnxShape(r.input(n, 0))
  const start = normal(attribute.int(n, 'start', 0), shape.length)
  const end = n.attributes.has('end') ? normal(attribute.int(n, 'end', 0), shape.length) : shape.length
  const part = shape.slice(start, end)
  return [constant(n.name, { dtype: 'int64', shape: [part.length], data: Float64Array.from(part) })]
}

/** Resize and Upsample in the sampling conventions that TFLite has too. */
export const resize: Handler = (r, n) => {
  const x: Activation = { kind: 'tensor', id: r.net.nhwc(n.name, r.input(n, 0)), permutation: NCHW }
  const shape = r.net.onnxShape(x)
  const upsample = n.type === 'Upsample'
  const given = (i: number): number[] | undefined => (n.inputs[i] ? numbersOf(r.input(n, i)) : undefined)
  const sizes = upsample || r.opset < 11 ? undefined : given(3)
  const scales = upsample ? (n.attributes.get('scales')?.floats ?? given(1)) : r.opset < 11 ? given(1) : given(2)
  const target =
    sizes?.length === 4
      ? sizes
      : scales?.length === 4
        ? shape.map((d, i) => Math.floor(d * scales[i]! + 1e-6))
        : malformed(n, 'sizes')
  if (target[0] !== shape[0] || target[1] !== shape[1] || target.some((d) => d < 1 || d > 1 << 16)) {
    return fail(n, 'resizing of batch or channels')
  }
  const mode = attribute.text(n, 'mode', 'nearest')
  const where =
    upsample || r.opset < 11 ? 'asymmetric' : attribute.text(n, 'coordinate_transformation_mode', 'half_pixel')
  const rounding = upsample || r.opset < 11 ? 'floor' : attribute.text(n, 'nearest_mode', 'round_prefer_floor')
  const grows = target.every((d, i) => d % shape[i]! === 0)
  const halfPixel = where === 'half_pixel' || (where === 'pytorch_half_pixel' && target[2]! > 1 && target[3]! > 1)
  if (mode === 'linear' || mode === 'bilinear') {
    if (!halfPixel && where !== 'asymmetric' && where !== 'align_corners') return fail(n, `coordinates "${where}"`)
    return [
      {
        ...x,
        id: r.net.resize(n.name, x.id, 'RESIZE_BILINEAR', {
          h: target[2]!,
          w: target[3]!,
          alignCorners: where === 'align_corners',
          halfPixelCenters: halfPixel,
        }),
      },
    ]
  }
  // At whole factors every convention picks the same pixel.
  const legacy = (where === 'asymmetric' && rounding === 'floor') || (grows && halfPixel)
  if (mode !== 'nearest' || !legacy) return fail(n, `mode "${mode}", coordinates "${where}", rounding "${rounding}"`)
  return [
    {
      ...x,
      id: r.net.resize(n.name, x.id, 'RESIZE_NEAREST_NEIGHBOR', {
        h: target[2]!,
        w: target[3]!,
        alignCorners: false,
        halfPixelCenters: false,
      }),
    },
  ]
}
