/**
 * `thimble serve` under load, on this machine, loopback: `npm run bench -- --serve [--model NAME]`. Two minutes or so.
 *
 *   latency     one request after the other, and what of it is not decoding, preprocessing and inference
 *   throughput  as many as the threads take, one thread and all, in turns
 *   ceiling     the same photo in one process without a server, and in as many as there are processors at once
 *   at 80 %     requests sent at that share of the throughput whether answered or not, evenly and at random (Poisson);
 *               beside it a queue before servers that need the mean time exactly: what no scheduler can better
 *   20,000      requests of a tiny network: how many are not 200, and what they do to memory
 *
 * The client is a process of its own (serve-load.ts) and shares the processors with the server.
 */
import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { describe, processor } from '../src/cli/processor.ts'
import { openModel } from '../src/cli/shipped.ts'
import { median, quantile } from '../src/cli/stats.ts'
import { arrivals, type Done, requestBytes, type Work } from './serve-load.ts'

const COMMAND = fileURLToPath(new URL('../dist/cli.js', import.meta.url))
const LOAD = fileURLToPath(new URL('./serve-load.ts', import.meta.url))
const PHOTO = readFileSync(fileURLToPath(new URL('../weights/samples/cat.jpg', import.meta.url)))
const PHOTO_REQUEST = requestBytes('/classify?model=main', PHOTO, { 'content-type': 'image/jpeg' })
const TINY = 'face_landmarks_68_tiny_112'
const MANY = 20_000
const PHASE_MS = 10_000
/** One thread and all take turns so often. */
const ROUNDS = 4
const SEED = 1

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

/** A process that does what it is told. */
class Loader {
  private readonly child = fork(LOAD, { serialization: 'advanced' })

  async do(work: Work): Promise<Done> {
    this.child.send(work)
    const [result] = (await once(this.child, 'message')) as [Done]
    return result
  }

  end(): void {
    this.child.disconnect()
  }
}

/** Milliseconds that the thread which listens has had of the processor; undefined where the system does not say. */
function listenerMs({ process: { pid } }: Server): number | undefined {
  try {
    const fields = readFileSync(`/proc/${pid}/task/${pid}/stat`, 'latin1').replace(/.*\) /, '').split(' ')
    return 10 * (Number(fields[11]) + Number(fields[12]))
  } catch {
    return undefined
  }
}

const perSecond = ({ times, ms }: Done): number => (1000 * times.length) / ms

/** Requests a second with four under way a thread; the client's and the listening thread's milliseconds a request. */
async function throughput(
  server: Server,
  client: Loader,
  threads: number,
): Promise<{ rate: number; clientMs: number; listenMs: number | undefined }> {
  const before = listenerMs(server)
  const result = await client.do({
    kind: 'closed',
    port: server.port,
    request: PHOTO_REQUEST,
    together: 4 * threads,
    ms: PHASE_MS / 2,
  })
  const after = listenerMs(server)
  const n = result.times.length
  const listenMs = before === undefined || after === undefined ? undefined : (after - before) / n
  return { rate: perSecond(result), clientMs: result.processorMs / n, listenMs }
}

/** Photos a second of one process in a loop, and of as many as there are processors. */
async function ceiling(model: string, cores: number): Promise<{ one: number; all: number }> {
  const loaders = Array.from({ length: cores }, () => new Loader())
  const { path } = openModel(model)
  const loop = async (loader: Loader): Promise<number> => {
    const { times } = await loader.do({ kind: 'loop', model: path, photo: PHOTO, ms: PHASE_MS / 2, warmup: 50 })
    return (1000 * times.length) / times.reduce((a, b) => a + b, 0)
  }
  const one = await loop(loaders[0]!)
  const all = (await Promise.all(loaders.map(loop))).reduce((a, b) => a + b, 0)
  for (const loader of loaders) loader.end()
  return { one, all }
}

/** Milliseconds from arrival to answer where `servers` take one after the other and need `serviceMs` each. */
export function queueing(due: readonly number[], serviceMs: number, servers: number): number[] {
  const free = new Array<number>(servers).fill(0)
  return due.map((at) => {
    const first = free.indexOf(Math.min(...free))
    free[first] = Math.max(at, free[first]!) + serviceMs
    return free[first] - at
  })
}

async function residentBytes({ port }: Server): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  return Number(/^process_resident_memory_bytes (\d+)/m.exec(text)![1])
}

