/**
 * Calls of wasi:http and wasi:io, as the component lowers them: a resource is a handle, results go to the address that
 * comes last. `src/pack/component/http.ts` has the same list.
 * Source: wasi:http 0.2.0 and wasi:io 0.2.0; the component model's CanonicalABI.md.
 */

// @ts-ignore: decorator
@external("http", "method")
declare function method(request: i32, to: usize): void
// @ts-ignore: decorator
@external("http", "consume")
declare function consume(request: i32, to: usize): void
// @ts-ignore: decorator
@external("http", "stream")
declare function stream(body: i32, to: usize): void
// @ts-ignore: decorator
@external("http", "read")
declare function blockingRead(stream: i32, bytes: i64, to: usize): void
// @ts-ignore: decorator
@external("http", "fields")
declare function fields(): i32
// @ts-ignore: decorator
@external("http", "append")
declare function append(fields: i32, name: usize, nameBytes: i32, value: usize, valueBytes: i32, to: usize): void
// @ts-ignore: decorator
@external("http", "response")
declare function outgoingResponse(headers: i32): i32
// @ts-ignore: decorator
@external("http", "status")
declare function setStatus(response: i32, code: i32): i32
// @ts-ignore: decorator
@external("http", "body")
declare function outgoingBody(response: i32, to: usize): void
// @ts-ignore: decorator
@external("http", "write")
declare function outputStream(body: i32, to: usize): void
// @ts-ignore: decorator
@external("http", "flush")
declare function blockingWrite(stream: i32, from: usize, bytes: i32, to: usize): void
// @ts-ignore: decorator
@external("http", "finish")
declare function finishBody(body: i32, hasTrailers: i32, trailers: i32, to: usize): void
// @ts-ignore: decorator
@external("http", "set")
declare function setResponse(
  out: i32,
  isError: i32,
  response: i32,
  e0: i32,
  e1: i64,
  e2: i32,
  e3: i32,
  e4: i32,
  e5: i32,
): void
// @ts-ignore: decorator
@external("http", "drop-request")
declare function dropRequest(handle: i32): void
// @ts-ignore: decorator
@external("http", "drop-incoming-body")
declare function dropIncomingBody(handle: i32): void
// @ts-ignore: decorator
@external("http", "drop-input-stream")
declare function dropInputStream(handle: i32): void
// @ts-ignore: decorator
@external("http", "drop-output-stream")
declare function dropOutputStream(handle: i32): void
// @ts-ignore: decorator
@external("http", "drop-error")
declare function dropError(handle: i32): void

/** Room for the largest result: result<_, error-code>, whose cases are 8-byte aligned. */
const area = memory.data(64, 8)

/** Where the next list goes that a call gives: the component's realloc reads it from here. */
export const http_room: usize = memory.data(4, 4)

const HTTP_GET = 0
const HTTP_HEAD = 1
const HTTP_POST = 2
export const GET: i32 = HTTP_GET
export const HEAD: i32 = HTTP_HEAD
export const POST: i32 = HTTP_POST

/** A request's method: GET, HEAD, POST, or another number. Its name goes to `http_room` where it has no number. */
export function methodOf(request: i32): i32 {
  method(request, area)
  return load<u8>(area)
}

/** The stream of a request's body and the body; the request is dropped. False when the body was taken before. */
let incomingBody: i32 = 0
let inputStream: i32 = 0
export function openBody(request: i32): bool {
  consume(request, area)
  dropRequest(request)
  if (load<u8>(area) != 0) return false
  incomingBody = load<i32>(area, 4)
  stream(incomingBody, area)
  if (load<u8>(area) == 0) {
    inputStream = load<i32>(area, 4)
    return true
  }
  dropIncomingBody(incomingBody)
  return false
}

/** Reads up to `bytes` bytes to `http_room`: how many, -1 at the end, -2 when the sender went away. */
export function readBody(bytes: i32): i32 {
  blockingRead(inputStream, <i64>bytes, area)
  if (load<u8>(area) == 0) return load<i32>(area, 8)
  if (load<u8>(area, 4) != 0) return -1
  dropError(load<i32>(area, 8))
  return -2
}

export function closeBody(): void {
  dropInputStream(inputStream)
  dropIncomingBody(incomingBody)
}

export function drop(request: i32): void {
  dropRequest(request)
}

const TYPE = memory.data<u8>([99, 111, 110, 116, 101, 110, 116, 45, 116, 121, 112, 101])
const JSON = memory.data<u8>([97, 112, 112, 108, 105, 99, 97, 116, 105, 111, 110, 47, 106, 115, 111, 110])
const ALLOW = memory.data<u8>([97, 108, 108, 111, 119])
const METHODS = memory.data<u8>([71, 69, 84, 44, 32, 72, 69, 65, 68, 44, 32, 80, 79, 83, 84])

let body: i32 = 0
let output: i32 = 0

/** Answers with a status and JSON, which is printed between this call and `finish`. */
export function respond(out: i32, code: i32): void {
  const headers = fields()
  append(headers, TYPE, 12, JSON, 16, area)
  if (code == 405) append(headers, ALLOW, 5, METHODS, 15, area)
  const response = outgoingResponse(headers)
  setStatus(response, code)
  outgoingBody(response, area)
  body = load<i32>(area, 4)
  setResponse(out, 0, response, 0, 0, 0, 0, 0, 0)
  outputStream(body, area)
  output = load<i32>(area, 4)
}

/** Writes to the body of the response; false once the reader is gone. The packer leaves it out of commands. */
export function sink_2(from: usize, bytes: i32): bool {
  blockingWrite(output, from, bytes, area)
  if (load<u8>(area) == 0) return true
  if (load<u8>(area, 4) == 0) dropError(load<i32>(area, 8))
  return false
}

export function finish(): void {
  dropOutputStream(output)
  finishBody(body, 0, 0, area)
}
