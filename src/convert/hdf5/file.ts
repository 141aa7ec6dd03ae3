/**
 * Reads HDF5 files as h5py writes them: groups of symbol tables and of links, attributes, contiguous, compact and
 * chunked datasets with the deflate, shuffle and Fletcher-32 filters. Nothing is read before it is asked for.
 * Source: HDF5 File Format Specification, version 3.0. What it does not read is refused by name: `format/hdf5`.
 */
import { unzlibSync } from 'fflate'
import { bad, Cursor, Hdf5Bytes, utf8 } from './reader.ts'
import { countOf, readNumbers, readShape, readStrings, readType, type Hdf5Type } from './types.ts'

const SIGNATURE = [0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a]
const MESSAGE = {
  shape: 0x01,
  linkInfo: 0x02,
  type: 0x03,
  link: 0x06,
  layout: 0x08,
  filters: 0x0b,
  attribute: 0x0c,
  continuation: 0x10,
  symbolTable: 0x11,
  attributeInfo: 0x15,
} as const
const LATEST = 'the file uses the newest HDF5 layout: save it with the default libver of h5py'

interface Message {
  kind: number
  body: Cursor
}

interface Filter {
  id: number
  values: number[]
}

/** Opens a file; its root group. Errors: `format/hdf5`. */
export function openHdf5(bytes: Uint8Array): Hdf5Group {
  const file = new Hdf5Bytes(bytes)
  let start = 0
  while (!SIGNATURE.every((b, i) => bytes[start + i] === b)) {
    start = start ? start * 2 : 512
    if (start >= bytes.length) bad('file does not open as HDF5')
  }
  const c = new Cursor(file, start + 8, bytes.length)
  const version = c.u8()
  if (version > 3) bad('unknown superblock version', `${version}`)
  if (version < 2) c.skip(4)
  file.offsetBytes = c.u8()
  file.lengthBytes = c.u8()
  if (![2, 4, 8].includes(file.offsetBytes) || ![2, 4, 8].includes(file.lengthBytes)) bad('impossible address size')
  c.skip(version < 2 ? 9 + (version === 1 ? 4 : 0) : 1)
  file.base = c.target('the file')
  c.skip(2 * file.offsetBytes)
  // Version 0 and 1: the driver block's address, and the root's name, before its header's address.
  if (version < 2) c.skip(2 * file.offsetBytes)
  return new Hdf5Group(file, messagesOf(file, c.target('the root group')))
}

/** All messages of an object header, those of its continuations included, sections IV.A.1. */
function messagesOf(file: Hdf5Bytes, address: number): Message[] {
  const c = file.at(address)
  const messages: Message[] = []
  const blocks: Cursor[] = []
  /**
   * Keeps a message; the block that a continuation names joins those to read. `frame`: bytes of signature and checksum.
   */
  const add = ({ kind, body }: Message, frame: number): void => {
    if (kind !== MESSAGE.continuation) {
      messages.push({ kind, body })
      return
    }
    const block = file.at(body.target('a continuation'))
    const length = body.length()
    if (frame) block.signature('OCHK')
    blocks.push(block.slice(length - 2 * frame))
  }
  const modern = c.u8() !== 1
  if (!modern) {
    c.skip(7)
    const size = c.u32()
    c.skip(4)
    blocks.push(c.slice(size))
    for (let block = blocks.shift(); block; block = blocks.shift()) {
      while (block.left >= 8) {
        const kind = block.u16()
        const bytes = block.u16()
        block.skip(4)
        add({ kind, body: block.slice(bytes) }, 0)
      }
    }
    return messages
  }
  const h = file.at(address).signature('OHDR')
  if (h.u8() !== 2) bad('unknown object header version')
  const flags = h.u8()
  if (flags & 0x20) h.skip(16)
  if (flags & 0x10) h.skip(4)
  blocks.push(h.slice(h.uint(1 << (flags & 3))))
  for (let block = blocks.shift(); block; block = blocks.shift()) {
    while (block.left >= 4) {
      const kind = block.u8()
      const bytes = block.u16()
      block.skip(flags & 4 ? 3 : 1)
      if (bytes > block.left) break
      add({ kind, body: block.slice(bytes) }, 4)
    }
  }
  return messages
}

