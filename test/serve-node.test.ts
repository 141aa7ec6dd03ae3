/** `serve` on node:http: bodies in parts, too large, too slow and broken off, over one connection and the next. */
import { once } from 'node:events'
import { type AddressInfo, connect } from 'node:net'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { arrivals } from '../bench/serve-load.ts'
import { queueing } from '../bench/serve.ts'
import { createApp } from '../src/serve/app.ts'
import { listening, serverOf } from '../src/serve/node.ts'
import type { Answers, PictureQuestion } from '../src/serve/questions.ts'

const test = suite('serve-node')

/** Says how many bytes a picture has, and their sum. */
const answers: Answers = {
  answer: (({ picture }: PictureQuestion) => {
    const bytes = picture as Uint8Array
    const sum = bytes.reduce((a, b) => a + b, 0)
    return Promise.resolve({
      task: 'classify',
      model: 'm',
      fields: { length: bytes.length, sum },
      words: '',
      timings: {},
    })
  }) as unknown as Answers['answer'],
  busy: 0,
  waiting: 0,
  end: () => Promise.resolve(),
}
const LIMITS = { maxBytes: 300_000, maxRequests: 2, arriveMs: 300 }

/** A server for one test; `say` sends text or bytes over a connection that stays, and gives what comes back next. */
async function served(work: (to: { port: number; open: () => Connection }) => Promise<void>): Promise<void> {
  const server = serverOf(createApp({ answers, models: new Map(), version: '1', limits: LIMITS }), 5000)
  await listening(server, 0, '127.0.0.1')
  const { port } = server.address() as AddressInfo
  try {
    await work({ port, open: () => new Connection(port) })
  } finally {
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  }
}

class Connection {
  private readonly socket
  private text = ''
  constructor(port: number) {
    this.socket = connect(port, '127.0.0.1')
    this.socket.on('data', (bytes) => (this.text += bytes.toString('latin1'))).on('error', () => {})
  }
  send(...parts: (string | Uint8Array)[]): this {
    for (const part of parts) this.socket.write(part)
    return this
  }
  /** The next answer: its status and JSON. */
  async answer(): Promise<{ status: number; json: any }> {
    for (;;) {
      const match = /^HTTP\/1\.1 (\d+)[^]*?content-length: (\d+)[^]*?\r\n\r\n/i.exec(this.text)
      const end = match ? match[0].length + Number(match[2]) : Infinity
      if (this.text.length >= end) {
        const body = this.text.slice(match![0].length, end)
        this.text = this.text.slice(end)
        return { status: Number(match![1]), json: body && JSON.parse(body) }
      }
      await Promise.race([once(this.socket, 'data'), once(this.socket, 'close')])
      if (this.socket.destroyed && !this.text) throw new Error('the connection was closed without an answer')
    }
  }
  end(): void {
    this.socket.destroy()
  }
}

const post = (length: number, more = ''): string =>
  `POST /classify HTTP/1.1\r\nhost: x\r\ncontent-length: ${length}\r\n${more}\r\n`
const CHUNKED = 'POST /classify HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n'
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

test('a body in one piece, in many, and in chunks is the same body, on one connection', async () => {
  await served(async ({ open }) => {
    const to = open()
    const body = Uint8Array.from({ length: 200_000 }, (_, i) => i % 251)
    const expected = { length: body.length, sum: body.reduce((a, b) => a + b, 0) }
    to.send(post(body.length), body)
    const whole = await to.answer()
    to.send(post(body.length))
    for (let at = 0; at < body.length; at += 30_001) {
      to.send(body.subarray(at, at + 30_001))
      await pause(1)
    }
    const parts = await to.answer()
    to.send(CHUNKED)
    for (let at = 0; at < body.length; at += 50_000) to.send('c350\r\n', body.subarray(at, at + 50_000), '\r\n')
    const chunks = await to.send('0\r\n\r\n').answer()
    for (const { status, json } of [whole, parts, chunks]) {
      assert.is(status, 200)
      assert.equal({ length: json.length, sum: json.sum }, expected)
    }
    const none = await to.send(post(0)).answer()
    assert.equal([none.status, none.json.error.code], [400, 'body-empty'])
    to.end()
  })
})

test('a body that is too large, too slow or broken off gets its answer, and the next request its own', async () => {
  await served(async ({ open }) => {
    const large = open().send(CHUNKED)
    for (let i = 0; i < 8; i++) large.send('c350\r\n', new Uint8Array(50_000), '\r\n')
    const refused = await large.send('0\r\n\r\n').answer()
    assert.equal([refused.status, refused.json.error.code], [413, 'body-too-large'])
    // What was left of it is not taken for a request.
    assert.is((await large.send(post(3), 'abc').answer()).json.length, 3)
    large.end()
    const slow = open().send(post(100), 'begun')
    const late = await slow.answer()
    assert.equal([late.status, late.json.error.code], [408, 'body-slow'])
    slow.end()
    // Two broken off would hold both places if they were not noticed.
    for (let i = 0; i < 6; i++) {
      const broken = open().send(post(100), 'begun')
      await pause(20)
      broken.end()
      await pause(20)
    }
    const next = open()
    assert.is((await next.send(post(4), 'abcd').answer()).status, 200)
    next.end()
  })
})

test('addresses that are none and methods that no route has are refused, and the connection goes on', async () => {
  await served(async ({ open }) => {
    const to = open()
    const wrong = await to.send('GET //[ HTTP/1.1\r\nhost: x\r\n\r\n').answer()
    assert.ok(wrong.status === 400 || wrong.status === 404, `${wrong.status}`)
    const star = await to.send('OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n').answer()
    assert.ok(star.status === 404 || star.status === 405, `${star.status}`)
    assert.is((await to.send('DELETE /classify HTTP/1.1\r\nhost: x\r\n\r\n').answer()).status, 405)
    assert.is((await to.send('GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n').answer()).json.status, 'ok')
    to.end()
  })
})

test('the benchmark: arrivals keep their rate, and a queue before two servers is what theory says', () => {
  assert.equal(arrivals({ rate: 100, ms: 50 }).map(Math.round), [0, 10, 20, 30, 40])
  const due = arrivals({ rate: 100, ms: 1e6, seed: 1 })
  assert.ok(Math.abs(due.length - 1e5) < 1500, `${due.length}`)
  // One server that takes 8 ms of every 10: the mean wait of M/D/1 is 0.8 * 8 / (2 * 0.2) = 16 ms.
  const waits = queueing(due, 8, 1).map((t) => t - 8)
  const mean = waits.reduce((a, b) => a + b, 0) / waits.length
  assert.ok(Math.abs(mean - 16) < 1.5, `${mean}`)
  assert.equal(queueing([0, 1, 2], 10, 2), [10, 10, 18])
})

test.run()
