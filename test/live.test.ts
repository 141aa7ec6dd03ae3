/** `watch`: frames out of streams however they are split and damaged, the newest first, and the command on them. */
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { encode } from 'jpeg-js'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { StreamDemuxer } from '../src/live/demux.ts'
import { Y4mDemuxer } from '../src/live/y4m.ts'
import type { Demuxer, Found, LiveFrame } from '../src/live/demuxer.ts'
import { Newest } from '../src/live/newest.ts'
import type { ByteSource } from '../src/live/source.ts'
import { type Taken, watch, type WatchOptions } from '../src/live/watch.ts'
import { type Result, thimble } from './call-cli.ts'
import { errorCode, need, rng, root } from './util.ts'

const test = suite('live')
const dir = mkdtempSync(join(tmpdir(), 'thimble-live-'))
test.after(() => rmSync(dir, { recursive: true, force: true }))

const SAMPLE = join(root, 'weights/samples/astronaut.jpg')
const COMMAND = join(root, 'dist/cli.js')
const ascii = (text: string): Uint8Array => Buffer.from(text, 'latin1')
const joined = (...parts: Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts))

function picture(seed: number, width = 24, height = 16): Uint8Array {
  const r = rng(seed)
  const data = Buffer.from(Array.from({ length: width * height * 4 }, () => r.int(256)))
  return new Uint8Array(encode({ data, width, height }, 90).data)
}

/** A picture with a whole other one in an APP1 segment, as cameras' thumbnails are. */
function withThumbnail(jpeg: Uint8Array, thumbnail: Uint8Array): Uint8Array {
  const length = thumbnail.length + 2
  return joined(jpeg.subarray(0, 2), Uint8Array.of(0xff, 0xe1, length >> 8, length & 255), thumbnail, jpeg.subarray(2))
}

const bytesOf = (frame: LiveFrame): Uint8Array => ('encoded' in frame ? frame.encoded : (frame.data as Uint8Array))
/** Frames as base64, damage as words. */
const told = (found: Found[]): string[] =>
  found.map((f) => ('frame' in f ? Buffer.from(bytesOf(f.frame)).toString('base64') : f.damage))

/** The same stream in one piece, byte by byte and in random pieces. */
function everyWay(make: () => Demuxer, stream: Uint8Array): { found: Found[]; rest: string | undefined } {
  const results = [stream.length, 1, 7, 0].map((step) => {
    const r = rng(5)
    const demuxer = make()
    const found: Found[] = []
    for (let at = 0; at < stream.length;) {
      const n = step || 1 + r.int(400)
      // A buffer that its owner uses again.
      const piece = stream.slice(at, at + n)
      found.push(...demuxer.push(piece))
      piece.fill(0)
      at += n
    }
    return { found, rest: demuxer.end() }
  })
  for (const { found, rest } of results) {
    assert.equal(told(found), told(results[0]!.found))
    assert.is(rest, results[0]!.rest)
  }
  return results[0]!
}

const pictures = [1, 2, 3, 4].map((seed) => picture(seed))
const base64 = (list: readonly Uint8Array[]): string[] => list.map((b) => Buffer.from(b).toString('base64'))

test('MJPEG, plain and multipart, with and without lengths', () => {
  const plain = everyWay(() => new StreamDemuxer(), joined(...pictures))
  assert.equal(told(plain.found), base64(pictures))
  assert.is(plain.rest, undefined)
  const { frame } = plain.found[0] as { frame: LiveFrame }
  assert.equal([frame.width, frame.height], [24, 16])
  const parts = (head: (p: Uint8Array) => string): Uint8Array =>
    joined(...pictures.flatMap((p) => [ascii(head(p)), p, ascii('\r\n')]), ascii('--frame--\r\n'))
  for (const head of [
    (p: Uint8Array) => `--frame\r\nContent-Type: image/jpeg\r\nContent-Length: ${p.length}\r\n\r\n`,
    () => '\r\n--frame\nContent-Type: image/jpeg\n\n',
    () => 'Content-Type: image/jpeg\r\n\r\n',
  ]) {
    assert.equal(told(everyWay(() => new StreamDemuxer(), parts(head)).found), base64(pictures))
  }
})

