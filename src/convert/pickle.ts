/**
 * A pickle reader that never executes code: a stack machine for the data opcodes of protocols 0 to 5. A GLOBAL is
 * looked up in a table the caller passes; anything not in the table is refused, so a pickle can only build values
 * out of functions that this project wrote.
 * Source: CPython Lib/pickletools.py (opcode semantics).
 */
import { ThimbleError } from '../base/errors.ts'

/** What a GLOBAL name may stand for: called by REDUCE / NEWOBJ with positional arguments, and by BUILD with a state. */
export interface PickleGlobal {
  call(args: unknown[]): unknown
  build?(object: unknown, state: unknown): void
}
export type PickleGlobals = Record<string, PickleGlobal>

/**
 * Values come back as null, boolean, number, bigint, string, Uint8Array, array (list and tuple), Map (dict), Set, or
 * what a global made.
 */
export interface UnpickleResult {
  value: unknown
  end: number
}

interface Options {
  globals: PickleGlobals
  /** BINPERSID: the tuple that torch writes for a storage. */
  persistent?(id: unknown): unknown
  /** Where the pickle starts. Several may follow each other in one file. */
  offset?: number
}

const MAX_STACK = 1_000_000
const MARK = Symbol('mark')
const utf8 = new TextDecoder()
const latin1 = new TextDecoder('latin1')

/** A global by reference, before it is called. */
class GlobalRef {
  readonly name: string
  readonly target: PickleGlobal
  constructor(name: string, target: PickleGlobal) {
    this.name = name
    this.target = target
  }
}

/**
 * Reads one pickle.
 * Errors: `format/pickle` for a truncated or malformed stream, an opcode outside the data subset, or a GLOBAL that is
 * not allowed.
 */
export function unpickle(bytes: Uint8Array, options: Options): UnpickleResult {
  return new Machine(bytes, options).run()
}

class Machine {
  private readonly bytes: Uint8Array
  private readonly view: DataView
  private readonly options: Options
  private readonly stack: unknown[] = []
  private readonly memo = new Map<number, unknown>()
  private readonly made = new Map<unknown, PickleGlobal>()
  private at: number

  constructor(bytes: Uint8Array, options: Options) {
    this.bytes = bytes
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.options = options
    this.at = options.offset ?? 0
  }

  private fail(what: string): never {
    throw new ThimbleError('format/pickle', `${what} at byte ${this.at}`, {
      hint: 'only plain data and torch tensors are read, no code in a pickle is executed; of a whole model, save torch.save(model.state_dict(), path)',
    })
  }

  private take(n: number): number {
    const start = this.at
    if (n < 0 || start + n > this.bytes.length) this.fail(`pickle ends inside a value of ${n} bytes`)
    this.at += n
    return start
  }

  private line(): string {
    const end = this.bytes.indexOf(10, this.at)
    if (end < 0) this.fail('pickle ends inside a line')
    const text = latin1.decode(this.bytes.subarray(this.at, end))
    this.at = end + 1
    return text
  }

  private blob(n: number): Uint8Array {
    const s = this.take(n)
    return this.bytes.subarray(s, s + n)
  }
  private u8(): number {
    return this.bytes[this.take(1)]!
  }
  private u16(): number {
    return this.view.getUint16(this.take(2), true)
  }
  private u32(): number {
    return this.view.getUint32(this.take(4), true)
  }
  private u64(): number {
    const n = this.view.getBigUint64(this.take(8), true)
    if (n > BigInt(this.bytes.length)) this.fail('length exceeds the file')
    return Number(n)
  }

  private push(value: unknown): void {
    if (this.stack.length >= MAX_STACK) this.fail('pickle stack too deep')
    this.stack.push(value)
  }

  private pop(): unknown {
    if (this.stack.length === 0) this.fail('pickle stack is empty')
    const value = this.stack.pop()
    if (value === MARK) this.fail('unexpected mark')
    return value
  }

  private top(): unknown {
    const value = this.stack[this.stack.length - 1]
    if (value === undefined && this.stack.length === 0) this.fail('pickle stack is empty')
    return value
  }

