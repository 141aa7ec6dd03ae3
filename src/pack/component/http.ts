/**
 * `thimble pack --target http`: a component that exports `wasi:http/incoming-handler`. Its core module imports the
 * calls that assembly/wasi/http-calls.ts declares; here is what they are at the component's level.
 *
 * Calls that hand out lists need the memory before the module that makes them is there, so the memory has a module of
 * its own, whose realloc gives the place that the other one names.
 * Source: wasi:http 0.2.0 (types, handler), wasi:io 0.2.0 (error, streams).
 */
import { Writer } from '../bytes.ts'
import { ComponentWriter, type Item, SORT } from './encode.ts'
import { type FunctionType, type Interface, list, named, option, result, type WitType } from './wit.ts'

/** The oldest stable version: hosts give it to whoever asks for it. */
const VERSION = '0.2.0'

const own = (name: string): WitType => ({ own: name })
const self = (name: string): { name: string; type: WitType } => ({ name: 'self', type: { borrow: name } })
const method = (resource: string, name: string, more: Partial<FunctionType> = {}): FunctionType => ({
  name: `[method]${resource}.${name}`,
  ...more,
  params: [self(resource), ...(more.params ?? [])],
})
const constructor = (resource: string, params: FunctionType['params'] = []): FunctionType => ({
  name: `[constructor]${resource}`,
  params,
  result: own(resource),
})

const IO_ERROR: Interface = {
  id: `wasi:io/error@${VERSION}`,
  types: [{ name: 'error', resource: true }],
  functions: [],
}

const STREAMS: Interface = {
  id: `wasi:io/streams@${VERSION}`,
  uses: [{ from: IO_ERROR.id, names: ['error'] }],
  types: [
    { name: 'input-stream', resource: true },
    { name: 'output-stream', resource: true },
    { name: 'stream-error', variant: [{ name: 'last-operation-failed', type: own('error') }, { name: 'closed' }] },
  ],
  functions: [
    method('input-stream', 'blocking-read', {
      params: [{ name: 'len', type: 'u64' }],
      result: result(list('u8'), named('stream-error')),
    }),
    method('output-stream', 'blocking-write-and-flush', {
      params: [{ name: 'contents', type: list('u8') }],
      result: result(undefined, named('stream-error')),
    }),
  ],
}

/** Cases of wasi:http's error-code, in their order, with what they carry. */
const ERROR_CODES: readonly (readonly [name: string, type?: WitType])[] = [
  ['DNS-timeout'],
  ['DNS-error', named('DNS-error-payload')],
  ['destination-not-found'],
  ['destination-unavailable'],
  ['destination-IP-prohibited'],
  ['destination-IP-unroutable'],
  ['connection-refused'],
  ['connection-terminated'],
  ['connection-timeout'],
  ['connection-read-timeout'],
  ['connection-write-timeout'],
  ['connection-limit-reached'],
  ['TLS-protocol-error'],
  ['TLS-certificate-error'],
  ['TLS-alert-received', named('TLS-alert-received-payload')],
  ['HTTP-request-denied'],
  ['HTTP-request-length-required'],
  ['HTTP-request-body-size', option('u64')],
  ['HTTP-request-method-invalid'],
  ['HTTP-request-URI-invalid'],
  ['HTTP-request-URI-too-long'],
  ['HTTP-request-header-section-size', option('u32')],
  ['HTTP-request-header-size', option(named('field-size-payload'))],
  ['HTTP-request-trailer-section-size', option('u32')],
  ['HTTP-request-trailer-size', named('field-size-payload')],
  ['HTTP-response-incomplete'],
  ['HTTP-response-header-section-size', option('u32')],
  ['HTTP-response-header-size', named('field-size-payload')],
  ['HTTP-response-body-size', option('u64')],
  ['HTTP-response-trailer-section-size', option('u32')],
  ['HTTP-response-trailer-size', named('field-size-payload')],
  ['HTTP-response-transfer-coding', option('string')],
  ['HTTP-response-content-coding', option('string')],
  ['HTTP-response-timeout'],
  ['HTTP-upgrade-failed'],
  ['HTTP-protocol-error'],
  ['loop-detected'],
  ['configuration-error'],
  ['internal-error', option('string')],
]
const METHODS = ['get', 'head', 'post', 'put', 'delete', 'connect', 'options', 'trace', 'patch']

