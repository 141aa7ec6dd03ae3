/**
 * `thimble serve` under load, on this machine, loopback: `npm run bench -- --serve [--model NAME]`. A minute or two.
 *
 *   latency     one request after the other
 *   throughput  as many as the threads take, one thread and all
 *   at 80 %     requests sent at that share of the throughput whether answered or not, evenly and at random (Poisson)
 *   20,000      requests of a tiny network: how many are not 200, and what they do to memory
 *
 * The client is this process and shares the processors with the server.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { describe, processor } from '../src/cli/processor.ts'
import { random } from '../src/quantize/augment.ts'
import { quantile } from '../src/cli/stats.ts'

const COMMAND = fileURLToPath(new URL('../dist/cli.js', import.meta.url))
const PHOTO = readFileSync(fileURLToPath(new URL('../weights/samples/cat.jpg', import.meta.url)))
const TINY = 'face_landmarks_68_tiny_112'
const MANY = 20_000
const PHASE_MS = 10_000

interface Server {
  port: number
  process: ChildProcess
}

async function start(model: string, jobs: number): Promise<Server> {
  const models = ['--model', `main=${model}`, '--model', `tiny=${TINY}`]
  const child = spawn(
    process.execPath,
    [COMMAND, 'serve', '--port', '0', '--log', 'none', '--jobs', String(jobs), ...models],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  return { port: Number(/:(\d+)\s*$/.exec(String(line))![1]), process: child }
}

async function stop(server: Server): Promise<void> {
  server.process.kill('SIGTERM')
  await once(server.process, 'close')
}

interface Ask {
  path: string
  body: Uint8Array
  headers: Record<string, string>
}

const agent = new Agent({ keepAlive: true, maxSockets: 256 })

/** One request: its status and milliseconds. */
function ask({ port }: Server, { path, body, headers }: Ask): Promise<{ status: number; ms: number }> {
  const from = performance.now()
  return new Promise((resolve) => {
    const sent = request(
      { port, host: '127.0.0.1', agent, method: 'POST', path, headers: { ...headers, 'content-length': body.length } },
      (answer) => {
        answer.resume()
        answer.on('end', () => resolve({ status: answer.statusCode!, ms: performance.now() - from }))
      },
    )
    sent.on('error', () => resolve({ status: 0, ms: performance.now() - from }))
    sent.end(body)
  })
}

/** Requests a second with `together` of them under way. */
async function throughput(server: Server, what: Ask, together: number): Promise<number> {
  const until = performance.now() + PHASE_MS / 2
  const from = performance.now()
  let done = 0
  const client = async (): Promise<void> => {
    while (performance.now() < until) {
      if ((await ask(server, what)).status === 200) done++
    }
  }
  await Promise.all(Array.from({ length: together }, client))
  return (1000 * done) / (performance.now() - from)
}

/** Milliseconds of requests sent `rate` a second, `gap` giving the share of the mean pause before each. */
async function paced(server: Server, what: Ask, { rate, gap }: { rate: number; gap: () => number }): Promise<number[]> {
  const answers: Promise<{ status: number; ms: number }>[] = []
  const end = performance.now() + PHASE_MS
  for (let due = performance.now(); due < end; due += (1000 / rate) * gap()) {
    const wait = due - performance.now()
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait))
    // What waits because this process was late counts as the server's time.
    const late = Math.max(0, performance.now() - due)
    answers.push(ask(server, what).then((a) => ({ ...a, ms: a.ms + late })))
  }
  return (await Promise.all(answers)).map(({ ms }) => ms)
}

async function residentBytes({ port }: Server): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  return Number(/^process_resident_memory_bytes (\d+)/m.exec(text)![1])
}

/** The tiny network by the Open Inference Protocol. */
async function tinyAsk({ port }: Server): Promise<Ask> {
  const about = (await (await fetch(`http://127.0.0.1:${port}/v2/models/tiny`)).json()) as {
    inputs: { shape: number[]; datatype: string }[]
  }
  const [input] = about.inputs
  const width = { FP32: 4 }[input!.datatype] ?? 1
  const data = new Uint8Array(input!.shape.reduce((a, b) => a * b, width))
  const header = Buffer.from(
    JSON.stringify({
      inputs: [{ ...input, parameters: { binary_data_size: data.length } }],
      parameters: { binary_data_output: true },
    }),
  )
  return {
    path: '/v2/models/tiny/infer',
    body: Buffer.concat([header, data]),
    headers: { 'inference-header-content-length': String(header.length) },
  }
}

/** Errors and memory of many requests. */
async function many(server: Server): Promise<{ wrong: number; seconds: number; memory: number[] }> {
  const what = await tinyAsk(server)
  const memory: number[] = []
  let [sent, wrong] = [0, 0]
  const from = performance.now()
  const client = async (): Promise<void> => {
    while (sent < MANY) {
      if (sent++ % (MANY / 4) === 0) memory.push(await residentBytes(server))
      if ((await ask(server, what)).status !== 200) wrong++
    }
  }
  await Promise.all(Array.from({ length: 8 }, client))
  memory.push(await residentBytes(server))
  return { wrong, seconds: (performance.now() - from) / 1000, memory }
}

/** Measures and prints. */
export async function benchServe(model: string): Promise<void> {
  const cores = availableParallelism()
  const photo: Ask = { path: '/classify?model=main', body: PHOTO, headers: { 'content-type': 'image/jpeg' } }
  console.log(
    `${describe(processor())}; Node ${process.version}; ${model}, ${PHOTO.length} bytes of JPEG; ${cores} threads`,
  )
  const one = await start(model, 1)
  for (let i = 0; i < 50; i++) await ask(one, photo)
  const single = await throughput(one, photo, 4)
  await stop(one)
  const server = await start(model, cores)
  try {
    for (let i = 0; i < 50 * cores; i++) await ask(server, photo)
    await throughput(server, photo, 2 * cores)
    const alone: number[] = []
    for (let i = 0; i < 200; i++) alone.push((await ask(server, photo)).ms)
    const latency = quantile(alone, 0.5)
    console.log(`one after the other: median ${latency.toFixed(1)} ms, p99 ${quantile(alone, 0.99).toFixed(1)} ms`)
    const all = await throughput(server, photo, 4 * cores)
    console.log(
      `throughput: ${all.toFixed(1)} a second, one thread ${single.toFixed(1)}: ${(all / single).toFixed(2)} times`,
    )
    const next = random(1)
    for (const [name, gap] of [
      ['evenly', () => 1],
      ['at random', () => -Math.log(1 - next())],
    ] as const) {
      const times = await paced(server, photo, { rate: 0.8 * all, gap })
      const p99 = quantile(times, 0.99)
      console.log(
        `80 % of it, sent ${name}: ${times.length} requests, median ${quantile(times, 0.5).toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, ${(p99 / latency).toFixed(2)} times the latency`,
      )
    }
    const { wrong, seconds, memory } = await many(server)
    console.log(
      `${MANY} requests of ${TINY}: ${wrong} not answered with 200, ${seconds.toFixed(0)} s; memory ${memory.map((b) => (b / 1e6).toFixed(0)).join(', ')} MB`,
    )
  } finally {
    await stop(server)
    agent.destroy()
  }
}
