/** `watch` with events and a broker: consensus and cooldown, kept frames, MQTT with Home Assistant's discovery. */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { seenIn } from '../src/cli/watch-events.ts'
import { viewLines } from '../src/cli/live-view.ts'
import { conditionsOf, Events, type LiveEvent } from '../src/live/events.ts'
import type { PictureAnswer } from '../src/serve/questions.ts'
import { thimble } from './call-cli.ts'
import { ENGINES } from './engines/engines.ts'
import { errorCode, need, root } from './util.ts'
import { peer } from './worker-host.ts'

const test = suite('mqtt')
const dir = mkdtempSync(join(tmpdir(), 'thimble-mqtt-'))
test.after(() => rmSync(dir, { recursive: true, force: true }))

const SAMPLE = join(root, 'weights/samples/astronaut.jpg')
const COMMAND = join(root, 'dist/cli.js')

test('conditions are a label and a score', () => {
  assert.equal(conditionsOf('person>0.6'), [{ label: 'person', score: 0.6 }])
  assert.equal(conditionsOf('traffic light >= .25, *'), [
    { label: 'traffic light', score: 0.25 },
    { label: '*', score: 0 },
  ])
  for (const bad of ['', 'person>', 'person>2', '>0.5', 'a<0.5', 'person>0.6>0.7', 'a,,b']) {
    assert.is(
      errorCode(() => conditionsOf(bad)),
      'usage/option',
      bad,
    )
  }
})

/** Begin and end of events over frames 100 ms apart; a frame is its scores of `cat`. */
function play(scores: (number | undefined)[], confirm: number, cooldownMs: number): string[] {
  const events = new Events({ conditions: [{ label: 'cat', score: 0.5 }], confirm, cooldownMs })
  const told: string[] = []
  const tell = (at: number | string, list: LiveEvent[]): void => {
    for (const e of list) told.push(`${at} ${e.type} ${e.id} ${e.label} ${e.score} @${e.frame}`)
  }
  scores.forEach((score, index) => {
    const seen =
      score === undefined
        ? []
        : [
            { label: 'cat', score },
            { label: 'dog', score: 0.99 },
          ]
    tell(index, events.see(seen, { index, time: 100 * index }).events)
  })
  tell('end', events.end())
  return told
}

test('an event begins by consensus and ends after the cooldown', () => {
  const n = undefined
  assert.equal(play([0.9, n, n, n, n, 0.9], 2, 300), [], 'one frame in three is none')
  assert.equal(play([0.9, n, 0.6, 0.7, n, n, n, n], 2, 300), ['2 start 1 cat 0.6 @2', '6 end 1 cat 0.7 @3'])
  assert.equal(play([0.4, 0.4, 0.4, 0.4], 1, 300), [], 'below its score')
  assert.equal(play([0.9, n, n, 0.8, n, n, n, n, 0.5], 1, 350), [
    '0 start 1 cat 0.9 @0',
    '7 end 1 cat 0.9 @0',
    '8 start 2 cat 0.5 @8',
    'end end 2 cat 0.5 @8',
  ])
})

test('an event knows its best frame', () => {
  const events = new Events({ conditions: conditionsOf('*'), confirm: 1, cooldownMs: 1000 })
  const best = [0.3, 0.2, 0.7, 0.7].map((score, index) =>
    events.see([{ label: 'cat', score }], { index, time: index }).inFrame.map((f) => f.best),
  )
  assert.equal(best, [[true], [false], [true], [false]])
  assert.equal(events.on, ['cat'])
})

const answer = (fields: Record<string, unknown>): PictureAnswer => ({
  task: 'detect',
  model: 'm',
  fields,
  words: 'nothing',
  timings: { decodeMs: 1, preprocessMs: 2, inferMs: 3 },
})

