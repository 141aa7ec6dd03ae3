/** Changes to inputs: of bytes, and of bytes that are text, JSON, FlatBuffers, protobuf or zip. */
import { unzipSync, zipSync } from 'fflate'
import type { Dice } from '../../test/mutate.ts'
import type { Work } from './target.ts'

const NUMBERS = [
  0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 63, 64, 100, 127, 128, 255, 256, 512, 1000, 1024, 4096, 0x7fff, 0x8000, 0xffff,
  0x10000, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffe, 0x7f800000, 0x7fc00000,
]

export const joined = (...parts: readonly Uint8Array[]): Uint8Array => {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0))
  let at = 0
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}
const viewOf = (b: Uint8Array): DataView => new DataView(b.buffer, b.byteOffset, b.byteLength)
/** Mostly short lengths. */
const stretch = (dice: Dice, most: number): number => 1 + dice.int(Math.max(1, Math.min(most, 1 << dice.int(11))))
const replaced = (b: Uint8Array, from: number, to: number, by: Uint8Array): Uint8Array =>
  joined(b.subarray(0, from), by, b.subarray(to))

/** A number of 1, 2, 4 or 8 bytes, in either order, made another. */
function number(bytes: Uint8Array, dice: Dice): Uint8Array {
  const width = dice.pick([1, 2, 4, 4, 8])
  if (bytes.length < width) return bytes
  const out = bytes.slice()
  const view = viewOf(out)
  const little = dice.int(3) > 0
  const at = dice.int(out.length - width + 1)
  const part = width === 8 && !little ? at + 4 : at
  const size = Math.min(width, 4)
  const old = size === 1 ? out[part]! : size === 2 ? view.getUint16(part, little) : view.getUint32(part, little)
  const value = dice.int(2) ? dice.pick(NUMBERS) : old + dice.int(71) - 35
  if (size === 1) out[part] = value
  else if (size === 2) view.setUint16(part, value & 0xffff, little)
  else view.setUint32(part, value >>> 0, little)
  if (width === 8) view.setUint32(little ? at + 4 : at, dice.int(4) ? 0 : dice.pick(NUMBERS) >>> 0, little)
  return out
}

/** One change that knows nothing of the format. */
export function changeBytes({ bytes, dice, other, words }: Work): Uint8Array {
  const at = dice.int(bytes.length + 1)
  const length = stretch(dice, bytes.length - at)
  switch (dice.int(13)) {
    case 0:
    case 1: {
      const out = bytes.slice()
      if (out.length) out[dice.int(out.length)]! ^= 1 << dice.int(8)
      return out
    }
    case 2: {
      const out = bytes.slice()
      if (out.length) out[dice.int(out.length)] = dice.int(256)
      return out
    }
    case 3:
    case 4:
    case 5:
      return number(bytes, dice)
    case 6:
      return replaced(bytes, at, Math.min(bytes.length, at + length), new Uint8Array(0))
    case 7:
      return replaced(bytes, at, at, bytes.subarray(dice.int(bytes.length + 1)).subarray(0, length))
    case 8:
      return dice.int(4)
        ? replaced(
            bytes,
            at,
            at,
            Uint8Array.from({ length }, () => dice.int(256)),
          )
        : bytes.slice(0, at)
    case 9:
    case 10: {
      if (words.length === 0) return number(bytes, dice)
      const word = dice.pick(words)
      return replaced(bytes, at, dice.int(3) ? Math.min(bytes.length, at + word.length) : at, word)
    }
    case 11: {
      const part = other.subarray(dice.int(other.length + 1)).subarray(0, length)
      return replaced(bytes, at, dice.int(2) ? Math.min(bytes.length, at + part.length) : at, part)
    }
    default: {
      const out = bytes.slice()
      out.fill(dice.pick([0, 0xff, 0x7f, 0x20]), at, at + length)
      return out
    }
  }
}

// Text ------------------------------------------------------------------------

const utf8 = new TextEncoder()
const text = (b: Uint8Array): string => new TextDecoder().decode(b)