/** The tiny network by the Open Inference Protocol. */
async function tinyRequest({ port }: Server): Promise<Uint8Array> {
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
  return requestBytes('/v2/models/tiny/infer', Buffer.concat([header, data]), {
    'inference-header-content-length': String(header.length),
  })
}

/** Errors and memory of many requests, a quarter of them at a time. */
async function many(server: Server, client: Loader): Promise<string> {
  const work = { kind: 'closed', port: server.port, request: await tinyRequest(server), together: 8 } as const
  const memory = [await residentBytes(server)]
  let [wrong, ms] = [0, 0]
  for (let quarter = 0; quarter < 4; quarter++) {
    const result = await client.do({ ...work, ms: 600_000, count: MANY / 4 })
    wrong += result.wrong + MANY / 4 - result.times.length
    ms += result.ms
    memory.push(await residentBytes(server))
  }
  const megabytes = memory.map((b) => (b / 1e6).toFixed(0)).join(', ')
  return `${MANY} requests of ${TINY}: ${wrong} not answered with 200, ${(ms / 1000).toFixed(0)} s; memory ${megabytes} MB`
}

/** Requests at a rate, and what a queue of as many servers would have made of the same arrivals. */
async function paced(
  server: Server,
  client: Loader,
  { rate, latency, cores }: Record<'rate' | 'latency' | 'cores', number>,
): Promise<void> {
  for (const [name, seed] of [
    ['evenly', undefined],
    ['at random', SEED],
  ] as const) {
    const when = { rate: 0.8 * rate, ms: PHASE_MS, ...(seed === undefined ? {} : { seed }) }
    const { times } = await client.do({ kind: 'paced', port: server.port, request: PHOTO_REQUEST, ...when })
    const [p99, least] = [times, queueing(arrivals(when), (1000 * cores) / rate, cores)].map((t) => quantile(t, 0.99))
    console.log(
      `80 % of it, sent ${name}: ${times.length} requests, median ${median(times).toFixed(1)} ms, p99 ${p99!.toFixed(1)} ms, ` +
        `${(p99! / latency).toFixed(2)} times the latency (a queue before ${cores} servers that take ${((1000 * cores) / rate).toFixed(1)} ms each: ${least!.toFixed(1)} ms)`,
    )
  }
}

/** Measures and prints. */
export async function benchServe(model: string): Promise<void> {
  const cores = availableParallelism()
  console.log(
    `${describe(processor())}; Node ${process.version}; ${model}, ${PHOTO.length} bytes of JPEG; ${cores} threads`,
  )
  const client = new Loader()
  const servers = [await start(model, 1), await start(model, cores)] as const
  const [one, all] = servers
  const warm = { kind: 'closed', request: PHOTO_REQUEST, together: cores, ms: 60_000 } as const
  try {
    for (const { port } of servers) await client.do({ ...warm, port, count: 80 * cores })
    const alone = await client.do({ ...warm, port: all.port, together: 1, count: 200 })
    const latency = median(alone.times)
    const beside = median(alone.times.map((ms, i) => ms - alone.inner[i]!))
    console.log(
      `one after the other: median ${latency.toFixed(1)} ms, of which ${beside.toFixed(2)} are not the answer's own; p99 ${quantile(alone.times, 0.99).toFixed(1)} ms`,
    )
    const [singles, alls] = [[], []] as [number[], Awaited<ReturnType<typeof throughput>>[]]
    for (let round = 0; round < ROUNDS; round++) {
      singles.push((await throughput(one, client, 1)).rate)
      alls.push(await throughput(all, client, cores))
    }
    const rate = median(alls.map((a) => a.rate))
    const gain = median(alls.map((a, i) => a.rate / singles[i]!))
    const listen = alls.flatMap((a) => a.listenMs ?? [])
    console.log(
      `throughput: ${rate.toFixed(1)} a second, one thread ${median(singles).toFixed(1)}: ${gain.toFixed(2)} times (medians of ${ROUNDS} turns); ` +
        `a request costs the client ${median(alls.map((a) => a.clientMs)).toFixed(2)} ms` +
        (listen.length ? `, the thread that listens ${median(listen).toFixed(2)} ms` : ''),
    )
    const free = await ceiling(model, cores)
    console.log(
      `without a server: ${free.one.toFixed(1)} a second in one process, ${free.all.toFixed(1)} in ${cores}: ${(free.all / free.one).toFixed(2)} times`,
    )
    await paced(all, client, { rate, latency, cores })
    console.log(await many(all, client))
  } finally {
    for (const server of servers) await stop(server)
    client.end()
  }
}
