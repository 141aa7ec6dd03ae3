/**
 * The fuzzing loop, on a worker thread: inputs that reach new branches, or old ones in another order of magnitude, join
 * the corpus; what breaks the invariant is made small and reported. Everything follows from the seed.
 */
import { createHash } from 'node:crypto'
import { parentPort, workerData } from 'node:worker_threads'
import { dice } from '../../test/mutate.ts'
import { judge } from './judge.ts'
import { changeBytes, joined } from './mutators.ts'
import type { FuzzTarget } from './target.ts'
import { imageMemory } from './targets/images.ts'
import { TARGETS } from './targets.ts'

/** What the loop is told. */
export interface Task {
  name: string
  seed: number
  runs: number
  seconds: number
  branches: number
  wasmBranches: number
  wasmCounters: number
  words: string[]
  corpus: Uint8Array[]
  /** Bytes that the kept corpus may have, 0 for none to be kept. */
  keepBytes: number
  /** The input under work: its length, the number of executions, and from byte 16 on its bytes. */
  shared: SharedArrayBuffer
}

/** What it says, now and then and at the end. */
export interface Report {
  kind: 'progress' | 'done'
  executions: number
  branches: number
  corpus: number
  kept?: Uint8Array[]
  corpusBytes?: Uint8Array[]
}
export interface Found {
  kind: 'finding'
  key: string
  detail: string
  bytes: Uint8Array
}

const task = workerData as Task
const counters = (globalThis as unknown as { fuzzCounters: Uint32Array }).fuzzCounters.subarray(0, task.branches)
const MAX_BYTES = 1 << 16

/** Orders of magnitude: 1, 2, 3, 4 to 7, 8 to 15, 16 to 31, 32 to 127, more. */
const bucket = (n: number): number =>
  n < 4 ? 1 << (n - 1) : n < 8 ? 8 : n < 16 ? 16 : n < 32 ? 32 : n < 128 ? 64 : 128

interface Entry {
  bytes: Uint8Array
  features: Uint32Array
  picked: number
}

class Loop {
  private readonly target: FuzzTarget
  private readonly dice = dice(task.seed)
  private readonly seen = new Uint8Array(task.branches + task.wasmBranches)
  private readonly entries: Entry[] = []
  private readonly hashes = new Set<string>()
  private readonly keys = new Set<string>()
  private readonly words = task.words.map((w) => Uint8Array.from(Buffer.from(w, 'base64')))
  private readonly state = new Int32Array(task.shared, 0, 4)
  private readonly copy = new Uint8Array(task.shared, 16)
  /** The smallest entry that has a feature. */
  private readonly best = new Map<number, Entry>()
  private favoured: Entry[] = []
  private executions = 0

  constructor() {
    this.target = TARGETS.find((t) => t.name === task.name)!
  }

  private wasm(): Uint32Array {
    return new Uint32Array(imageMemory().buffer, task.wasmCounters, task.wasmBranches)
  }

  /** Runs once; the features are those of the run when `collect`, else only whether there is something new. */
  private async run(bytes: Uint8Array, collect: boolean): Promise<Uint32Array | undefined> {
    this.copy.set(bytes.subarray(0, this.copy.length))
    Atomics.store(this.state, 0, bytes.length)
    counters.fill(0)
    this.wasm().fill(0)
    const finding = await judge(this.target, bytes)
    this.executions++
    Atomics.store(this.state, 1, this.executions)
    if (finding && !this.keys.has(finding.key)) {
      this.keys.add(finding.key)
      this.say({ kind: 'finding', ...finding, bytes: await this.smaller(bytes, finding.key) })
    }
    if (finding) return undefined
    const wasm = this.wasm()
    let fresh = collect
    const features: number[] = []
    const look = (list: Uint32Array, base: number): void => {
      for (let i = 0; i < list.length; i++) {
        const n = list[i]!
        if (n === 0) continue
        const b = bucket(n)
        if (!(this.seen[base + i]! & b)) {
          this.seen[base + i]! |= b
          fresh = true
        }
        features.push((base + i) * 8 + (31 - Math.clz32(b)))
      }
    }
    look(counters, 0)
    look(wasm, task.branches)
    return fresh ? Uint32Array.from(features) : undefined
  }

