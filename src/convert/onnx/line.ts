/** Windows along one dimension ([N, C, L]: audio, motion) as windows over images one pixel high. */
import type { OnnxAttribute, OnnxNode } from './model.ts'
import { type Handler, malformed, type Reader } from './reader.ts'
import { NCHW, type Value } from './values.ts'

/** [N, C, L] is stored [N, L, C]. */
const NCL = [0, 2, 1]

/** Attributes of a window of two dimensions: nothing happens along the first. */
function raised(attributes: OnnxNode['attributes']): OnnxNode['attributes'] {
  const with1 = (key: string, ints: readonly number[]): number[] =>
    key === 'pads' ? [0, ints[0] ?? 0, 0, ints[1] ?? 0] : [key === 'output_padding' ? 0 : 1, ...ints]
  const KEYS = ['kernel_shape', 'strides', 'dilations', 'pads', 'output_padding', 'output_shape']
  return new Map(
    [...attributes].map(([key, a]): [string, OnnxAttribute] =>
      KEYS.includes(key) && a.ints.length > 0 ? [key, { ...a, ints: with1(key, a.ints) }] : [key, a],
    ),
  )
}

/** A handler of windows over images that takes lines, too. */
export const alongLine =
  (handler: Handler): Handler =>
  (r, n) => {
    const x = r.input(n, 0)
    if (x.kind === 'constant' || r.net.onnxShape(x).length !== 3) return handler(r, n)
    const line = r.net.arrange(`${n.name}/line`, x, NCL)
    const [batch, length, channels] = r.net.shape(line) as [number, number, number]
    const image = r.net.reshape(`${n.name}/image`, line, [batch, 1, length, channels])
    const input = (node: OnnxNode, i: number): Value => {
      if (i === 0) return { kind: 'tensor', id: image, permutation: NCHW }
      const v = r.input(node, i)
      if (i !== 1 || v.kind !== 'constant') return v
      const [o, c, k] = v.value.shape
      if (v.value.shape.length !== 3) return malformed(n, 'weights')
      return { ...v, value: { ...v.value, shape: [o!, c!, 1, k!] } }
    }
    const reader: Reader = {
      net: r.net,
      opset: r.opset,
      input,
      optional: (node, i) => (node.inputs[i] ? input(node, i) : undefined),
    }
    return handler(reader, { ...n, attributes: raised(n.attributes) }).map((y): Value => {
      const id = r.net.nhwc(`${n.name}/image result`, y)
      const [b, , l, c] = r.net.shape(id) as [number, number, number, number]
      return { kind: 'tensor', id: r.net.reshape(`${n.name}/line result`, id, [b, l, c]), permutation: NCL }
    })
  }
