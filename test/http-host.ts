/** A host of components that export wasi:http/incoming-handler, without an engine: the calls are answered from a request in memory. */
import { Buffer } from 'node:buffer'
import { coreModules } from './component-host.ts'

export interface Answered {
  status: number
  type: string
  body: string
}
export type Method = 'get' | 'head' | 'post' | 'put' | 'other'
const METHODS: readonly Method[] = ['get', 'head', 'post', 'put']

/** The handler in `component`. A handle that is left, used twice or unknown is an error. */
export function post(component: Uint8Array): {
  /** Asks with a body that comes in pieces; its sender goes away after `until` bytes. */
  ask: (method: Method, body: Uint8Array | undefined, piece: number, until?: number) => Answered
} {
  const [store, handler] = coreModules(component).map((bytes) => new WebAssembly.Module(bytes as BufferSource))
  const { memory, realloc } = new WebAssembly.Instance(store!).exports as {
    memory: WebAssembly.Memory
    realloc: (old: number, oldBytes: number, alignment: number, bytes: number) => number
  }
  const view = (): DataView => new DataView(memory.buffer)
  const bytesAt = (at: number, n: number): Buffer => Buffer.from(Buffer.from(memory.buffer, at, n))
  const handles = new Map<number, string>()
  let next = 1
  const make = (what: string): number => {
    handles.set(next, what)
    return next++
  }
  const check = (handle: number, what: string): void => {
    if (handles.get(handle) !== what) throw new Error(`handle ${handle} is ${handles.get(handle)}, not ${what}`)
  }
  const take = (handle: number, what: string): void => {
    check(handle, what)
    handles.delete(handle)
  }
  const give = (to: number, what: string): void => {
    view().setUint8(to, 0)
    view().setUint32(to + 4, make(what), true)
  }
  let request: { method: Method; body: Uint8Array; piece: number; until: number; at: number }
  let answer: { status: number; headers: Map<string, string>; body: Buffer[]; set: boolean; finished: boolean }
  const calls = {
    method(self: number, to: number) {
      check(self, 'request')
      const number = METHODS.indexOf(request.method)
      view().setUint8(to, number < 0 ? 9 : number)
      if (number >= 0) return
      const name = Buffer.from('BREW')
      const at = realloc(0, 0, 1, name.length)
      new Uint8Array(memory.buffer).set(name, at)
      view().setUint32(to + 4, at, true)
      view().setUint32(to + 8, name.length, true)
    },
    consume(self: number, to: number) {
      check(self, 'request')
      give(to, 'incoming body')
    },
    stream(self: number, to: number) {
      check(self, 'incoming body')
      give(to, 'input')
    },
    read(self: number, most: bigint, to: number) {
      check(self, 'input')
      const { body, piece, until, at } = request
      if (at >= Math.min(until, body.length)) {
        view().setUint8(to, 1)
        view().setUint8(to + 4, at >= until ? 0 : 1)
        if (at >= until) view().setUint32(to + 8, make('error'), true)
        return
      }
      const part = body.subarray(at, Math.min(at + Math.min(piece, Number(most)), until))
      const place = realloc(0, 0, 1, part.length)
      new Uint8Array(memory.buffer).set(part, place)
      request.at += part.length
      view().setUint8(to, 0)
      view().setUint32(to + 4, place, true)
      view().setUint32(to + 8, part.length, true)
    },
    fields: () => make('fields'),
    append(...args: [self: number, name: number, nameBytes: number, value: number, valueBytes: number, to: number]) {
      const [self, name, nameBytes, value, valueBytes, to] = args
      check(self, 'fields')
      answer.headers.set(bytesAt(name, nameBytes).toString(), bytesAt(value, valueBytes).toString())
      view().setUint8(to, 0)
    },
    response(headers: number) {
      take(headers, 'fields')
      return make('response')
    },
    status(self: number, code: number) {
      check(self, 'response')
      answer.status = code
      return 0
    },
    body(self: number, to: number) {
      check(self, 'response')
      give(to, 'outgoing body')
    },
    set(out: number, isError: number, response: number) {
      take(out, 'out')
      if (isError) throw new Error('an error was set')
      take(response, 'response')
      answer.set = true
    },
    write(self: number, to: number) {
      check(self, 'outgoing body')
      give(to, 'output')
    },
    flush(self: number, from: number, n: number, to: number) {
      check(self, 'output')
      if (n > 4096) throw new Error(`${n} bytes at once`)
      answer.body.push(bytesAt(from, n))
      view().setUint8(to, 0)
    },
    finish(self: number, trailers: number, _: number, to: number) {
      if (trailers) throw new Error('trailers')
      take(self, 'outgoing body')
      answer.finished = true
      view().setUint8(to, 0)
    },
    'drop-request': (handle: number) => take(handle, 'request'),
    'drop-incoming-body': (handle: number) => take(handle, 'incoming body'),
    'drop-input-stream': (handle: number) => take(handle, 'input'),
    'drop-output-stream': (handle: number) => take(handle, 'output'),
    'drop-error': (handle: number) => take(handle, 'error'),
  }
  const { http_handle: handle } = new WebAssembly.Instance(handler!, { memory: { memory }, http: calls }).exports as {
    http_handle: (request: number, out: number) => void
  }
  return {
    ask(method, body = new Uint8Array(0), piece, until = Infinity) {
      request = { method, body, piece, until, at: 0 }
      answer = { status: 200, headers: new Map(), body: [], set: false, finished: false }
      handle(make('request'), make('out'))
      if (!answer.set || !answer.finished || handles.size) {
        throw new Error(`no whole answer, or handles left: ${[...handles.values()].join()}`)
      }
      return {
        status: answer.status,
        type: answer.headers.get('content-type') ?? '',
        body: Buffer.concat(answer.body).toString(),
      }
    },
  }
}