test('MJPEG: thumbnails, fill bytes, restart markers and several scans belong to their picture', () => {
  const [a, b] = pictures as [Uint8Array, Uint8Array]
  const whole = withThumbnail(a, b)
  // The first marker behind SOI with fill bytes before it.
  const filled = joined(a.subarray(0, 2), Uint8Array.of(0xff, 0xff), a.subarray(2))
  const restarts = joined(a.subarray(0, -2), Uint8Array.of(1, 0xff, 0xd0, 2, 0xff, 0, 3), a.subarray(-2))
  const again = joined(a.subarray(0, -2), Uint8Array.of(0xff, 0xda, 0, 2, 9, 9), a.subarray(-2))
  const stream = joined(whole, filled, restarts, again)
  assert.equal(told(everyWay(() => new StreamDemuxer(), stream).found), base64([whole, filled, restarts, again]))
})

test('MJPEG: half a picture is told, the ones behind it are whole', () => {
  const [a, b, c] = pictures as [Uint8Array, Uint8Array, Uint8Array]
  for (const cut of [3, 30, 200, a.length - 2]) {
    const { found, rest } = everyWay(
      () => new StreamDemuxer(),
      joined(b, a.subarray(0, cut), b, ascii('noise'), c, c, c),
    )
    assert.is(rest, undefined)
    const list = told(found)
    assert.equal(list.slice(-2), base64([c, c]), `cut at ${cut}`)
    assert.ok(list.some((t) => /picture/.test(t)))
  }
  const ended = everyWay(() => new StreamDemuxer(), joined(b, a.subarray(0, 300)))
  assert.equal(told(ended.found), base64([b]))
  assert.match(ended.rest!, /300 bytes/)
})

test('MJPEG: no bytes make it fail or stand still', () => {
  const r = rng(11)
  const whole = joined(...pictures, ...pictures)
  // A wrong length jumps over 64 KiB at most.
  const behind = Array.from({ length: 80 }, (_, i) => pictures[i & 3]!)
  for (let round = 0; round < 60; round++) {
    const bytes = whole.slice()
    for (let i = 0; i < 8; i++) bytes[2 + r.int(bytes.length - 2)] = r.pick([0xff, 0xd8, 0xd9, 0xda, 0, r.int(256)])
    const demuxer = new StreamDemuxer()
    const found = demuxer.push(joined(bytes, ...behind))
    assert.ok(found.some((f) => 'frame' in f))
    demuxer.end()
  }
})

/** Y4M of gray ramps. */
function y4m(width: number, height: number, count: number, header = ''): Uint8Array {
  const bytes = width * height + 2 * ((width + 1) >> 1) * ((height + 1) >> 1)
  const frames = Array.from({ length: count }, (_, i) =>
    joined(
      ascii(i % 2 ? 'FRAME Ip\n' : 'FRAME\n'),
      new Uint8Array(bytes).map((_, at) => (at * 3 + i * 50) & 255),
    ),
  )
  return joined(ascii(`YUV4MPEG2 W${width} H${height} F30:1 Ip A1:1${header}\n`), ...frames)
}