/** Tokens and lines moved about. */
export function changeText({ bytes, dice, other }: Work): Uint8Array {
  const lines = text(bytes).split(/(\r\n|\n|\r)/)
  const i = dice.int(lines.length)
  switch (dice.int(6)) {
    case 0:
      lines.splice(i, 1 + dice.int(3))
      break
    case 1:
      lines.splice(i, 0, ...lines.slice(i, i + 1 + dice.int(8)))
      break
    case 2:
      lines[i] = dice.pick(text(other).split(/\r\n|\n|\r/))
      break
    case 3: {
      const many = dice.pick([2, 10, 100, 3000])
      lines.splice(i, 0, (lines[i]! + '\n').repeat(Math.min(many, Math.ceil(60_000 / (lines[i]!.length + 1)))))
      break
    }
    default: {
      const tokens = lines[i]!.split(/([\w.]+)/)
      const k = dice.int(tokens.length)
      if (dice.int(2)) {
        tokens[k] = dice.pick([
          '',
          '0',
          '1',
          '-1',
          '1e999',
          '999999999',
          '"',
          "'",
          '[',
          '{',
          ',',
          ':',
          '\t',
          tokens[dice.int(tokens.length)]!,
        ])
      } else tokens.splice(k, 0, tokens[k]!)
      lines[i] = tokens.join('')
    }
  }
  return utf8.encode(lines.join(''))
}

// JSON ------------------------------------------------------------------------

type Json = null | boolean | number | string | Json[] | { [key: string]: Json }
const VALUES: readonly Json[] = [
  null,
  true,
  false,
  0,
  1,
  -1,
  2,
  3,
  1.5,
  -0.5,
  255,
  65536,
  2 ** 31,
  -(2 ** 31),
  2 ** 32,
  2 ** 53,
  1e300,
  '',
  'a',
  '__proto__',
  'constructor',
  [],
  {},
  [[]],
  [0],
  [1, 2, 3],
]

function places(value: Json, out: [Json[] | Record<string, Json>, string][]): void {
  if (typeof value !== 'object' || value === null || out.length > 20_000) return
  for (const key of Object.keys(value)) {
    out.push([value, key])
    places((value as Record<string, Json>)[key]!, out)
  }
}

/** One node changed in place: replaced, left out, doubled, or taken from elsewhere. */
export function changeJson(root: Json, dice: Dice): Json {
  const all: [Json[] | Record<string, Json>, string][] = []
  places(root, all)
  if (all.length === 0) return dice.pick(VALUES)
  const [owner, key] = dice.pick(all) as [Record<string, Json>, string]
  const [from, name] = dice.pick(all) as [Record<string, Json>, string]
  const old = owner[key]!
  switch (dice.int(7)) {
    case 0:
      if (Array.isArray(owner)) owner.splice(Number(key), 1)
      else delete owner[key]
      break
    case 1:
      if (Array.isArray(owner)) owner.splice(Number(key), 0, structuredClone(old))
      else owner[dice.pick([name, `${key}2`])] = structuredClone(old)
      break
    case 2:
      owner[key] = structuredClone(from[name]!)
      break
    case 3:
      if (typeof old === 'number') owner[key] = old + dice.pick([-1, 1, 0.5, 16, -16, 1000])
      else if (typeof old === 'string') {
        owner[key] = old.slice(0, dice.int(old.length + 1)) + dice.pick(['', 'x', '/', ' ', '0'])
      } else owner[key] = dice.pick(VALUES)
      break
    default:
      owner[key] = typeof old === 'number' && dice.int(2) ? dice.pick(NUMBERS) : structuredClone(dice.pick(VALUES))
  }
  return root
}

/** JSON with one to three nodes changed; undefined for what is not JSON. */
export function changeJsonText(bytes: Uint8Array, dice: Dice): Uint8Array | undefined {
  let root: Json
  try {
    root = JSON.parse(text(bytes)) as Json
  } catch {
    return undefined
  }
  for (let n = 1 + dice.int(3); n > 0; n--) root = changeJson(root, dice)
  return utf8.encode(JSON.stringify(root))
}

// FlatBuffers -----------------------------------------------------------------

interface Links {
  /** Where an offset to another object stands. */
  offsets: number[]
  /** Where a table's vtable says that a field is, and where inline fields are, with what is left to the next. */
  slots: number[]
  fields: number[]
  /** Where vectors keep their length. */
  lengths: number[]
}

