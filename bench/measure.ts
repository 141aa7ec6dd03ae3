/**
 * One network, all peers: every peer in a fresh process or page, then turns (A B C A B C ...), then outputs compared.
 */
import { encode, encodeBase64, decodeBase64, numbers, type Port } from './drive.ts'
import { PageHost, ProcessHost, type Host, type Memory } from './hosts.ts'
import type { NetworkFiles } from './networks.ts'
import type { Peer } from './peers.ts'
import type { Download, FileServer } from './server.ts'
import { median, quantile } from '../src/cli/stats.ts'
import { picture, ratio } from './stats.ts'

export interface Plan {
  rounds: number
  /** One turn of one peer, in milliseconds. */
  turnMs: number
  /**
   * Warm-up before the first turn: chunks of turnMs until the best time has stopped falling, at least and at most this
   * long.
   */
  warmupMs: [number, number]
  maxRunsPerTurn: number
  /** Inputs on which outputs are compared. */
  inputs: number
}

export interface Agreement {
  compared: number
  identical: number
  maxDifference: number
  sameTop1: number
}

export interface PeerResult {
  id: string
  name: string
  where: string
  arithmetic: string
  /** Why it was not measured. Everything below is then absent. */
  skipped?: string
  runs?: number
  medianMs?: number
  minMs?: number
  p95Ms?: number
  /** Import and start of the library, loading of the model, first inference. */
  startMs?: number
  loadMs?: number
  firstMs?: number
  /** Median of per-round ratios to the peer of that id. */
  ratios?: Record<string, number>
  download?: Download
  memory?: Memory | undefined
  info?: Record<string, unknown>
  /** Against the outputs of the first peer that answered (native LiteRT where it is there). */
  agreement?: Agreement
}

export interface NetworkResult {
  name: string
  bytes: number
  input: string
  reference?: string | undefined
  peers: PeerResult[]
}

interface Entrant {
  peer: Peer
  host: Host
  result: PeerResult
  rounds: number[][]
  outputs: Uint8Array[]
}

const FIRST_LINE = /^[^\n]*/

/** Whether it is Thimble itself. */
export const own = ({ name }: { name: string }): boolean => name.startsWith('Thimble')

/** What pages are served by and run in. */
export interface Browser {
  server: FileServer
  chromium: string | undefined
}

async function enter(
  peer: Peer,
  files: NetworkFiles,
  { server, chromium }: Browser,
  input: string,
): Promise<Entrant | PeerResult> {
  const result: PeerResult = { id: peer.id, name: peer.name, where: peer.where, arithmetic: peer.arithmetic }
  const form = files.forms[peer.form]
  const lacks = own(peer) && files.missing.length ? `no operator ${files.missing.join(', ')} in Thimble` : undefined
  const reason = peer.skip ?? lacks ?? form.reason
  if (reason) return { ...result, skipped: reason }
  let host: Host | undefined
  try {
    if (peer.host.kind === 'process') host = new ProcessHost(peer.host.command, peer.host.args)
    else {
      host = await PageHost.start(chromium!, server, peer.host.runner)
      await server.download()
    }
    const location = peer.host.kind === 'process' ? form.path! : `/network/${files.name}/${peer.form}`
    const opened = await host.open(
      { name: files.name, location, input: files.input, output: files.output, options: peer.options },
      input,
    )
    Object.assign(result, opened)
    if (peer.host.kind === 'page') result.download = await server.download()
    return { peer, host, result, rounds: [], outputs: [] }
  } catch (error) {
    await host?.close().catch(() => {})
    return {
      ...result,
      skipped: `can't run it: ${FIRST_LINE.exec((error as Error).message.replace(/^page\.evaluate: (Error: )?/, ''))![0].slice(0, 240)}`,
    }
  }
}

