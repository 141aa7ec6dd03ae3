/**
 * Stands in for uvu in the bundles of the mutation run: registers tests, runs those that are wanted, stops at the first
 * that fails.
 */
import { parentPort, workerData } from 'node:worker_threads'

type Body = (context: object) => unknown
interface Registered {
  name: string
  body: Body
  suite: Suite
}
interface Hooks {
  before: Body[]
  after: Body[]
  each: Body[]
  last: Body[]
}
type Suite = Hooks & { context: object }
interface Test {
  (name: string, body: Body): void
  run(): void
  skip(): void
  only(name: string, body: Body): void
  before: ((body: Body) => void) & { each(body: Body): void }
  after: ((body: Body) => void) & { each(body: Body): void }
}

/** What a worker is told: numbers of the tests to run, in their order; all of them while covering. */
export interface Order {
  active: number
  mutants: number
  only?: number[]
}
export interface TestResult {
  name: string
  ms: number
  ok: boolean
  error?: string
  hits?: Int32Array
}
/** What a worker tells: first what was reached while the modules were loaded, then each test, then that it is done. */
export type Word = { kind: 'load'; hits?: Int32Array } | { kind: 'test'; result: TestResult } | { kind: 'done' }

const order = workerData as Order
const reached = (globalThis as { mutantHits?: Uint8Array }).mutantHits
const registered: Registered[] = []

export function suite(_name = '', context: object = {}): Test {
  const own: Suite = { before: [], after: [], each: [], last: [], context }
  const test = ((name: string, body: Body) => void registered.push({ name, body, suite: own })) as Test
  test.run = (): void => {}
  test.skip = (): void => {}
  test.only = test
  const before = (body: Body): void => void own.before.push(body)
  const after = (body: Body): void => void own.after.push(body)
  test.before = Object.assign(before, { each: (body: Body) => void own.each.push(body) })
  test.after = Object.assign(after, { each: (body: Body) => void own.last.push(body) })
  return test
}
export const test = suite()

function taken(): Int32Array | undefined {
  if (!reached) return undefined
  const out: number[] = []
  for (let i = 0; i < reached.length; i++) if (reached[i]) out.push(i)
  reached.fill(0)
  return Int32Array.from(out)
}

/** Processor time of this process, whose only work this is. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

const tell = (word: Word): void => parentPort!.postMessage(word)

/** Runs what was registered and tells the parent. */
export async function finish(): Promise<void> {
  const load = taken()
  tell(load ? { kind: 'load', hits: load } : { kind: 'load' })
  const begun = new Set<Suite>()
  const wanted = order.only ?? registered.map((_, i) => i)
  for (const i of wanted) {
    const t = registered[i]
    if (!t) continue
    const start = cpuMs()
    const result: TestResult = { name: t.name, ms: 0, ok: true }
    try {
      if (!begun.has(t.suite)) {
        begun.add(t.suite)
        for (const hook of t.suite.before) await hook(t.suite.context)
      }
      for (const hook of t.suite.each) await hook(t.suite.context)
      await t.body(t.suite.context)
      for (const hook of t.suite.last) await hook(t.suite.context)
    } catch (error) {
      result.ok = false
      result.error = error instanceof Error ? error.message.split('\n')[0]! : String(error)
    }
    result.ms = cpuMs() - start
    const hits = taken()
    if (hits) result.hits = hits
    tell({ kind: 'test', result })
    if (!result.ok && order.only) break
  }
  for (const s of begun) {
    for (const hook of s.after) {
      try {
        await hook(s.context)
      } catch {
        // What was left behind is no verdict.
      }
    }
  }
  tell({ kind: 'done' })
  setTimeout(() => process.exit(0), 20).unref()
}