/** What can be told without the schema: which words lead to tables and vectors. */
function links(bytes: Uint8Array): Links {
  const view = viewOf(bytes)
  const out: Links = { offsets: [0], slots: [], fields: [], lengths: [] }
  const seen = new Set<number>()
  const u32 = (at: number): number => (at >= 0 && at + 4 <= bytes.length ? view.getUint32(at, true) : -1)
  const vtableOf = (at: number): number | undefined => {
    if (at + 4 > bytes.length || at < 4) return undefined
    const vtable = at - view.getInt32(at, true)
    if (vtable < 4 || vtable + 4 > bytes.length) return undefined
    const size = view.getUint16(vtable, true)
    return size >= 4 && size <= 256 && size % 2 === 0 && vtable + size <= bytes.length ? vtable : undefined
  }
  const queue = [u32(0)]
  while (queue.length > 0 && seen.size < 5000) {
    const at = queue.pop()!
    if (seen.has(at)) continue
    seen.add(at)
    const vtable = vtableOf(at)
    if (vtable !== undefined) {
      for (let slot = vtable + 4; slot < vtable + view.getUint16(vtable, true); slot += 2) {
        const field = at + view.getUint16(slot, true)
        if (field === at) continue
        out.slots.push(slot)
        out.fields.push(field)
        const to = field + u32(field)
        if (u32(field) >= 4 && to + 4 <= bytes.length) {
          out.offsets.push(field)
          queue.push(to)
        }
      }
      continue
    }
    const count = u32(at)
    if (count < 0 || at + 4 + count > bytes.length) continue
    out.lengths.push(at)
    for (let k = 0; k < Math.min(count, 500); k++) {
      const item = at + 4 + 4 * k
      const to = item + u32(item)
      if (u32(item) < 4 || vtableOf(to) === undefined) break
      out.offsets.push(item)
      queue.push(to)
    }
  }
  return out
}

/** An offset led elsewhere, a field moved or left out, a length or value changed. */
export function changeFlatBuffer({ bytes, dice }: Work): Uint8Array | undefined {
  if (bytes.length < 8) return undefined
  const found = links(bytes)
  const out = bytes.slice()
  const view = viewOf(out)
  const some = (list: number[], width: number): number | undefined => {
    const at = list.length ? dice.pick(list) : -1
    return at >= 0 && at + width <= out.length ? at : undefined
  }
  const kind = dice.int(6)
  if (kind === 0) {
    const [a, b] = [some(found.offsets, 4), some(found.offsets, 4)]
    if (a === undefined || b === undefined) return undefined
    view.setUint32(a, b + view.getUint32(b, true) - a, true)
  } else if (kind === 1) {
    const a = some(found.offsets, 4)
    if (a === undefined) return undefined
    view.setUint32(a, dice.int(2) ? dice.pick(NUMBERS) : view.getUint32(a, true) + 4 * (dice.int(17) - 8), true)
  } else if (kind === 2) {
    const [a, b] = [some(found.slots, 2), some(found.slots, 2)]
    if (a === undefined || b === undefined) return undefined
    view.setUint16(a, dice.int(2) ? 0 : dice.int(2) ? view.getUint16(b, true) : dice.int(64), true)
  } else if (kind === 3) {
    const a = some(found.lengths, 4)
    if (a === undefined) return undefined
    view.setUint32(a, dice.int(2) ? dice.pick(NUMBERS) : view.getUint32(a, true) + dice.int(9) - 4, true)
  } else {
    const width = dice.pick([1, 1, 2, 4, 4])
    const a = some(found.fields.concat(found.lengths.map((at) => at + 4 + 4 * dice.int(4))), width)
    if (a === undefined) return undefined
    if (width === 1) out[a] = dice.int(2) ? dice.int(256) : dice.pick(NUMBERS)
    else if (width === 2) view.setUint16(a, dice.pick(NUMBERS) & 0xffff, true)
    else view.setUint32(a, dice.int(3) ? dice.pick(NUMBERS) >>> 0 : view.getUint32(a, true) + dice.int(9) - 4, true)
  }
  return out
}

// Protobuf --------------------------------------------------------------------

interface Field {
  number: number
  wire: number
  /** The varint, the fixed bytes, or the bytes of a length-delimited field that holds no message. */
  value: bigint | Uint8Array
  message?: Field[]
}

function varint(b: Uint8Array, at: number): [bigint, number] | undefined {
  let value = 0n
  for (let i = 0; i < 10 && at + i < b.length; i++) {
    value |= BigInt(b[at + i]! & 0x7f) << BigInt(7 * i)
    if (b[at + i]! < 0x80) return [value, at + i + 1]
  }
  return undefined
}

function parseFields(b: Uint8Array, depth: number): Field[] | undefined {
  const out: Field[] = []
  for (let at = 0; at < b.length;) {
    const key = varint(b, at)
    if (!key) return undefined
    const [number, wire] = [Number(key[0] >> 3n), Number(key[0] & 7n)]
    if (number === 0 || number > 1000) return undefined
    at = key[1]
    if (wire === 0) {
      const v = varint(b, at)
      if (!v) return undefined
      out.push({ number, wire, value: v[0] })
      at = v[1]
    } else if (wire === 1 || wire === 5) {
      const size = wire === 1 ? 8 : 4
      if (at + size > b.length) return undefined
      out.push({ number, wire, value: b.slice(at, at + size) })
      at += size
    } else if (wire === 2) {
      const size = varint(b, at)
      if (!size || size[1] + Number(size[0]) > b.length) return undefined
      const value = b.slice(size[1], size[1] + Number(size[0]))
      const message = depth < 6 && value.length > 1 ? parseFields(value, depth + 1) : undefined
      out.push(message ? { number, wire, value, message } : { number, wire, value })
      at = size[1] + value.length
    } else return undefined
  }
  return out
}