test('Y4M: sizes, ranges, gray, joined streams; what is not read is said', () => {
  const two = joined(y4m(5, 3, 2, ' C420jpeg XCOLORRANGE=FULL'), y4m(4, 4, 1))
  const { found, rest } = everyWay(() => new StreamDemuxer(), two)
  assert.is(rest, undefined)
  const frames = found.map((f) => (f as { frame: LiveFrame & { fullRange?: boolean } }).frame)
  assert.equal(
    frames.map((f) => [f.width, f.height, f.fullRange, bytesOf(f).length]),
    [
      [5, 3, true, 27],
      [5, 3, true, 27],
      [4, 4, false, 24],
    ],
  )
  assert.equal(bytesOf(frames[1]!)[1], 53)
  assert.match(everyWay(() => new StreamDemuxer(), two.subarray(0, -3)).rest!, /21 of 24 bytes/)
  const refused = (text: string): string => errorCode(() => new StreamDemuxer().push(ascii(text)))
  assert.is(refused('YUV4MPEG2 W4 H4 C420p10\nFRAME\n'), 'image/unsupported-format')
  assert.is(refused('YUV4MPEG2 W4 H4 C444p10\nFRAME\n'), 'image/unsupported-format')
  for (const [kind, bytes] of [
    ['422', 8 + 2 * 4],
    ['444', 3 * 6],
  ] as const) {
    const width = kind === '422' ? 4 : 3
    const stream = Buffer.concat([Buffer.from(`YUV4MPEG2 W${width} H2 C${kind}\nFRAME\n`), Buffer.alloc(bytes, 128)])
    const [found] = new Y4mDemuxer().push(stream)
    assert.equal(found && 'frame' in found && [found.frame.width, found.frame.height], [width, 2], kind)
    assert.is(new Y4mDemuxer().push(stream.subarray(0, -1)).length, 0, `${kind}: a byte is missing`)
  }
  assert.is(refused('YUV4MPEG2 W0 H4 C420\nFRAME\n'), 'image/corrupt')
  assert.is(refused('YUV4MPEG2 W99999 H99999\nFRAME\n'), 'image/too-large')
  assert.is(refused(`YUV4MPEG2 W4 H4${' '.repeat(2000)}`), 'image/corrupt')
  assert.is(refused(`YUV4MPEG2 W4 H4\nFRAME\n${'.'.repeat(25)}${'.'.repeat(2000)}`), 'image/corrupt')
})

test('raw frames of every format; streams of other kinds', () => {
  for (const [format, bytes] of [
    ['gray', 15],
    ['rgb', 45],
    ['bgr', 45],
    ['yuv420', 27],
    ['nv12', 27],
  ] as const) {
    const stream = new Uint8Array(3 * bytes + 4).map((_, i) => i)
    const { found, rest } = everyWay(() => new StreamDemuxer({ width: 5, height: 3, format }), stream)
    assert.equal(told(found), base64([0, 1, 2].map((i) => stream.subarray(i * bytes, (i + 1) * bytes))))
    assert.is(rest, `4 of ${bytes} bytes of a frame`)
  }
  for (const head of ['\0\0\0\x01\x67........', '\x1aE\xdf\xa3.........', 'GIF89a..........', 'nonsense']) {
    const padded = ascii(head.padEnd(20, '.'))
    assert.is(
      errorCode(() => new StreamDemuxer().push(padded)),
      'image/unknown-format',
      head,
    )
  }
})

test('the newest frame wins', async () => {
  const newest = new Newest<number>()
  const first = newest.take()
  newest.put(1)
  assert.is(await first, 1)
  for (const n of [2, 3, 4]) newest.put(n)
  assert.is(await newest.take(), 4)
  assert.is(newest.dropped, 2)
  newest.put(5)
  newest.end()
  assert.is(await newest.take(), 5)
  assert.is(await newest.take(), undefined)
})

/** A source of pieces with pauses, in milliseconds, between them. */
function sourceOf(pieces: readonly (Uint8Array | number)[], live = true): ByteSource {
  async function* chunks(): AsyncGenerator<Uint8Array> {
    for (const piece of pieces) {
      if (typeof piece === 'number') await new Promise((resolve) => setTimeout(resolve, piece))
      else yield piece
    }
  }
  return { name: 'test', live, chunks: chunks(), close: () => {} }
}

type Watching = Partial<WatchOptions<void>> & { answer?: (taken: Taken) => Promise<void> }
const watching = (source: ByteSource, { answer = async () => {}, ...more }: Watching): ReturnType<typeof watch> =>
  watch<void>(source, {
    demuxer: new StreamDemuxer(),
    stallMs: 0,
    most: Infinity,
    ask: answer,
    tell: async () => {},
    fault: () => {},
    note: () => {},
    ...more,
  })

