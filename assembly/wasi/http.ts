/**
 * The handler of `thimble pack --target http`: a picture is POSTed, JSON comes back, as `thimble serve` gives it. GET
 * says what the model is.
 */
import { alloc, message, status, TOO_LARGE } from '../image/memory'
import { SLACK } from '../image/picture'
import { hint, invoked, kind, look, names, refusal } from './answer'
import { room } from './component'
import { printFoundJson } from './found'
import {
  closeBody,
  drop,
  finish,
  GET,
  HEAD,
  http_room,
  methodOf,
  openBody,
  POST,
  readBody,
  respond,
} from './http-calls'
import { printPredictions } from './predictions'
import { settings } from './settings'
import { ascii, flush, json, printTo, RESPONSE, restart } from './text'

const CHUNK: usize = 65536
/** Predictions of an answer. */
const TOP = 5

let file: usize = 0
let fileBytes: usize = 0
let capacity: usize = 0

/** Room for another chunk and what follows it: twice what there is. */
function grow(): bool {
  if (capacity - fileBytes >= CHUNK + SLACK) return true
  const more = alloc(capacity)
  if (more == 0) return false
  if (more == file + capacity) capacity *= 2
  else {
    const moved = alloc(<u64>capacity * 2)
    if (moved == 0) return false
    memory.copy(moved, file, fileBytes)
    file = moved
    capacity *= 2
  }
  return true
}

/** Reads the whole body; false when it can't be: too large, or the sender went away. */
function receive(): bool {
  for (;;) {
    if (!grow()) return false
    store<u32>(http_room, <u32>(file + fileBytes))
    const n = readBody(<i32>CHUNK)
    if (n < 0) return n == -1
    fileBytes += n
  }
  return false
}

function problem(out: i32, code: i32, what: string, why: string, more: string): void {
  respond(out, code)
  ascii('{"error": {"code": "')
  ascii(what)
  ascii('", "message": "')
  ascii(why)
  ascii(more)
  ascii('"}}\n')
}

function describe(out: i32): void {
  respond(out, 200)
  ascii('{"model": ')
  json(settings().name, settings().nameBytes)
  ascii(', "usage": "POST an image: JPEG, PNG, BMP, PPM, PGM or PBM"}\n')
}

function answer(request: i32, out: i32): void {
  if (!openBody(request)) return problem(out, 500, 'runtime/body', 'the request has no body that can be read', '')
  const whole = receive()
  closeBody()
  if (!whole && status == 0) return problem(out, 400, 'image/truncated', 'the body ended early', '')
  const list = whole ? look(file, fileBytes, min(TOP, settings().classes)) : 0
  if (invoked != 0) return problem(out, 500, 'runtime/status', refusal(invoked), '')
  if (list == 0) return problem(out, status == TOO_LARGE ? 413 : 400, kind(status), message, hint(status))
  respond(out, 200)
  ascii('{"model": ')
  json(settings().name, settings().nameBytes)
  if (names()) printPredictions(list)
  else printFoundJson()
  ascii('}\n')
}

/** wasi:http/incoming-handler's handle. */
export function http_handle(request: i32, out: i32): void {
  restart()
  printTo(RESPONSE)
  capacity = CHUNK * 2
  file = room(capacity)
  if (file == 0) unreachable()
  fileBytes = 0
  store<u32>(http_room, <u32>file)
  const method = methodOf(request)
  if (method == POST) answer(request, out)
  else {
    drop(request)
    if (method == GET || method == HEAD) describe(out)
    else problem(out, 405, 'usage/method', 'expected POST of an image', '')
  }
  flush()
  finish()
}