/** A value beside a group or dataset. */
export class Hdf5Attribute {
  private readonly file: Hdf5Bytes
  private readonly type: Hdf5Type
  private readonly shape: number[]
  private readonly data: Cursor

  constructor(file: Hdf5Bytes, type: Hdf5Type, shape: number[], data: Cursor) {
    this.file = file
    this.type = type
    this.shape = shape
    this.data = data
  }

  /** Its strings, one where it is a scalar. Errors: `format/hdf5` where it holds none. */
  strings(): string[] {
    const count = countOf(this.shape)
    // An empty list has the type of numbers.
    if (count === 0) return []
    return readStrings(this.file, this.type, new Cursor(this.file, this.data.position, this.data.end), count)
  }

  /** Its one string. */
  text(): string {
    return this.strings()[0] ?? bad('an attribute is empty')
  }
}

class Hdf5Object {
  protected readonly file: Hdf5Bytes
  protected readonly messages: readonly Message[]

  constructor(file: Hdf5Bytes, messages: readonly Message[]) {
    this.file = file
    this.messages = messages
  }

  protected find(kind: number): Cursor | undefined {
    const body = this.messages.find((m) => m.kind === kind)?.body
    return body && new Cursor(this.file, body.position, body.end)
  }

  /** Attributes by name, section IV.A.2.m. */
  get attributes(): Map<string, Hdf5Attribute> {
    const info = this.find(MESSAGE.attributeInfo)
    if (info) {
      const flags = info.skip(1).u8()
      if (info.skip(flags & 1 ? 2 : 0).address() !== undefined) bad(LATEST)
    }
    const out = new Map<string, Hdf5Attribute>()
    for (const { kind, body } of this.messages) {
      if (kind !== MESSAGE.attribute) continue
      const c = new Cursor(this.file, body.position, body.end)
      const version = c.u8()
      if (version < 1 || version > 3) bad('unknown attribute version', `${version}`)
      if (c.u8() !== 0 && version > 1) bad('a shared attribute type is not read')
      const sizes = [c.u16(), c.u16(), c.u16()] as const
      if (version === 3) c.skip(1)
      const part = (bytes: number): Cursor => {
        const start = c.position
        const piece = c.slice(bytes)
        if (version === 1) c.pad8(start)
        return piece
      }
      const name = part(sizes[0]).zeroTerminated()
      const type = readType(part(sizes[1]))
      const shape = readShape(part(sizes[2]))
      out.set(name, new Hdf5Attribute(this.file, type, shape, c))
    }
    return out
  }
}

export class Hdf5Group extends Hdf5Object {
  private links: Map<string, number> | undefined

  /** Names of what it holds, in the file's order. */
  keys(): string[] {
    return [...this.children().keys()]
  }

  /** A member by name, or by a path with slashes; undefined where there is none. */
  get(path: string): Hdf5Group | Hdf5Dataset | undefined {
    const [name, ...rest] = path.split('/').filter((part) => part !== '')
    const address = name === undefined ? undefined : this.children().get(name)
    if (address === undefined) return undefined
    const messages = messagesOf(this.file, address)
    if (messages.some((m) => m.kind === MESSAGE.layout)) {
      return rest.length ? undefined : new Hdf5Dataset(this.file, messages)
    }
    const group = new Hdf5Group(this.file, messages)
    return rest.length ? group.get(rest.join('/')) : group
  }

  /** A member that must be a group, or undefined. */
  group(path: string): Hdf5Group | undefined {
    const found = this.get(path)
    return found instanceof Hdf5Group ? found : undefined
  }

  private children(): Map<string, number> {
    this.links ??= this.readChildren()
    return this.links
  }