async function rejection(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'no error',
    (error: Error) => error.message,
  )
}

test('live sources drop, files wait, and what came is answered before an end is told', async () => {
  const indices: number[] = []
  const slow = async ({ index }: { index: number }): Promise<void> => {
    indices.push(index)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  const burst = joined(...pictures)
  const live = await watching(sourceOf([burst]), { answer: slow })
  assert.equal(live, { frames: 4, answered: 1, dropped: 3 })
  assert.equal(indices.splice(0), [3])
  const file = await watching(sourceOf([burst], false), { answer: slow })
  assert.equal(file, { frames: 4, answered: 4, dropped: 0 })
  assert.equal(indices.splice(0), [0, 1, 2, 3])
  const some = await watching(sourceOf([burst], false), { answer: slow, most: 2 })
  assert.is(some.answered, 2)
  indices.length = 0
  const half = watching(sourceOf([pictures[0]!, pictures[1]!.subarray(0, 100)]), { answer: slow })
  assert.match(await rejection(half), /^image\/truncated: test ended within frame 1/)
  assert.equal(indices.splice(0), [0])
  const stalled = watching(sourceOf([pictures[0]!, 2000]), { answer: slow, stallMs: 60 })
  assert.match(await rejection(stalled), /^runtime\/stalled: test has sent no frame for 0.06 s/)
  assert.equal(indices.splice(0), [0])
  assert.match(await rejection(watching(sourceOf([]), {})), /^image\/empty/)
  const notes: string[] = []
  await watching(sourceOf([joined(pictures[0]!, picture(9, 32, 32))], false), { note: (what) => notes.push(what) })
  assert.equal(notes, ['frames are 32x32 from frame 1 on, not 24x16'])
})

test('several frames are asked about at once, and told in their order', async () => {
  const [burst, told]: [Uint8Array, number[]] = [joined(...pictures), []]
  let [under, most] = [0, 0]
  // The first takes longest.
  const waits = [80, 10, 40, 0]
  const ask = async ({ index }: Taken): Promise<number> => {
    most = Math.max(most, ++under)
    await new Promise((resolve) => setTimeout(resolve, waits[index]))
    under--
    return index
  }
  const tell = async (taken: Taken, answer: number): Promise<void> => {
    assert.is(answer, taken.index)
    told.push(answer)
  }
  const options = {
    demuxer: new StreamDemuxer(),
    stallMs: 0,
    most: Infinity,
    atOnce: 2,
    fault: () => {},
    note: () => {},
    ask,
    tell,
  }
  const seen = await watch(sourceOf([burst], false), options)
  assert.equal(seen, { frames: 4, answered: 4, dropped: 0 })
  assert.equal(told.splice(0), [0, 1, 2, 3])
  assert.is(most, 2)
  // What fails is told where it stands, after what came before it.
  const failing = watch(sourceOf([burst], false), {
    ...options,
    demuxer: new StreamDemuxer(),
    ask: async (taken) => (taken.index === 1 ? Promise.reject(new Error('the second')) : ask(taken)),
  })
  assert.is(await rejection(failing), 'the second')
  assert.equal(told, [0])
})

const lines = ({ out }: Result): Record<string, unknown>[] =>
  out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)

test('watch: a line of JSON a frame, the same answers as the photo commands', async () => {
  const jpeg = readFileSync(SAMPLE)
  const path = join(dir, 'clip.mjpeg')
  writeFileSync(path, joined(jpeg, jpeg, jpeg.subarray(0, 5000), jpeg))
  const got = await thimble(['watch', path, '--task', 'detect', '--json'])
  const [photo] = JSON.parse((await thimble(['detect', SAMPLE, '--json'])).out) as Record<string, unknown>[]
  const list = lines(got)
  assert.is(list.length, 3)
  for (const [i, line] of list.entries()) {
    assert.is(line.frame, i)
    assert.ok(Math.abs(Date.parse(line.time as string) - Date.now()) < 60_000)
    assert.equal(line.detections, photo!.detections)
    assert.equal([line.width, line.height, line.dropped], [photo!.width, photo!.height, 0])
    assert.equal(Object.keys(line.timings as object), ['waitMs', 'decodeMs', 'preprocessMs', 'inferMs'])
  }
  assert.is(got.code, 1)
  assert.match(got.err, /^thimble: image\/corrupt: .*clip\.mjpeg: after frame 1: half a picture\n$/)
})

