/** Windows over images: sizes, padding, and the input with its padding in place. */
import type { OpOf, Tensor } from '../graph/graph.ts'
import { reachOf, windowAlong, type Axis } from '../graph/window.ts'
import type { Context, Q } from './context.ts'
import type { Buffer, Step, Value } from './program.ts'

function checkPositive(cx: Context, name: string, h: number, w: number): void {
  if (!(h >= 1 && w >= 1)) {
    throw cx.fail('lower/attribute', `${name} must be positive`, undefined, { expected: '>= 1', got: h >= 1 ? w : h })
  }
}

/** Rows and columns of a filter. */
export interface FilterSize {
  kh: number
  kw: number
}

/** Errors: `lower/attribute` unless strides, dilations and filter sizes are positive. */
export function checkWindow(cx: Context, a: Omit<Strided, 'padding'>, { kh, kw }: FilterSize): void {
  checkPositive(cx, 'stride', a.strideH, a.strideW)
  checkPositive(cx, 'dilation', a.dilationH, a.dilationW)
  checkPositive(cx, 'filter size', kh, kw)
}

/** A filter's window and how it goes over an image. */
export interface Window extends FilterSize {
  strideH: number
  strideW: number
  dilationH: number
  dilationW: number
  y: Axis
  x: Axis
}

/** What a convolution's attributes say about its window. */
type Strided = Pick<OpOf<'CONV_2D'>['attrs'], 'padding' | 'strideH' | 'strideW' | 'dilationH' | 'dilationW'>

const NO_PADDING = { top: 0, bottom: 0, left: 0, right: 0 }

/** The window of the present op, with a PAD that was folded into it. Errors: as checkWindow. */
export function windowOf(cx: Context, a: Strided, x: Pick<Value, 'h' | 'w' | 'pad'>, filter: FilterSize): Window {
  checkWindow(cx, a, filter)
  const { kh, kw } = filter
  const pad = x.pad ?? NO_PADDING
  return {
    kh,
    kw,
    strideH: a.strideH,
    strideW: a.strideW,
    dilationH: a.dilationH,
    dilationW: a.dilationW,
    y: windowAlong({
      padding: a.padding,
      size: x.h,
      kernel: kh,
      stride: a.strideH,
      dilation: a.dilationH,
      before: pad.top,
      after: pad.bottom,
    }),
    x: windowAlong({
      padding: a.padding,
      size: x.w,
      kernel: kw,
      stride: a.strideW,
      dilation: a.dilationW,
      before: pad.left,
      after: pad.right,
    }),
  }
}

/** That of a matrix product: `rows` rows as the pixels of one row of an image. */
export function rowWindow(rows: number): Window {
  const one: Axis = { out: 1, before: 0, after: 0 }
  return { kh: 1, kw: 1, strideH: 1, strideW: 1, dilationH: 1, dilationW: 1, y: one, x: { ...one, out: rows } }
}

/** Sizes of an image in elements. */
export interface ImageShape {
  n: number
  h: number
  w: number
  c: number
}

/** Those of a tensor of rank 4. Errors: `lower/shape` for another. */
export function imageOf(cx: Context, t: Tensor): ImageShape {
  if (t.shape.length !== 4) throw cx.fail('lower/shape', 'rank', t, { expected: 4, got: t.shape.length })
  const [n, h, w, c] = t.shape as [number, number, number, number]
  return { n, h, w, c }
}

/**
 * The window with which a TRANSPOSE_CONV goes from `y` back to `x`: what the forward convolution of its output pads.
 * Errors: as checkWindow.
 */
export function transposedWindow(
  cx: Context,
  x: Pick<ImageShape, 'h' | 'w'>,
  y: Pick<ImageShape, 'h' | 'w'>,
  { kh, kw }: FilterSize,
): Window {
  const { strideH, strideW } = (cx.op as OpOf<'TRANSPOSE_CONV'>).attrs
  const strides = { strideH, strideW, dilationH: 1, dilationW: 1 }
  checkWindow(cx, strides, { kh, kw })
  const along = (out: number, kernel: number, stride: number, size: number): Axis => ({
    ...windowAlong({ padding: 'SAME', size: out, kernel, stride, out: size }),
    out,
  })
  return { kh, kw, ...strides, y: along(y.h, kh, strideH, x.h), x: along(y.w, kw, strideW, x.w) }
}

/** Errors: `lower/shape` unless a convolution by such a filter makes the input of a TRANSPOSE_CONV of its output. */
export function checkTransposed(cx: Context, x: ImageShape, y: ImageShape, { kh, kw }: FilterSize): void {
  const { padding, strideH, strideW } = (cx.op as OpOf<'TRANSPOSE_CONV'>).attrs
  const fits = (size: number, small: number, k: number, stride: number): boolean =>
    padding === 'SAME' ? Math.ceil(size / stride) === small : Math.floor((size - k) / stride) + 1 === small
  if (fits(y.h, x.h, kh, strideH) && fits(y.w, x.w, kw, strideW)) return
  throw cx.fail('lower/shape', 'output size does not match the input size', cx.output(), {
    expected: `${x.h}x${x.w}`,
    got: `${y.h}x${y.w}`,
  })
}

/** A convolution in elements: of each group of `groupIn` input channels `groupOut` output channels. */
export interface Geometry {
  x: ImageShape
  y: ImageShape
  win: Window
  groupIn: number
  groupOut: number
}

/** What the kernels that read plain images are told of it. */
export const geometryFields = ({ x, y, win, groupIn, groupOut }: Geometry): Record<string, number> => ({
  inW: x.w,
  inC: x.c,
  outW: y.w,
  outC: y.c,
  kh: win.kh,
  kw: win.kw,
  groupIn,
  groupOut,
  strideW: win.strideW,
  padLeft: win.x.before,
  dilationH: win.dilationH,
  dilationW: win.dilationW,
})

/** Input 0 with its horizontal padding, and the row of zero points that stands for rows outside the image. */
export function windowInput(
  cx: Context,
  value: Value,
  q: Q,
  win: Window,
): { frame: Value; zeroRow: Buffer | undefined; prologue: Step[] } {
  const right = Math.max(0, (win.x.out - 1) * win.strideW + reachOf(win.kw, win.dilationW) - value.w - win.x.before)
  const frame = cx.framed(value, cx.op.inputs[0]!, { left: win.x.before, right, fill: q.zero })
  const prologue = cx.padFills(frame)
  const bottom = (win.y.out - 1) * win.strideH - win.y.before + reachOf(win.kh, win.dilationH) - value.h
  let zeroRow: Buffer | undefined
  if (win.y.before > 0 || bottom > 0) {
    const buffer = cx.buffers.arena(`${value.tensor.name} (zero row)`, () => frame.rowStride + 16)
    zeroRow = buffer
    prologue.push(
      ...cx.fillStep(buffer, () => ({
        rows: 1,
        output: buffer.address,
        outRowStride: 0,
        bytes: frame.rowStride + 8,
        value: q.zero & 255,
      })),
    )
  }
  return { frame, zeroRow, prologue }
}

/** Which input rows an output row needs. */
export const rowsOf = (
  win: Window,
  inRows: number,
): { rows: number; strideH: number; padTop: number; windowH: number; inRows: number } => ({
  rows: win.y.out,
  strideH: win.strideH,
  padTop: win.y.before,
  windowH: reachOf(win.kh, win.dilationH),
  inRows,
})