  private readChildren(): Map<string, number> {
    const out = new Map<string, number>()
    const table = this.find(MESSAGE.symbolTable)
    if (table) {
      const tree = table.target('a group')
      const heap = this.file.at(table.target('a group')).signature('HEAP').skip(4)
      const size = heap.length()
      heap.skip(this.file.lengthBytes)
      const names = this.file.at(heap.target('a heap')).slice(size)
      this.readTree(tree, names, out, 0)
    }
    const info = this.find(MESSAGE.linkInfo)
    if (info) {
      const flags = info.skip(1).u8()
      if (info.skip(flags & 1 ? 8 : 0).address() !== undefined) bad(LATEST)
    }
    for (const { kind, body } of this.messages) {
      if (kind === MESSAGE.link) this.readLink(new Cursor(this.file, body.position, body.end), out)
    }
    return out
  }

  /** A node of a version 1 B-tree of names, sections III.A.1 and III.B. */
  private readTree(address: number, names: Cursor, out: Map<string, number>, depth: number): void {
    if (depth > 32) bad('file goes in circles')
    const c = this.file.at(address)
    const kind = String.fromCharCode(...c.take8(4))
    if (kind === 'TREE') {
      c.skip(2)
      const used = c.u16()
      c.skip(2 * this.file.offsetBytes)
      for (let i = 0; i < used; i++) {
        c.skip(this.file.lengthBytes)
        this.readTree(c.target('a node'), names, out, depth + 1)
      }
    } else if (kind === 'SNOD') {
      c.skip(2)
      const used = c.u16()
      for (let i = 0; i < used; i++) {
        const name = new Cursor(this.file, names.position, names.end)
          .skip(c.uint(this.file.offsetBytes))
          .zeroTerminated()
        out.set(name, c.target('a member'))
        c.skip(24)
      }
    } else bad('a group holds neither nodes nor names', JSON.stringify(kind))
  }

  /** Link message, section IV.A.2.g; soft and external links are passed over. */
  private readLink(c: Cursor, out: Map<string, number>): void {
    if (c.u8() !== 1) bad('unknown link version')
    const flags = c.u8()
    const hard = flags & 8 ? c.u8() === 0 : true
    c.skip((flags & 4 ? 8 : 0) + (flags & 0x10 ? 1 : 0))
    const name = utf8(c.take8(c.uint(1 << (flags & 3))))
    if (hard) out.set(name, c.target('a link'))
  }
}

export class Hdf5Dataset extends Hdf5Object {
  get shape(): number[] {
    return readShape(this.find(MESSAGE.shape) ?? bad('a dataset has no shape'))
  }

  /** Its numbers as float32, row-major. Errors: `format/hdf5`. */
  numbers(): Float32Array {
    const count = countOf(this.shape)
    const type = readType(this.find(MESSAGE.type) ?? bad('a dataset has no type'))
    return readNumbers(type, this.data(type, count), count)
  }

  /** Data layout message, section IV.A.2.i. */
  private data(type: Hdf5Type, count: number): Uint8Array {
    const c = this.find(MESSAGE.layout) ?? bad('a dataset has no data')
    const bytes = count * type.bytes
    const version = c.u8()
    if (version !== 3) bad(version === 4 ? LATEST : 'unknown data layout', `version ${version}`)
    const kind = c.u8()
    if (kind === 0) return c.take8(c.u16())
    if (kind === 1) {
      const address = c.address()
      // Never written: all zeros.
      return address === undefined ? zeros(this.file, bytes) : this.file.at(address).take8(bytes)
    }
    if (kind !== 2) bad('unknown data layout', `class ${kind}`)
    const rank = c.u8() - 1
    const tree = c.address()
    const chunk = Array.from({ length: rank }, () => c.u32())
    if (rank !== this.shape.length || chunk.some((n) => n === 0)) bad('impossible chunks')
    const out = zeros(this.file, bytes)
    if (tree !== undefined) {
      const place = { shape: this.shape, chunk, elementBytes: type.bytes, filters: this.filters() }
      this.readChunks(tree, place, out, 0)
    }
    return out
  }

  /** Filter pipeline message, section IV.A.2.l. */
  private filters(): Filter[] {
    const c = this.find(MESSAGE.filters)
    if (!c) return []
    const version = c.u8()
    const count = c.u8()
    if (version === 1) c.skip(6)
    return Array.from({ length: count }, () => {
      const id = c.u16()
      const nameBytes = version === 1 || id >= 256 ? c.u16() : 0
      c.skip(2)
      const values = c.u16()
      c.skip(version === 1 ? Math.ceil(nameBytes / 8) * 8 : nameBytes)
      const list = Array.from({ length: values }, () => c.u32())
      if (version === 1 && values % 2) c.skip(4)
      return { id, values: list }
    })
  }

