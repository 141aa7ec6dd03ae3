/**
 * A host of components that export wasi:http/incoming-handler, without an engine: the calls are answered from a request
 * in memory.
 */
import { Buffer } from 'node:buffer'
import { coreModules } from './component-host.ts'

export interface Answered {
  status: number
  type: string
  body: string
}
export type Method = 'get' | 'head' | 'post' | 'put' | 'other'
const METHODS: readonly Method[] = ['get', 'head', 'post', 'put']

interface Request {
  method: Method
  body: Uint8Array
  /** Bytes that come at a time, and after which its sender goes away. */
  piece: number
  until: number
  at: number
}

/** The store of a component, and the handles that its handler holds. */
class Store {
  readonly memory: WebAssembly.Memory
  private readonly realloc: (old: number, oldBytes: number, alignment: number, bytes: number) => number
  private readonly handles = new Map<number, string>()
  private next = 1

  constructor(module: WebAssembly.Module) {
    const { memory, realloc } = new WebAssembly.Instance(module).exports
    this.memory = memory as WebAssembly.Memory
    this.realloc = realloc as Store['realloc']
  }

  get view(): DataView {
    return new DataView(this.memory.buffer)
  }

  get left(): string[] {
    return [...this.handles.values()]
  }

  bytes(at: number, n: number): Buffer {
    return Buffer.from(Buffer.from(this.memory.buffer, at, n))
  }

  /** Writes address and length of these bytes, which get a place of their own. */
  put(bytes: Uint8Array, to: number): void {
    const at = this.realloc(0, 0, 1, bytes.length)
    new Uint8Array(this.memory.buffer).set(bytes, at)
    this.view.setUint32(to, at, true)
    this.view.setUint32(to + 4, bytes.length, true)
  }

  make(what: string): number {
    this.handles.set(this.next, what)
    return this.next++
  }

  check(handle: number, what: string): void {
    const held = this.handles.get(handle)
    if (held !== what) throw new Error(`handle ${handle} is ${held}, not ${what}`)
  }

  take(handle: number, what: string): void {
    this.check(handle, what)
    this.handles.delete(handle)
  }

  /** The result ok(handle). */
  give(to: number, what: string): void {
    this.view.setUint8(to, 0)
    this.view.setUint32(to + 4, this.make(what), true)
  }
}

/** The calls that read a request. */
const requestCalls = (store: Store, request: () => Request): WebAssembly.ModuleImports => ({
  method(self: number, to: number) {
    store.check(self, 'request')
    const number = METHODS.indexOf(request().method)
    store.view.setUint8(to, number < 0 ? 9 : number)
    if (number < 0) store.put(Buffer.from('BREW'), to + 4)
  },
  consume(self: number, to: number) {
    store.check(self, 'request')
    store.give(to, 'incoming body')
  },
  stream(self: number, to: number) {
    store.check(self, 'incoming body')
    store.give(to, 'input')
  },
  read(self: number, most: bigint, to: number) {
    store.check(self, 'input')
    const { body, piece, until, at } = request()
    if (at >= Math.min(until, body.length)) {
      store.view.setUint8(to, 1)
      store.view.setUint8(to + 4, at >= until ? 0 : 1)
      if (at >= until) store.view.setUint32(to + 8, store.make('error'), true)
      return
    }
    const part = body.subarray(at, Math.min(at + Math.min(piece, Number(most)), until))
    request().at += part.length
    store.put(part, to + 4)
    store.view.setUint8(to, 0)
  },
  'drop-request': (handle: number) => store.take(handle, 'request'),
  'drop-incoming-body': (handle: number) => store.take(handle, 'incoming body'),
  'drop-input-stream': (handle: number) => store.take(handle, 'input'),
  'drop-error': (handle: number) => store.take(handle, 'error'),
})

interface Response {
  status: number
  headers: Map<string, string>
  body: Buffer[]
  set: boolean
  finished: boolean
}

/** The calls that write the answer. */
const responseCalls = (store: Store, answer: () => Response): WebAssembly.ModuleImports => ({
  fields: () => store.make('fields'),
  append(...args: [self: number, name: number, nameBytes: number, value: number, valueBytes: number, to: number]) {
    const [self, name, nameBytes, value, valueBytes, to] = args
    store.check(self, 'fields')
    answer().headers.set(store.bytes(name, nameBytes).toString(), store.bytes(value, valueBytes).toString())
    store.view.setUint8(to, 0)
  },
  response(headers: number) {
    store.take(headers, 'fields')
    return store.make('response')
  },
  status(self: number, code: number) {
    store.check(self, 'response')
    answer().status = code
    return 0
  },
  body(self: number, to: number) {
    store.check(self, 'response')
    store.give(to, 'outgoing body')
  },
  set(out: number, isError: number, response: number) {
    store.take(out, 'out')
    if (isError) throw new Error('an error was set')
    store.take(response, 'response')
    answer().set = true
  },
  write(self: number, to: number) {
    store.check(self, 'outgoing body')
    store.give(to, 'output')
  },
  flush(self: number, from: number, n: number, to: number) {
    store.check(self, 'output')
    if (n > 4096) throw new Error(`${n} bytes at once`)
    answer().body.push(store.bytes(from, n))
    store.view.setUint8(to, 0)
  },
  finish(self: number, trailers: number, _: number, to: number) {
    if (trailers) throw new Error('trailers')
    store.take(self, 'outgoing body')
    answer().finished = true
    store.view.setUint8(to, 0)
  },
  'drop-output-stream': (handle: number) => store.take(handle, 'output'),
})

/** The handler in `component`. A handle that is left, used twice or unknown is an error. */
export function post(component: Uint8Array): {
  /** Asks with a body that comes in pieces; its sender goes away after `until` bytes. */
  ask: (method: Method, body: Uint8Array | undefined, piece: number, until?: number) => Answered
} {
  const [first, handler] = coreModules(component).map((bytes) => new WebAssembly.Module(bytes as BufferSource))
  const store = new Store(first!)
  let request: Request
  let answer: Response
  const imports = {
    memory: { memory: store.memory },
    http: { ...requestCalls(store, () => request), ...responseCalls(store, () => answer) },
  }
  const handle = new WebAssembly.Instance(handler!, imports).exports.http_handle as (
    request: number,
    out: number,
  ) => void
  return {
    ask(method, body = new Uint8Array(0), piece, until = Infinity) {
      request = { method, body, piece, until, at: 0 }
      answer = { status: 200, headers: new Map(), body: [], set: false, finished: false }
      handle(store.make('request'), store.make('out'))
      if (!answer.set || !answer.finished || store.left.length) {
        throw new Error(`no whole answer, or handles left: ${store.left.join()}`)
      }
      return {
        status: answer.status,
        type: answer.headers.get('content-type') ?? '',
        body: Buffer.concat(answer.body).toString(),
      }
    },
  }
}
