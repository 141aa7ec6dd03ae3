/** Blocks of pixels to channels and back: TFLite's ops are ONNX's, on channels that lie last. */
import type { OpOf } from '../../graph/graph.ts'
import { attribute, fail, malformed, type Handler } from './reader.ts'
import { NCHW } from './values.ts'

export const blocksToImage: Handler = (r, n) => {
  const size = attribute.int(n, 'blocksize', 0)
  const mode = attribute.text(n, 'mode', 'DCR')
  let x = r.net.nhwc(n.name, r.input(n, 0))
  const [batch, h, w, c] = r.net.shape(x) as [number, number, number, number]
  const out = c / (size * size)
  if (!(size >= 1) || !Number.isInteger(out)) return malformed(n, 'blocksize')
  if (mode !== 'DCR' && mode !== 'CRD') return fail(n, `mode "${mode}"`)
  if (mode === 'CRD' && size > 1 && out > 1) {
    // A channel's block lies together in the file (PixelShuffle): its places come first here.
    const order = Array.from({ length: c }, (_, i) => (i % out) * size * size + Math.floor(i / out))
    const inputs = [x, r.net.int32(`${n.name}/order`, [c], order)]
    const attrs = { axis: 3, batchDims: 0 }
    x = r.net.op<OpOf<'GATHER'>>({ type: 'GATHER', inputs, attrs }, `${n.name}/ordered`, [batch, h, w, c])
  }
  const id = r.net.op<OpOf<'DEPTH_TO_SPACE'>>(
    { type: 'DEPTH_TO_SPACE', inputs: [x], attrs: { blockSize: size } },
    n.name,
    [batch, h * size, w * size, out],
  )
  return [{ kind: 'tensor', id, permutation: NCHW }]
}

export const imageToBlocks: Handler = (r, n) => {
  const size = attribute.int(n, 'blocksize', 0)
  const x = r.net.nhwc(n.name, r.input(n, 0))
  const [batch, h, w, c] = r.net.shape(x) as [number, number, number, number]
  if (!(size >= 1) || h % size !== 0 || w % size !== 0) return malformed(n, 'blocksize')
  const id = r.net.op<OpOf<'SPACE_TO_DEPTH'>>(
    { type: 'SPACE_TO_DEPTH', inputs: [x], attrs: { blockSize: size } },
    n.name,
    [batch, h / size, w / size, c * size * size],
  )
  return [{ kind: 'tensor', id, permutation: NCHW }]
}