  private popMark(): unknown[] {
    const at = this.stack.lastIndexOf(MARK)
    if (at < 0) this.fail('mark missing')
    const items = this.stack.splice(at)
    items.shift()
    return items
  }

  private long(n: number): number | bigint {
    const b = this.blob(n)
    if (n === 0) return 0
    if (n > 64) this.fail('integer too long')
    let v = 0n
    for (let i = n - 1; i >= 0; i--) v = (v << 8n) | BigInt(b[i]!)
    if (b[n - 1]! & 0x80) v -= 1n << BigInt(8 * n)
    return Number.isSafeInteger(Number(v)) ? Number(v) : v
  }

  private global(module: string, name: string): void {
    const full = `${module}.${name}`
    const target = Object.hasOwn(this.options.globals, full) ? this.options.globals[full] : undefined
    if (!target) this.fail(`pickle wants "${full}", which is not allowed`)
    this.push(new GlobalRef(full, target))
  }

  private call(ref: unknown, args: unknown): void {
    if (!(ref instanceof GlobalRef) || !Array.isArray(args)) {
      this.fail('pickle calls something that is not an allowed global')
    }
    const object = ref.target.call(args)
    if (typeof object === 'object' && object !== null) this.made.set(object, ref.target)
    this.push(object)
  }

  private build(): void {
    const state = this.pop()
    const object = this.top()
    const target = this.made.get(object)
    if (target?.build) target.build(object, state)
    // An OrderedDict's attributes (torch's `_metadata`) carry no tensors.
    else if (!(object instanceof Map)) this.fail('pickle sets the state of an unknown object')
  }

  private setItems(items: unknown[]): void {
    const map = this.top()
    if (!(map instanceof Map) || items.length % 2 !== 0) this.fail('pickle sets items of something that is not a dict')
    for (let i = 0; i < items.length; i += 2) map.set(items[i], items[i + 1])
  }

  private append(items: unknown[]): void {
    const list = this.top()
    if (!Array.isArray(list)) this.fail('pickle appends to something that is not a list')
    for (const item of items) list.push(item)
  }

  private tuple(n: number): void {
    const items: unknown[] = []
    for (let i = 0; i < n; i++) items.unshift(this.pop())
    this.push(items)
  }

  private get(key: number): void {
    if (!this.memo.has(key)) this.fail('pickle refers to an unknown memo')
    this.push(this.memo.get(key))
  }

  run(): UnpickleResult {
    for (;;) {
      const op = this.u8()
      if (op === 0x2e) return { value: this.pop(), end: this.at } // STOP
      this.step(op)
    }
  }

  private step(op: number): void {
    const act = Object.hasOwn(Machine.ACTS, op) ? Machine.ACTS[op] : undefined
    if (!act) this.fail(`pickle opcode 0x${op.toString(16)} is not read`)
    act(this)
  }

  private protocol(version: number): void {
    if (version > 5) this.fail('pickle protocol is newer than 5')
  }

  private dict(): void {
    const items = this.popMark()
    this.push(new Map())
    this.setItems(items)
  }

  private setItem(): void {
    const value = this.pop()
    const key = this.pop()
    this.setItems([key, value])
  }

  private addItems(): void {
    const items = this.popMark()
    const set = this.top()
    if (!(set instanceof Set)) this.fail('not a set')
    items.forEach((v) => set.add(v))
  }

  private stackGlobal(): void {
    const name = this.pop()
    const module = this.pop()
    this.global(String(module), String(name))
  }

  private reduce(): void {
    const args = this.pop()
    this.call(this.pop(), args)
  }

  private persistent(): void {
    const id = this.pop()
    if (!this.options.persistent) this.fail('pickle has a persistent id')
    this.push(this.options.persistent(id))
  }

  private remember(key: number): void {
    this.memo.set(key, this.top())
  }

  private integer(text: string): void {
    this.push(text === '01' ? true : text === '00' ? false : Number(text))
  }