const TYPES: Interface = {
  id: `wasi:http/types@${VERSION}`,
  uses: [{ from: STREAMS.id, names: ['input-stream', 'output-stream'] }],
  types: [
    { name: 'method', variant: [...METHODS.map((name) => ({ name })), { name: 'other', type: 'string' }] },
    {
      name: 'DNS-error-payload',
      record: [
        { name: 'rcode', type: option('string') },
        { name: 'info-code', type: option('u16') },
      ],
    },
    {
      name: 'TLS-alert-received-payload',
      record: [
        { name: 'alert-id', type: option('u8') },
        { name: 'alert-message', type: option('string') },
      ],
    },
    {
      name: 'field-size-payload',
      record: [
        { name: 'field-name', type: option('string') },
        { name: 'field-size', type: option('u32') },
      ],
    },
    {
      name: 'error-code',
      variant: ERROR_CODES.map(([name, type]) => ({ name, ...(type === undefined ? {} : { type }) })),
    },
    { name: 'header-error', variant: ['invalid-syntax', 'forbidden', 'immutable'].map((name) => ({ name })) },
    ...['fields', 'incoming-request', 'incoming-body', 'outgoing-response', 'outgoing-body', 'response-outparam'].map(
      (name) => ({ name, resource: true as const }),
    ),
  ],
  functions: [
    method('incoming-request', 'method', { result: named('method') }),
    method('incoming-request', 'consume', { result: result(own('incoming-body')) }),
    method('incoming-body', 'stream', { result: result(own('input-stream')) }),
    constructor('fields'),
    method('fields', 'append', {
      params: [
        { name: 'name', type: 'string' },
        { name: 'value', type: list('u8') },
      ],
      result: result(undefined, named('header-error')),
    }),
    constructor('outgoing-response', [{ name: 'headers', type: own('fields') }]),
    method('outgoing-response', 'set-status-code', {
      params: [{ name: 'status-code', type: 'u16' }],
      result: result(),
    }),
    method('outgoing-response', 'body', { result: result(own('outgoing-body')) }),
    method('outgoing-body', 'write', { result: result(own('output-stream')) }),
    {
      name: '[static]outgoing-body.finish',
      params: [
        { name: 'this', type: own('outgoing-body') },
        { name: 'trailers', type: option(own('fields')) },
      ],
      result: result(undefined, named('error-code')),
    },
    {
      name: '[static]response-outparam.set',
      params: [
        { name: 'param', type: own('response-outparam') },
        { name: 'response', type: result(own('outgoing-response'), named('error-code')) },
      ],
    },
  ],
}

/** The names that the core module imports them by. */
const CALLS: Record<string, string> = {
  read: '[method]input-stream.blocking-read',
  flush: '[method]output-stream.blocking-write-and-flush',
  method: '[method]incoming-request.method',
  consume: '[method]incoming-request.consume',
  stream: '[method]incoming-body.stream',
  fields: '[constructor]fields',
  append: '[method]fields.append',
  response: '[constructor]outgoing-response',
  status: '[method]outgoing-response.set-status-code',
  body: '[method]outgoing-response.body',
  write: '[method]outgoing-body.write',
  finish: '[static]outgoing-body.finish',
  set: '[static]response-outparam.set',
}
const DROPS: Record<string, string> = {
  'drop-request': 'incoming-request',
  'drop-incoming-body': 'incoming-body',
  'drop-input-stream': 'input-stream',
  'drop-output-stream': 'output-stream',
  'drop-error': 'error',
}

const HANDLE: FunctionType = {
  name: 'handle',
  params: [
    { name: 'request', type: own('incoming-request') },
    { name: 'response-out', type: own('response-outparam') },
  ],
}

/** Where the core module finds its memory. */
export const HTTP_MEMORY = { module: 'memory', name: 'memory' } as const
/** The module of the calls. */
export const HTTP_CALLS = 'http'

export interface HttpMemory {
  pages: number
  maxPages: number
  /** Address of the word that says where lists go. */
  room: number
}

/** A memory, and a realloc that gives the address which is stored at `room`. */
function memoryModule({ pages, maxPages, room }: HttpMemory): Uint8Array {
  const w = new Writer().u8(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0)
  w.u8(1).block((s) => s.u8(1, 0x60, 4, 0x7f, 0x7f, 0x7f, 0x7f, 1, 0x7f))
  w.u8(3).block((s) => s.u8(1, 0))
  w.u8(5).block((s) => s.u8(1, 1).u32(pages).u32(maxPages))
  w.u8(7).block((s) => s.u8(2).name(HTTP_MEMORY.name).u8(2, 0).name('realloc').u8(0, 0))
  w.u8(10).block((s) => s.u8(1).block((f) => f.u8(0, 0x41).s33(room).u8(0x28, 2, 0, 0x0b)))
  return w.finish()
}

/** The component around a core module that exports `http_handle`. */
export function httpComponent(core: Uint8Array, memory: HttpMemory): Uint8Array {
  const w = new ComponentWriter()
  const functions = new Map<string, number>()
  for (const face of [IO_ERROR, STREAMS, TYPES]) {
    const instance = w.import(face)
    for (const { name } of face.types) w.name(name, w.instanceExport(instance, name, 'type'))
    for (const { name } of face.functions) functions.set(name, w.instanceExport(instance, name, 'func'))
  }
  const store = w.coreInstantiate(w.coreModule(memoryModule(memory)), {})
  const options = {
    memory: w.coreExport(store, HTTP_MEMORY.name, 'memory'),
    realloc: w.coreExport(store, 'realloc', 'func'),
  }
  const func = (name: string, index: number): Item => ({ name, sort: 0, index })
  const calls = w.coreBag([
    ...Object.entries(CALLS).map(([name, call]) => func(name, w.lower(functions.get(call)!, options))),
    ...Object.entries(DROPS).map(([name, resource]) => func(name, w.drop(w.named(resource)))),
  ])
  const handler = w.coreInstantiate(w.coreModule(core), { [HTTP_MEMORY.module]: store, [HTTP_CALLS]: calls })
  const handle = w.lift(w.coreExport(handler, 'http_handle', 'func'), HANDLE, {})
  w.export(`wasi:http/incoming-handler@${VERSION}`, [{ name: HANDLE.name, sort: SORT.func, index: handle }])
  return w.finish()
}