test('watch: raw frames, --frames, and calls that are at fault', async () => {
  const path = join(dir, 'frames.yuv')
  writeFileSync(path, new Uint8Array(4 * 96).fill(128))
  const raw = ['watch', path, '--size', '8x8', '--format', 'nv12']
  const got = await thimble([...raw, '--json', '--frames', '2', '--top', '1'])
  assert.is(got.code, 0)
  assert.is(lines(got).length, 2)
  assert.is((lines(got)[0]!.predictions as unknown[]).length, 1)
  const failures: [args: string[], code: number, message: RegExp][] = [
    [['watch'], 2, /usage\/arguments/],
    [['watch', path, '--size', '8x8'], 2, /--size and --format/],
    [['watch', path, '--size', '8by8', '--format', 'gray'], 2, /--size is not usable/],
    [['watch', path, '--format', 'h264'], 2, /--format/],
    [['watch', 'rtsp://user:secret@camera/1'], 2, /rtsp streams are not read/],
    [['watch', join(dir, 'none')], 2, /no such file/],
    [['watch', path], 1, /image\/unknown-format/],
    [['watch', path, '--task', 'fly'], 2, /--task/],
    [['watch', path, '--size', '8x7', '--format', 'gray', '--frames', '9'], 1, /image\/truncated/],
  ]
  for (const [args, code, message] of failures) {
    const { code: exit, err } = await thimble(args)
    assert.match(err, message)
    assert.is(exit, code, args.join(' '))
    assert.not.match(err, /secret/)
    assert.is(
      err
        .trimEnd()
        .split('\n')
        .filter((l) => !l.includes(': note: ')).length,
      1,
    )
  }
})

need(
  test,
  'watch as a process: pipes, threads, http',
  { resource: existsSync(COMMAND) || undefined, missing: 'dist/ is not built' },
  async () => {
    const jpeg = readFileSync(SAMPLE)
    const child = spawn(process.execPath, [COMMAND, 'watch', '-', '--task', 'detect', '--json'], { stdio: 'pipe' })
    let out = ''
    child.stdout.on('data', (chunk) => (out += chunk))
    const closed = new Promise<number | null>((resolve) => child.on('close', resolve))
    child.stdin.on('error', () => {})
    for (let i = 0; i < 20; i++) child.stdin.write(jpeg)
    child.stdin.end()
    assert.is(await closed, 0)
    const list = lines({ code: 0, out, err: '' })
    const last = list.at(-1)!
    assert.is(last.frame, 19)
    assert.is(list.length + (last.dropped as number), 20)

    const server: Server = createServer((request, response) => {
      if (request.url !== '/stream') return void response.writeHead(404).end()
      response.writeHead(200, { 'content-type': 'multipart/x-mixed-replace; boundary=b' })
      for (let i = 0; i < 3; i++) {
        response.write(joined(ascii('--b\r\nContent-Type: image/jpeg\r\n\r\n'), jpeg, ascii('\r\n')))
      }
      // Stays open: the client goes.
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    try {
      const got = await thimble([
        'watch',
        `http://127.0.0.1:${port}/stream`,
        '--task',
        'faces',
        '--json',
        '--frames',
        '1',
      ])
      assert.is(got.code, 0)
      assert.ok(((lines(got)[0]!.faces as unknown[]) ?? []).length > 0)
      const none = await thimble(['watch', `http://127.0.0.1:${port}/none`])
      assert.is(none.code, 1)
      assert.match(none.err, /format\/fetch: .*404/)
    } finally {
      server.closeAllConnections()
      server.close()
    }
  },
)

test.run()
