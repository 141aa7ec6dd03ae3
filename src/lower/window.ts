/** Windows over images: sizes, padding, and the input with its padding in place. */
import type { OpOf } from '../graph.ts'
import { reachOf, windowAlong, type Axis } from '../window.ts'
import type { Context, Q } from './context.ts'
import type { Buffer, Step, Value } from './program.ts'

function checkPositive(cx: Context, name: string, h: number, w: number): void {
  if (!(h >= 1 && w >= 1)) {
    throw cx.fail('lower/attribute', `${name} must be positive`, undefined, '>= 1', h >= 1 ? w : h)
  }
}

/** Errors: `lower/attribute` unless strides, dilations and filter sizes are positive. */
export function checkWindow(
  cx: Context,
  a: { strideH: number; strideW: number; dilationH: number; dilationW: number },
  kh: number,
  kw: number,
): void {
  checkPositive(cx, 'stride', a.strideH, a.strideW)
  checkPositive(cx, 'dilation', a.dilationH, a.dilationW)
  checkPositive(cx, 'filter size', kh, kw)
}

/** A filter's window and how it goes over an image. */
export interface Window {
  kh: number
  kw: number
  strideH: number
  strideW: number
  dilationH: number
  dilationW: number
  y: Axis
  x: Axis
}

const NO_PADDING = { top: 0, bottom: 0, left: 0, right: 0 }

/** The window of the present op, with a PAD that was folded into it. Errors: as checkWindow. */
export function windowOf(cx: Context, a: OpOf<'CONV_2D'>['attrs'], x: Value, kh: number, kw: number): Window {
  checkWindow(cx, a, kh, kw)
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

/** The input with its horizontal padding, and the row of zero points that stands for rows outside the image. */
export function windowInput(
  cx: Context,
  value: Value,
  position: number,
  q: Q,
  win: Window,
): { frame: Value; zeroRow: Buffer | undefined; prologue: Step[] } {
  const right = Math.max(0, (win.x.out - 1) * win.strideW + reachOf(win.kw, win.dilationW) - value.w - win.x.before)
  const frame = cx.framed(value, cx.op.inputs[position]!, win.x.before, right, q.zero)
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