test('the view on a terminal fits it', () => {
  const detections = Array.from({ length: 11 }, (_, i) => ({
    label: `a very long label, number ${i}\n`,
    score: i / 10,
  }))
  const frame = { width: 640, height: 480, index: 7, time: 0 }
  for (const columns of [30, 80, 200]) {
    const lines = viewLines(
      { source: 'x.mjpeg', frame, answer: answer({ detections }), fps: 29.97, dropped: 3 },
      columns,
    )
    assert.is(lines.length, 10)
    assert.ok(
      lines.every((line) => [...line].length <= columns && !line.includes('\n')),
      `${columns} columns`,
    )
    assert.match(lines[1]!, /number 10|…/)
  }
  const none = viewLines({ source: 'x', frame, answer: answer({ detections: [] }), fps: 0, dropped: 0 }, 80)
  assert.equal(none.slice(1), ['  nothing'])
  assert.equal(seenIn(answer({ classes: [{ label: 'sky', share: 0.5 }] })), [{ label: 'sky', score: 0.5 }])
})

test('--out keeps the frames of events', async () => {
  const out = join(dir, 'events')
  const call = ['watch', SAMPLE, '--task', 'faces', '--on', 'face>0.5', '--confirm', '1', '--out', out, '--json']
  const got = await thimble(call)
  assert.is(got.code, 0, got.err)
  const files = readdirSync(out).sort()
  assert.is(files.length, 2)
  const [picture, log] = files as [string, string]
  assert.match(picture, /^\d{4}-\d\d-\d\dT[\d.-]+Z_0001_face_0\.jpg$/)
  assert.equal(readFileSync(join(out, picture)), readFileSync(SAMPLE))
  const told = readFileSync(join(out, log), 'utf8').trim().split('\n')
  assert.equal(
    told.map((line) => (JSON.parse(line) as { type: string }).type),
    ['start', 'end'],
  )
  const without = await thimble(['watch', SAMPLE, '--out', out])
  assert.is(without.code, 2)
  assert.match(without.err, /--on/)
})

test('a broker that is no address is said', async () => {
  const address = await thimble(['watch', SAMPLE, '--mqtt', 'localhost'])
  assert.is(address.code, 2)
  assert.match(address.err, /usage\/option: --mqtt is not usable; expected mqtt:/)
})

const found = existsSync(COMMAND) && peer('mqtt') ? peer<AedesPackage>('aedes') : undefined
const aedes = found && 'Aedes' in found ? found : undefined

interface Broker {
  handle(socket: Socket): void
  close(done?: () => void): void
  authenticate?: (client: unknown, user: string | undefined, password: Buffer | undefined, done: Done) => void
  on(
    event: 'publish',
    listener: (packet: { topic: string; payload: Buffer; retain: boolean }, client: unknown) => void,
  ): void
}
type Done = (error: Error | null, ok: boolean) => void
interface AedesPackage {
  Aedes: { createBroker(): Promise<Broker> }
}

/** A broker on a port, what it was told, and its end. */
async function brokerAt(
  Aedes: AedesPackage['Aedes'],
  port: number,
  password?: string,
): Promise<{
  port: number
  told: { topic: string; payload: Buffer; retain: boolean }[]
  end(): Promise<void>
}> {
  const broker = await Aedes.createBroker()
  if (password !== undefined) {
    broker.authenticate = (_, __, given, done) => done(null, given?.toString() === password)
  }
  const told: { topic: string; payload: Buffer; retain: boolean }[] = []
  broker.on('publish', ({ topic, payload, retain }, client) => {
    if (client || topic.endsWith('availability')) told.push({ topic, payload: Buffer.from(payload), retain })
  })
  const sockets = new Set<Socket>()
  const server: Server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    broker.handle(socket)
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    told,
    end: async () => {
      sockets.forEach((socket) => socket.destroy())
      await new Promise<void>((resolve) => server.close(() => resolve()))
      await new Promise<void>((resolve) => broker.close(resolve))
    },
  }
}