function agree(a: Uint8Array[], b: Uint8Array[], port: Port): Agreement {
  const top = (v: number[]): number => v.reduce((best, x, i) => (x > v[best]! ? i : best), 0)
  const agreement: Agreement = { compared: a.length, identical: 0, maxDifference: 0, sameTop1: 0 }
  a.forEach((bytes, k) => {
    if (bytes.length !== b[k]!.length) return (agreement.maxDifference = Infinity)
    const [mine, theirs] = [numbers(port, bytes), numbers(port, b[k]!)]
    if (bytes.every((v, i) => v === b[k]![i])) agreement.identical++
    if (top(mine) === top(theirs)) agreement.sameTop1++
    agreement.maxDifference = mine.reduce(
      (most, v, i) => Math.max(most, Math.abs(v - theirs[i]!)),
      agreement.maxDifference,
    )
  })
  return agreement
}

/** Engines optimize in the background: run until three chunks in a row bring no better time (by 2 %). */
async function warmUp(host: Host, plan: Plan): Promise<void> {
  const [least, most] = plan.warmupMs
  let best = Infinity
  let idle = 0
  for (let spent = 0; spent < most && (spent < least || idle < 3); spent += plan.turnMs) {
    const fastest = Math.min(...(await host.block(plan.turnMs, plan.maxRunsPerTurn)))
    idle = fastest < best * 0.98 ? 0 : idle + 1
    best = Math.min(best, fastest)
  }
}

/** Peers whose ratio to each other is told. */
const AGAINST = ['litert', 'litert-js']

export async function measure(
  files: NetworkFiles,
  peers: Peer[],
  plan: Plan,
  { browser, log }: { browser: Browser; log: (line: string) => void },
): Promise<NetworkResult> {
  const inputs = Array.from({ length: plan.inputs }, (_, k) =>
    encodeBase64(asInput(files, picture(files.input.shape, k + 1))),
  )
  const entrants: Entrant[] = []
  const results: PeerResult[] = []
  for (const peer of peers) {
    const entered = await enter(peer, files, browser, inputs[0]!)
    if ('host' in entered) entrants.push(entered)
    results.push('host' in entered ? entered.result : entered)
  }
  const drop = async (e: Entrant, error: unknown): Promise<void> => {
    e.result.skipped = `stopped: ${FIRST_LINE.exec((error as Error).message)![0]}`
    entrants.splice(entrants.indexOf(e), 1)
    await e.host.close().catch(() => {})
  }
  const each = async (work: (e: Entrant) => Promise<void>): Promise<void> => {
    for (const e of [...entrants]) await work(e).catch((error) => drop(e, error))
  }
  await each((e) => warmUp(e.host, plan))
  for (let round = 0; round < plan.rounds; round++) {
    log(`${files.name}: round ${round + 1} of ${plan.rounds}, ${entrants.length} peers`)
    await each(async (e) => {
      e.rounds.push(await e.host.block(plan.turnMs, plan.maxRunsPerTurn))
    })
  }
  await each(async (e) => {
    e.result.memory = await e.host.memory()
    for (const input of inputs) e.outputs.push(decodeBase64(await e.host.answer(input)))
  })
  summarize(entrants, files)
  await Promise.all(entrants.map((e) => e.host.close().catch(() => {})))
  return {
    name: files.name,
    bytes: files.bytes,
    input: `${files.input.dtype} ${files.input.shape.join('x')}`,
    reference: entrants[0]?.peer.id,
    peers: results,
  }
}

function summarize(entrants: Entrant[], files: NetworkFiles): void {
  for (const e of entrants) {
    const times = e.rounds.flat()
    Object.assign(e.result, {
      runs: times.length,
      medianMs: median(times),
      minMs: Math.min(...times),
      p95Ms: quantile(times, 0.95),
    })
    e.result.ratios = Object.fromEntries(
      entrants.filter((o) => AGAINST.includes(o.peer.id) && o !== e).map((o) => [o.peer.id, ratio(e.rounds, o.rounds)]),
    )
    if (e !== entrants[0]) e.result.agreement = agree(e.outputs, entrants[0]!.outputs, files.output)
  }
}

/** Picture bytes (0..255) in the input's dtype. */
function asInput(files: NetworkFiles, bytes: Uint8Array): Uint8Array {
  if (files.input.dtype === 'int8') return bytes.map((b) => b ^ 128)
  return encode(files.input, files.input.dtype === 'float32' ? Float32Array.from(bytes, (b) => b / 255) : bytes)
}
