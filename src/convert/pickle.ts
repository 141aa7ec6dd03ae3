/**
 * A pickle reader that never executes code: a stack machine for the data opcodes of protocols 0 to 5. A GLOBAL is
 * looked up in a table the caller passes; anything not in the table is refused, so a pickle can only build values
 * out of functions that this project wrote.
 * Source: CPython Lib/pickletools.py (opcode semantics).
 */
import { ThimbleError } from '../errors.ts'

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
    switch (op) {
      case 0x80:
        if (this.u8() > 5) this.fail('pickle protocol is newer than 5')
        break // PROTO
      case 0x95:
        this.take(8)
        break // FRAME
      case 0x28:
        this.push(MARK)
        break
      case 0x30:
        this.pop()
        break // POP
      case 0x31:
        this.popMark()
        break // POP_MARK
      case 0x32:
        this.push(this.top())
        break // DUP
      case 0x4e:
        this.push(null)
        break
      case 0x88:
        this.push(true)
        break
      case 0x89:
        this.push(false)
        break
      case 0x5d:
        this.push([])
        break // EMPTY_LIST
      case 0x29:
        this.push([])
        break // EMPTY_TUPLE
      case 0x7d:
        this.push(new Map())
        break // EMPTY_DICT
      case 0x8f:
        this.push(new Set())
        break // EMPTY_SET
      case 0x6c:
      case 0x74:
        this.push(this.popMark())
        break // LIST, TUPLE
      case 0x85:
        this.tuple(1)
        break
      case 0x86:
        this.tuple(2)
        break
      case 0x87:
        this.tuple(3)
        break
      case 0x64: {
        const items = this.popMark()
        this.push(new Map())
        this.setItems(items)
        break
      } // DICT
      case 0x73: {
        const value = this.pop()
        const key = this.pop()
        this.setItems([key, value])
        break
      } // SETITEM
      case 0x75:
        this.setItems(this.popMark())
        break // SETITEMS
      case 0x61:
        this.append([this.pop()])
        break // APPEND
      case 0x65:
        this.append(this.popMark())
        break // APPENDS
      case 0x90: {
        const items = this.popMark()
        const set = this.top()
        if (!(set instanceof Set)) this.fail('not a set')
        items.forEach((v) => set.add(v))
        break
      } // ADDITEMS
      case 0x63:
        this.global(this.line(), this.line())
        break // GLOBAL
      case 0x93: {
        const name = this.pop()
        const module = this.pop()
        this.global(String(module), String(name))
        break
      } // STACK_GLOBAL
      case 0x52:
      case 0x81: {
        const args = this.pop()
        this.call(this.pop(), args)
        break
      } // REDUCE, NEWOBJ
      case 0x62:
        this.build()
        break // BUILD
      case 0x51: {
        // BINPERSID
        const id = this.pop()
        if (!this.options.persistent) this.fail('pickle has a persistent id')
        this.push(this.options.persistent(id))
        break
      }
      case 0x70:
        this.memo.set(Number(this.line()), this.top())
        break // PUT
      case 0x71:
        this.memo.set(this.u8(), this.top())
        break // BINPUT
      case 0x72:
        this.memo.set(this.u32(), this.top())
        break // LONG_BINPUT
      case 0x94:
        this.memo.set(this.memo.size, this.top())
        break // MEMOIZE
      case 0x67:
        this.get(Number(this.line()))
        break
      case 0x68:
        this.get(this.u8())
        break
      case 0x6a:
        this.get(this.u32())
        break
      default:
        this.scalar(op)
    }
  }

  private scalar(op: number): void {
    switch (op) {
      case 0x4a:
        this.push(this.view.getInt32(this.take(4), true))
        break // BININT
      case 0x4b:
        this.push(this.u8())
        break
      case 0x4d:
        this.push(this.u16())
        break
      case 0x8a:
        this.push(this.long(this.u8()))
        break // LONG1
      case 0x8b:
        this.push(this.long(this.u32()))
        break // LONG4
      case 0x47:
        this.push(this.view.getFloat64(this.take(8), false))
        break // BINFLOAT
      case 0x49: {
        const s = this.line()
        this.push(s === '01' ? true : s === '00' ? false : Number(s))
        break
      } // INT
      case 0x4c:
        this.push(Number(this.line().replace(/L$/, '')))
        break // LONG
      case 0x46:
        this.push(Number(this.line()))
        break // FLOAT
      case 0x58:
        this.push(utf8.decode(this.blob(this.u32())))
        break // BINUNICODE
      case 0x8c:
        this.push(utf8.decode(this.blob(this.u8())))
        break
      case 0x8d:
        this.push(utf8.decode(this.blob(this.u64())))
        break
      case 0x56:
        this.push(this.line())
        break // UNICODE
      case 0x53:
        this.push(this.line().replace(/^['"]|['"]$/g, ''))
        break // STRING
      case 0x54:
        this.push(latin1.decode(this.blob(this.u32())))
        break // BINSTRING
      case 0x55:
        this.push(latin1.decode(this.blob(this.u8())))
        break
      case 0x42:
        this.push(this.blob(this.u32()))
        break // BINBYTES
      case 0x43:
        this.push(this.blob(this.u8()))
        break
      case 0x8e:
        this.push(this.blob(this.u64()))
        break
      case 0x96:
        this.push(this.blob(this.u64()))
        break // BYTEARRAY8
      default:
        this.fail(`pickle opcode 0x${op.toString(16)} is not read`)
    }
  }
}