  /** What each opcode does, and its name in pickletools. */
  private static readonly ACTS: Readonly<Record<number, (m: Machine) => void>> = {
    // The stream and the stack.
    0x80: (m) => m.protocol(m.u8()), // PROTO
    0x95: (m) => void m.take(8), // FRAME
    0x28: (m) => m.push(MARK), // MARK
    0x30: (m) => void m.pop(), // POP
    0x31: (m) => void m.popMark(), // POP_MARK
    0x32: (m) => m.push(m.top()), // DUP
    // Constants and numbers.
    0x4e: (m) => m.push(null), // NONE
    0x88: (m) => m.push(true), // NEWTRUE
    0x89: (m) => m.push(false), // NEWFALSE
    0x4a: (m) => m.push(m.view.getInt32(m.take(4), true)), // BININT
    0x4b: (m) => m.push(m.u8()), // BININT1
    0x4d: (m) => m.push(m.u16()), // BININT2
    0x8a: (m) => m.push(m.long(m.u8())), // LONG1
    0x8b: (m) => m.push(m.long(m.u32())), // LONG4
    0x47: (m) => m.push(m.view.getFloat64(m.take(8), false)), // BINFLOAT
    0x49: (m) => m.integer(m.line()), // INT
    0x4c: (m) => m.push(Number(m.line().replace(/L$/, ''))), // LONG
    0x46: (m) => m.push(Number(m.line())), // FLOAT
    // Texts and bytes.
    0x58: (m) => m.push(utf8.decode(m.blob(m.u32()))), // BINUNICODE
    0x8c: (m) => m.push(utf8.decode(m.blob(m.u8()))), // SHORT_BINUNICODE
    0x8d: (m) => m.push(utf8.decode(m.blob(m.u64()))), // BINUNICODE8
    0x56: (m) => m.push(m.line()), // UNICODE
    0x53: (m) => m.push(m.line().replace(/^['"]|['"]$/g, '')), // STRING
    0x54: (m) => m.push(latin1.decode(m.blob(m.u32()))), // BINSTRING
    0x55: (m) => m.push(latin1.decode(m.blob(m.u8()))), // SHORT_BINSTRING
    0x42: (m) => m.push(m.blob(m.u32())), // BINBYTES
    0x43: (m) => m.push(m.blob(m.u8())), // SHORT_BINBYTES
    0x8e: (m) => m.push(m.blob(m.u64())), // BINBYTES8
    0x96: (m) => m.push(m.blob(m.u64())), // BYTEARRAY8
    // Collections.
    0x5d: (m) => m.push([]), // EMPTY_LIST
    0x29: (m) => m.push([]), // EMPTY_TUPLE
    0x7d: (m) => m.push(new Map()), // EMPTY_DICT
    0x8f: (m) => m.push(new Set()), // EMPTY_SET
    0x6c: (m) => m.push(m.popMark()), // LIST
    0x74: (m) => m.push(m.popMark()), // TUPLE
    0x85: (m) => m.tuple(1), // TUPLE1
    0x86: (m) => m.tuple(2), // TUPLE2
    0x87: (m) => m.tuple(3), // TUPLE3
    0x64: (m) => m.dict(), // DICT
    0x73: (m) => m.setItem(), // SETITEM
    0x75: (m) => m.setItems(m.popMark()), // SETITEMS
    0x61: (m) => m.append([m.pop()]), // APPEND
    0x65: (m) => m.append(m.popMark()), // APPENDS
    0x90: (m) => m.addItems(), // ADDITEMS
    // Objects.
    0x63: (m) => m.global(m.line(), m.line()), // GLOBAL
    0x93: (m) => m.stackGlobal(), // STACK_GLOBAL
    0x52: (m) => m.reduce(), // REDUCE
    0x81: (m) => m.reduce(), // NEWOBJ
    0x62: (m) => m.build(), // BUILD
    0x51: (m) => m.persistent(), // BINPERSID
    // The memo.
    0x70: (m) => m.remember(Number(m.line())), // PUT
    0x71: (m) => m.remember(m.u8()), // BINPUT
    0x72: (m) => m.remember(m.u32()), // LONG_BINPUT
    0x94: (m) => m.remember(m.memo.size), // MEMOIZE
    0x67: (m) => m.get(Number(m.line())), // GET
    0x68: (m) => m.get(m.u8()), // BINGET
    0x6a: (m) => m.get(m.u32()), // LONG_BINGET
  }
}