export function varintBytes(v: bigint): Uint8Array {
  const out: number[] = []
  let left = BigInt.asUintN(64, v)
  do {
    out.push(Number(left & 0x7fn) | (left > 0x7fn ? 0x80 : 0))
    left >>= 7n
  } while (left > 0n)
  return Uint8Array.from(out)
}

const writeFields = (list: readonly Field[]): Uint8Array =>
  joined(
    ...list.flatMap((f) => {
      const key = varintBytes(BigInt((f.number << 3) | f.wire))
      if (typeof f.value === 'bigint') return [key, varintBytes(f.value)]
      const value = f.message ? writeFields(f.message) : f.value
      return f.wire === 2 ? [key, varintBytes(BigInt(value.length)), value] : [key, value]
    }),
  )

/** A field left out, doubled, moved, renumbered, or its value changed; lengths follow. */
export function changeProtobuf(work: Work): Uint8Array | undefined {
  const { bytes, dice } = work
  const root = parseFields(bytes, 0)
  if (!root || root.length === 0) return undefined
  let list = root
  while (dice.int(5) > 0) {
    const inner = list.filter((f) => f.message && f.message.length > 0)
    if (inner.length === 0) break
    list = dice.pick(inner).message!
  }
  const i = dice.int(list.length)
  const f = list[i]!
  switch (dice.int(6)) {
    case 0:
      list.splice(i, 1)
      break
    case 1:
      list.splice(dice.int(list.length + 1), 0, f)
      break
    case 2:
      list[i] = { ...f, number: 1 + dice.int(20) }
      break
    case 3:
      list[i] = { ...dice.pick(list) }
      break
    default:
      if (typeof f.value === 'bigint') {
        f.value = dice.int(2) ? BigInt(dice.pick(NUMBERS)) : f.value + BigInt(dice.int(9) - 4)
      } else {
        const value = changeBytes({ ...work, bytes: f.message ? writeFields(f.message) : f.value })
        list[i] = {
          number: f.number,
          wire: f.wire,
          value: f.wire === 2 ? value : joined(value, new Uint8Array(8)).slice(0, f.wire === 1 ? 8 : 4),
        }
      }
  }
  return writeFields(root)
}

// Zip -------------------------------------------------------------------------

/** An entry changed by `inner`, renamed, left out or doubled; or a number in a header made another. */
export function changeZip(
  work: Work,
  inner: (name: string, work: Work) => Uint8Array | undefined,
): Uint8Array | undefined {
  const { bytes, dice } = work
  if (dice.int(3) === 0) {
    const heads: number[] = []
    for (let i = 0; i + 4 < bytes.length; i++) if (bytes[i] === 0x50 && bytes[i + 1] === 0x4b) heads.push(i)
    if (heads.length === 0) return undefined
    const at = dice.pick(heads) + 4 + dice.int(44)
    const out = bytes.slice()
    if (at + 4 > out.length) return undefined
    if (dice.int(2)) viewOf(out).setUint32(at, dice.pick(NUMBERS) >>> 0, true)
    else viewOf(out).setUint16(at, dice.pick(NUMBERS) & 0xffff, true)
    return out
  }
  let entries: Record<string, Uint8Array>
  try {
    let total = 0
    entries = unzipSync(bytes, { filter: (f) => (total += f.originalSize) < 1e6 })
  } catch {
    return undefined
  }
  const names = Object.keys(entries)
  if (names.length === 0) return undefined
  const name = dice.pick(names)
  const kind = dice.int(8)
  if (kind === 0) delete entries[name]
  else if (kind === 1) {
    entries[`${name.slice(0, dice.int(name.length + 1))}${dice.pick(['', 'x', '/', '.json', '.h5', '.pkl'])}` || 'x'] =
      entries[name]!
  } else {
    entries[name] = inner(name, { ...work, bytes: entries[name]! }) ?? changeBytes({ ...work, bytes: entries[name]! })
  }
  const level = dice.int(2) ? 0 : 6
  return zipSync(Object.fromEntries(Object.entries(entries).map(([k, v]) => [k, [v, { level }]])))
}

/** Whether an entry is JSON by its name. */
export const isJsonName = (name: string): boolean => /\.json$/.test(name)
