/**
 * FlexBuffers as far as TFLite's custom ops need them: one flat map from names to numbers and booleans. In reading,
 * every offset is checked before it is followed; nothing recurses.
 * Source: https://flatbuffers.dev/flatbuffers_internals/ (FlexBuffers), flexbuffers.h of google/flatbuffers
 */
import { ThimbleError } from '../base/errors.ts'

const MAX_KEYS = 256
const TYPE = { INT: 1, UINT: 2, FLOAT: 3, INDIRECT_INT: 6, INDIRECT_UINT: 7, INDIRECT_FLOAT: 8, MAP: 9, BOOL: 26 }

/** A value of a map: a whole number or a truth value as it is, a real number in an object. */
export type FlexValue = number | boolean | { real: number }

/** A FlexBuffer whose root is a map, all in words of four bytes. Names are ASCII. */
export function writeFlexMap(values: Readonly<Record<string, FlexValue>>): Uint8Array {
  const names = Object.keys(values).sort()
  const at: number[] = []
  let end = 0
  for (const name of names) {
    at.push(end)
    end += name.length + 1
  }
  const keys = (Math.ceil(end / 4) + 1) * 4
  const first = keys + 4 * names.length + 12
  const types = first + 4 * names.length
  const root = Math.ceil((types + names.length) / 4) * 4
  const bytes = new Uint8Array(root + 6)
  const view = new DataView(bytes.buffer)
  view.setUint32(keys - 4, names.length, true)
  view.setUint32(first - 12, first - 12 - keys, true)
  view.setUint32(first - 8, 4, true)
  view.setUint32(first - 4, names.length, true)
  names.forEach((name, i) => {
    bytes.set(new TextEncoder().encode(name), at[i])
    view.setUint32(keys + 4 * i, keys + 4 * i - at[i]!, true)
    const value = values[name]!
    if (typeof value === 'object') view.setFloat32(first + 4 * i, value.real, true)
    else view.setInt32(first + 4 * i, Number(value), true)
    const type = typeof value === 'object' ? TYPE.FLOAT : typeof value === 'boolean' ? TYPE.BOOL : TYPE.INT
    bytes[types + i] = (type << 2) | 2
  })
  view.setUint32(root, root - first, true)
  bytes.set([(TYPE.MAP << 2) | 2, 4], root + 4)
  return bytes
}

const damaged = (what: string): ThimbleError =>
  new ThimbleError('format/flexbuffer', `${what} in the options of a custom op`, {
    hint: 'the file is truncated or damaged',
  })

/**
 * The numbers and booleans (as 0 and 1) of a FlexBuffer whose root is a map; entries of other types are left out.
 * Errors: `format/flexbuffer` when the root is no map or an offset leaves the buffer.
 */
export function readFlexMap(bytes: Uint8Array): Map<string, number> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const need = (at: number, length: number): void => {
    if (!(at >= 0 && at + length <= bytes.length)) throw damaged('offset outside the buffer')
  }
  const uint = (at: number, width: number): number => {
    need(at, width)
    return width === 1
      ? view.getUint8(at)
      : width === 2
        ? view.getUint16(at, true)
        : width === 4
          ? view.getUint32(at, true)
          : Number(view.getBigUint64(at, true))
  }
  const int = (at: number, width: number): number => {
    need(at, width)
    return width === 1
      ? view.getInt8(at)
      : width === 2
        ? view.getInt16(at, true)
        : width === 4
          ? view.getInt32(at, true)
          : Number(view.getBigInt64(at, true))
  }
  const float = (at: number, width: number): number => {
    need(at, width)
    if (width < 4) throw damaged(`${8 * width}-bit float`)
    return width === 4 ? view.getFloat32(at, true) : view.getFloat64(at, true)
  }
  const indirect = (at: number, width: number): number => at - uint(at, width)
  const key = (at: number): string => {
    need(at, 1)
    const end = bytes.indexOf(0, at)
    if (end < 0 || end - at > 255) throw damaged('unterminated key')
    return String.fromCharCode(...bytes.subarray(at, end))
  }

  if (bytes.length < 3) throw damaged('no root')
  // The last byte is the root's width, the one before its packed type: type << 2 | log2(width of its elements).
  const rootWidth = bytes[bytes.length - 1]!
  const rootType = bytes[bytes.length - 2]!
  if (![1, 2, 4, 8].includes(rootWidth)) throw damaged('impossible width')
  if (rootType >> 2 !== TYPE.MAP) throw damaged('no map')
  const width = 1 << (rootType & 3)
  const values = indirect(bytes.length - 2 - rootWidth, rootWidth)
  const count = uint(values - width, width)
  if (count > MAX_KEYS) throw damaged(`map of ${count} keys`)
  // A map is a vector of values, then a byte of packed type for each; before its length: keys' offset and keys' width.
  const keyWidth = uint(values - 2 * width, width)
  const keys = indirect(values - 3 * width, width)
  if (![1, 2, 4, 8].includes(keyWidth)) throw damaged('impossible key width')

  const out = new Map<string, number>()
  for (let i = 0; i < count; i++) {
    const name = key(indirect(keys + i * keyWidth, keyWidth))
    const at = values + i * width
    const packed = uint(values + count * width + i, 1)
    const childWidth = 1 << (packed & 3)
    switch (packed >> 2) {
      case TYPE.BOOL:
      case TYPE.UINT:
        out.set(name, uint(at, width))
        break
      case TYPE.INT:
        out.set(name, int(at, width))
        break
      case TYPE.FLOAT:
        out.set(name, float(at, width))
        break
      case TYPE.INDIRECT_INT:
        out.set(name, int(indirect(at, width), childWidth))
        break
      case TYPE.INDIRECT_UINT:
        out.set(name, uint(indirect(at, width), childWidth))
        break
      case TYPE.INDIRECT_FLOAT:
        out.set(name, float(indirect(at, width), childWidth))
        break
    }
  }
  return out
}