  private say(message: Report | Found): void {
    parentPort!.postMessage(message)
  }

  /** A shorter input with the same finding. */
  private async smaller(bytes: Uint8Array, key: string): Promise<Uint8Array> {
    let best = bytes
    const until = performance.now() + 5000
    for (let size = best.length >> 1; size >= 1; size >>= 1) {
      for (let at = 0; at < best.length && performance.now() < until;) {
        const less = joined(best.subarray(0, at), best.subarray(at + size))
        if (less.length < best.length && (await judge(this.target, less))?.key === key) best = less
        else at += size
      }
    }
    return best
  }

  private add(bytes: Uint8Array, features: Uint32Array): void {
    const hash = createHash('sha256').update(bytes).digest('hex')
    if (this.hashes.has(hash)) return
    this.hashes.add(hash)
    const entry = { bytes, features, picked: 0 }
    this.entries.push(entry)
    let better = false
    for (const f of features) {
      const other = this.best.get(f)
      if (!other || bytes.length < other.bytes.length) {
        this.best.set(f, entry)
        better = true
      }
    }
    if (better) this.favoured = [...new Set(this.best.values())]
  }

  /** The less often picked of two, favoured ones mostly. */
  private pick(): Entry {
    const from = this.dice.int(4) ? this.favoured : this.entries
    const [a, b] = [this.dice.pick(from), this.dice.pick(from)]
    const entry = a.picked <= b.picked ? a : b
    entry.picked++
    return entry
  }

  private change(): Uint8Array {
    const { target, words } = this
    const d = this.dice
    let { bytes } = this.pick()
    for (let n = 1 << d.int(4); n > 0; n--) {
      const work = { bytes, dice: d, other: d.pick(this.entries).bytes, words }
      try {
        bytes =
          (target.change && (target.blind === false || d.int(2)) ? target.change(work) : undefined) ??
          (target.blind === false ? bytes : changeBytes(work))
      } catch {
        // A change that the damaged input does not allow.
      }
    }
    if (target.seal && d.int(4)) bytes = target.seal(bytes)
    return bytes.slice(0, target.maxBytes ?? MAX_BYTES)
  }

  /** Covers every feature with small inputs, the cheapest for what it adds first. */
  private kept(most: number): Uint8Array[] {
    const left = new Set(this.best.keys())
    const candidates = new Set(this.favoured)
    const out: Uint8Array[] = []
    let size = 0
    while (left.size > 0 && candidates.size > 0) {
      let winner: Entry | undefined
      let most_ = 0
      for (const e of candidates) {
        const gain = e.features.reduce((n, f) => n + Number(left.has(f)), 0)
        if (gain === 0) candidates.delete(e)
        else if (gain / (e.bytes.length + 200) > most_) {
          most_ = gain / (e.bytes.length + 200)
          winner = e
        }
      }
      if (!winner) break
      candidates.delete(winner)
      if (size + winner.bytes.length > most) continue
      size += winner.bytes.length
      out.push(winner.bytes)
      for (const f of winner.features) left.delete(f)
    }
    return out
  }

  async go(): Promise<void> {
    const start = performance.now()
    for (const bytes of [...(await this.target.seeds()), ...task.corpus]) {
      const features = await this.run(bytes, true)
      if (features) this.add(bytes, features)
    }
    if (this.entries.length === 0) throw new Error(`${task.name}: no seed can be read`)
    let told = performance.now()
    while (this.executions < task.runs && performance.now() - start < task.seconds * 1000) {
      const bytes = this.change()
      const features = await this.run(bytes, false)
      if (features) this.add(bytes, features)
      if (performance.now() - told > 2000) {
        told = performance.now()
        this.say({ ...this.report(), kind: 'progress' })
        // Messages of the parent and termination come through here.
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
    this.say({
      ...this.report(),
      kind: 'done',
      corpusBytes: this.favoured.map((e) => e.bytes),
      ...(task.keepBytes ? { kept: this.kept(task.keepBytes) } : {}),
    })
  }

  private report(): Omit<Report, 'kind'> {
    return {
      executions: this.executions,
      branches: this.seen.reduce((n, v) => n + Number(v > 0), 0),
      corpus: this.favoured.length,
    }
  }
}

await new Loop().go()
