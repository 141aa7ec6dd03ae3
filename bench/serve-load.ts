/**
 * What bench/serve.ts asks of processes of their own, by messages: requests over raw sockets that stay open, which cost
 * a quarter of a millisecond each, and the same photo classified in a loop without a server.
 */
import { connect, type Socket } from 'node:net'
import type * as Thimble from '../src/node.ts'
import { random } from '../src/quantize/augment.ts'

/** One request, as it goes over the socket. */
interface Asking {
  port: number
  request: Uint8Array
}
/** `together` requests under way for `ms`, or until there were `count`. */
export interface Closed extends Asking {
  kind: 'closed'
  together: number
  ms: number
  count?: number
}
/** `rate` requests a second for `ms`, whether answered or not: evenly, or at random (Poisson) by a seed. */
export interface Paced extends Asking {
  kind: 'paced'
  rate: number
  ms: number
  seed?: number
}
/** A photo classified for `ms`, after `warmup` times. */
export interface Loop {
  kind: 'loop'
  model: string
  photo: Uint8Array
  ms: number
  warmup: number
}
export type Work = Closed | Paced | Loop
export interface Done {
  /** Milliseconds of each answer, and of them those spent in decoding, preprocessing and inference. */
  times: number[]
  inner: number[]
  /** Answers that are not 200. */
  wrong: number
  /** Milliseconds that it all took, and of this process's processor time. */
  ms: number
  processorMs: number
}

/** A request of these bytes. */
export function requestBytes(path: string, body: Uint8Array, headers: Record<string, string>): Uint8Array {
  const lines = [`POST ${path} HTTP/1.1`, 'host: localhost', `content-length: ${body.length}`]
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`)
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`), body])
}

interface Answer {
  ms: number
  status: number
  inner: number
}

/** Milliseconds before each request, from the first one's. Evenly without a seed, else at random. */
export function arrivals({ rate, ms, seed }: Pick<Paced, 'rate' | 'ms' | 'seed'>): number[] {
  const next = seed === undefined ? () => 1 - Math.exp(-1) : random(seed)
  const due: number[] = []
  for (let at = 0; at < ms; at -= (1000 / rate) * Math.log(1 - next())) due.push(at)
  return due
}

/** Sockets to one server; one request at a time on each. */
class Client {
  private readonly asking: Asking
  private readonly free: Socket[] = []

  constructor(asking: Asking) {
    this.asking = asking
  }

  ask(): Promise<Answer> {
    const from = performance.now()
    const socket = this.free.pop() ?? this.open()
    let text = ''
    return new Promise((resolve) => {
      const end = (status: number): void => {
        socket.off('data', read)
        socket.off('close', lost)
        if (status) this.free.push(socket)
        const inner = /"decodeMs":([\d.e-]+),"preprocessMs":([\d.e-]+),"inferMs":([\d.e-]+)/.exec(text)
        const times = inner ? inner.slice(1).map(Number) : []
        resolve({ ms: performance.now() - from, status, inner: times.reduce((a, b) => a + b, 0) })
      }
      const lost = (): void => end(0)
      const read = (bytes: Buffer): void => {
        text += bytes.toString('latin1')
        const head = text.indexOf('\r\n\r\n')
        const length = Number(/\r\ncontent-length: (\d+)/i.exec(text)?.[1])
        if (head >= 0 && text.length >= head + 4 + length) end(Number(text.slice(9, 12)))
      }
      socket.on('data', read).on('close', lost)
      socket.write(this.asking.request)
    })
  }

  /** A socket; one that the server closes while nothing is asked on it is forgotten. */
  private open(): Socket {
    const socket = connect(this.asking.port, '127.0.0.1').setNoDelay(true)
    return socket
      .on('error', () => {})
      .on('close', () => {
        const at = this.free.indexOf(socket)
        if (at >= 0) this.free.splice(at, 1)
      })
  }

  end(): void {
    for (const socket of this.free) socket.destroy()
  }
}

async function closed(work: Closed, client: Client): Promise<Answer[]> {
  const answers: Answer[] = []
  const until = performance.now() + work.ms
  let left = work.count ?? Infinity
  const one = async (): Promise<void> => {
    while (left-- > 0 && performance.now() < until) answers.push(await client.ask())
  }
  await Promise.all(Array.from({ length: work.together }, one))
  return answers
}

async function paced(work: Paced, client: Client): Promise<Answer[]> {
  const answers: Promise<Answer>[] = []
  const start = performance.now()
  for (const at of arrivals(work)) {
    const wait = start + at - performance.now()
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait))
    // What waits because this process was late counts as the server's time.
    const late = Math.max(0, performance.now() - start - at)
    answers.push(client.ask().then((a) => ({ ...a, ms: a.ms + late })))
  }
  return Promise.all(answers)
}

async function loop({ model, photo, ms, warmup }: Loop): Promise<Answer[]> {
  const { createClassifier, loadModel } = (await import(
    new URL('../dist/node.js', import.meta.url).href
  )) as typeof Thimble
  const classifier = await createClassifier(await loadModel(model))
  for (let i = 0; i < warmup; i++) classifier.classify(photo)
  const answers: Answer[] = []
  const until = performance.now() + ms
  while (performance.now() < until) {
    const from = performance.now()
    classifier.classify(photo)
    const took = performance.now() - from
    answers.push({ ms: took, status: 200, inner: took })
  }
  return answers
}

async function done(work: Work): Promise<Done> {
  const client = work.kind === 'loop' ? undefined : new Client(work)
  const from = performance.now()
  const before = process.cpuUsage()
  const answers =
    work.kind === 'loop'
      ? await loop(work)
      : await (work.kind === 'closed' ? closed(work, client!) : paced(work, client!))
  const { user, system } = process.cpuUsage(before)
  client?.end()
  return {
    times: answers.map((a) => a.ms),
    inner: answers.map((a) => a.inner),
    wrong: answers.filter((a) => a.status !== 200).length,
    ms: performance.now() - from,
    processorMs: (user + system) / 1000,
  }
}

if (process.send) {
  process.on('message', (work: Work) => void done(work).then((result) => process.send!(result)))
}