  private readChunks(address: number, place: ChunkPlace, out: Uint8Array, depth: number): void {
    if (depth > 32) bad('file goes in circles')
    const c = this.file.at(address).signature('TREE').skip(1)
    const level = c.u8()
    const used = c.u16()
    c.skip(2 * this.file.offsetBytes)
    for (let i = 0; i < used; i++) {
      const size = c.u32()
      const mask = c.u32()
      const origin = place.shape.map(() => c.uint(8))
      c.skip(8)
      const child = c.target('a chunk')
      if (level > 0) this.readChunks(child, place, out, depth + 1)
      else copyChunk(unfiltered(this.file.at(child).take8(size), place, mask), place, origin, out)
    }
  }
}

interface ChunkPlace {
  shape: readonly number[]
  chunk: readonly number[]
  elementBytes: number
  filters: readonly Filter[]
}

/** Zeros for a dataset. A compressed file may hold more than its size; a thousand times as much it cannot. */
function zeros(file: Hdf5Bytes, bytes: number): Uint8Array {
  if (bytes > 1100 * file.bytes.length) bad('a dataset is larger than its file can hold', `${bytes} bytes`)
  return new Uint8Array(bytes)
}

/** Undoes the filters of a chunk, last first. Bit k of `mask`: filter k was left out. */
function unfiltered(data: Uint8Array, place: ChunkPlace, mask: number): Uint8Array {
  const expected = countOf(place.chunk) * place.elementBytes
  if (expected > 1100 * (data.length + 64)) bad('a chunk is larger than its bytes can hold', `${expected} bytes`)
  for (let k = place.filters.length - 1; k >= 0; k--) {
    const { id } = place.filters[k]!
    if ((mask >> k) & 1) continue
    if (id === 1) data = inflate(data, expected)
    else if (id === 2) data = unshuffle(data, place.elementBytes)
    else if (id === 3) data = data.subarray(0, Math.max(0, data.length - 4))
    else bad('a dataset is packed by a filter that is not read', `filter ${id}`)
  }
  return data
}

function inflate(data: Uint8Array, bytes: number): Uint8Array {
  try {
    return unzlibSync(data, { out: new Uint8Array(bytes + 4) })
  } catch {
    return bad('a compressed chunk is damaged')
  }
}

/** The shuffle filter keeps first all first bytes of the elements, then all second ones. */
function unshuffle(data: Uint8Array, elementBytes: number): Uint8Array {
  const count = Math.floor(data.length / elementBytes)
  const out = new Uint8Array(data)
  for (let b = 0; b < elementBytes; b++) {
    for (let i = 0; i < count; i++) out[i * elementBytes + b] = data[b * count + i]!
  }
  return out
}

/** Copies what of a chunk lies inside the dataset. */
function copyChunk(data: Uint8Array, place: ChunkPlace, origin: readonly number[], out: Uint8Array): void {
  const { shape, chunk, elementBytes } = place
  const last = shape.length - 1
  if (data.length < countOf(chunk) * elementBytes || origin.some((o, i) => o >= shape[i]!)) bad('impossible chunks')
  if (last < 0) {
    out.set(data.subarray(0, elementBytes))
    return
  }
  // `from` and `to` count rows of the axes walked so far, in the chunk and in the dataset.
  const copy = (axis: number, from: number, to: number): void => {
    const room = Math.min(chunk[axis]!, shape[axis]! - origin[axis]!)
    const source = from * chunk[axis]!
    const target = to * shape[axis]! + origin[axis]!
    if (axis === last) {
      const row = data.subarray(source * elementBytes, (source + Math.max(0, room)) * elementBytes)
      out.set(row, target * elementBytes)
      return
    }
    for (let i = 0; i < room; i++) copy(axis + 1, source + i, target + i)
  }
  copy(0, 0, 0)
}