/** `watch` as a process, called where the package mqtt is. */
function watching(args: string[]): { child: ChildProcess; ended: Promise<number | null>; err(): string } {
  const child = spawn(process.execPath, [COMMAND, 'watch', '-', '--task', 'faces', '--json', ...args], {
    cwd: join(ENGINES, 'npm'),
    stdio: 'pipe',
  })
  let err = ''
  child.stderr.on('data', (chunk) => (err += String(chunk)))
  child.stdout.resume()
  child.stdin.on('error', () => {})
  return { child, ended: new Promise((resolve) => child.on('close', resolve)), err: () => err }
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const end = Date.now() + 20_000
  while (!holds()) {
    if (Date.now() > end) throw new Error(`waited 20 s for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

need(
  test,
  'a broker hears answers, events and Home Assistant’s discovery, goes away and comes back',
  { resource: aedes, missing: 'the packages aedes and mqtt are not installed; .ci/engines.sh node installs them' },
  async ({ Aedes }) => {
    const jpeg = readFileSync(SAMPLE)
    let broker = await brokerAt(Aedes, 0)
    let feed: NodeJS.Timeout | undefined
    const { port } = broker
    const at = (topic: string): string[] =>
      broker.told.filter((t) => t.topic === topic).map((t) => t.payload.toString('utf8'))
    const call = ['--mqtt', `mqtt://127.0.0.1:${port}`, '--name', 'Front Door', '--on', 'face>0.5', '--confirm', '2']
    const { child, ended, err } = watching([...call, '--cooldown', '0'])
    try {
      await until('the greeting', () => at('thimble/front_door/availability').includes('online'))
      feed = setInterval(() => child.stdin!.write(jpeg), 100)
      await until('an event', () => at('thimble/front_door/on/face').includes('ON'))
      assert.equal(at('thimble/front_door/on/face').slice(0, 2), ['OFF', 'ON'])
      const record = JSON.parse(at('thimble/front_door/answer')[0]!) as { frame: number; faces: unknown[] }
      assert.is(record.faces.length, 1)
      const [event] = at('thimble/front_door/events').map((e) => JSON.parse(e) as LiveEvent)
      assert.is(event!.type, 'start')
      assert.is(event!.label, 'face')
      await until('a snapshot', () => broker.told.some((t) => t.topic.endsWith('/snapshot')))
      assert.ok(broker.told.find((t) => t.topic.endsWith('/snapshot'))!.payload.equals(jpeg))
      const config = JSON.parse(at('homeassistant/binary_sensor/thimble_front_door/face/config')[0]!) as Record<
        string,
        unknown
      >
      assert.is(config.state_topic, 'thimble/front_door/on/face')
      assert.is(config.availability_topic, 'thimble/front_door/availability')
      assert.ok(at('homeassistant/sensor/thimble_front_door/answer/config').length > 0)
      assert.ok(at('homeassistant/image/thimble_front_door/snapshot/config').length > 0)

      await broker.end()
      await until('the loss', () => /is away; trying again/.test(err()))
      broker = await brokerAt(Aedes, port)
      await until('the return', () => at('thimble/front_door/on/face').includes('ON'))
      await until('answers', () => at('thimble/front_door/answer').length > 0)
      clearInterval(feed)
      child.stdin!.end()
      assert.is(await ended, 0, err())
      assert.is(at('thimble/front_door/availability').at(-1), 'offline')
      assert.is(at('thimble/front_door/on/face').at(-1), 'OFF')
    } finally {
      clearInterval(feed)
      child.kill('SIGKILL')
      await broker.end()
    }
  },
)

need(
  test,
  'a watch that is killed leaves its last will; a wrong password ends it',
  { resource: aedes, missing: 'the packages aedes and mqtt are not installed; .ci/engines.sh node installs them' },
  async ({ Aedes }) => {
    const broker = await brokerAt(Aedes, 0, 'right')
    const states = (): string[] =>
      broker.told.filter((t) => t.topic === 'thimble/camera/availability').map((t) => t.payload.toString())
    const killed = watching(['--mqtt', `mqtt://user:right@127.0.0.1:${broker.port}`, '--no-discovery'])
    const wrong = watching(['--mqtt', `mqtt://user:wrong@127.0.0.1:${broker.port}`])
    try {
      await until('the greeting', () => states().includes('online'))
      killed.child.kill('SIGKILL')
      await until('the last will', () => states().includes('offline'))
      assert.not.ok(broker.told.some((t) => t.topic.startsWith('homeassistant/')))
      assert.is(await wrong.ended, 2)
      assert.match(wrong.err(), /usage\/mqtt: the broker refuses/)
      assert.not.match(wrong.err(), /wrong@|:wrong/)
    } finally {
      killed.child.kill('SIGKILL')
      wrong.child.kill('SIGKILL')
      await broker.end()
    }
  },
)

test.run()
