/**
 * Coverage-guided fuzzing of every reader.
 *
 * Usage: npm run fuzz -- [NAME … | --all] [--seconds N] [--runs N] [--seed S] [--keep KB] [--summary FILE] [--list]
 *   NAME       targets; --list prints them
 *   --seconds  for each target, default 60; --runs: executions of each, whichever ends first
 *   --keep     writes the smallest files that reach what was reached to test/corpus/NAME, at most KB kilobytes
 *   --summary  writes what all runs so far add up to as a page
 *
 * The invariant: whatever the bytes, a reader ends in a result or in one ThimbleError of one line, within BOUNDS of
 * time and memory (target.ts), and what loads also runs. A worker thread executes instrumented code (instrument.ts); it
 * may die or hang: the input that it had then is the finding. Findings are in build/fuzz/findings; exit code 1 with
 * any.
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Worker } from 'node:worker_threads'
import { BUILD, type Instrumented, instrument, WASM_COUNTERS } from './instrument.ts'
import { processorMs } from '../../test/util.ts'
import type { Found, Report, Task } from './loop.ts'
import { BOUNDS, type FuzzTarget } from './target.ts'
import { TARGETS } from './targets.ts'

const HANG_MS = 60_000
const LARGEST = 1 << 19
const STATE = join(BUILD, 'state.json')
export const CORPUS = 'test/corpus'

/** What was run of a target so far. */
interface Total {
  executions: number
  seconds: number
  branches: number
  corpus: number
  findings: number
}

const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex').slice(0, 12)
const filesOf = (folder: string): Uint8Array[] =>
  existsSync(folder)
    ? readdirSync(folder)
        .sort()
        .map((name) => new Uint8Array(readFileSync(join(folder, name))))
    : []
const save = (folder: string, name: string, bytes: Uint8Array): void => {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, name), bytes)
}

interface Settings {
  seed: number
  runs: number
  seconds: number
  keepBytes: number
}

/** How one worker ended: by itself, or by what its last input did. */
interface Ended {
  report: Report
  fatal?: Found
}

function work(target: FuzzTarget, code: Instrumented, settings: Settings, found: (f: Found) => void): Promise<Ended> {
  const shared = new SharedArrayBuffer(16 + LARGEST)
  const state = new Int32Array(shared, 0, 4)
  const corpus = [...filesOf(join(CORPUS, target.name)), ...filesOf(join(BUILD, 'corpus', target.name))]
  const { branches, wasmBranches, words } = code
  const workerData: Task = {
    ...settings,
    name: target.name,
    branches,
    wasmBranches,
    words,
    wasmCounters: WASM_COUNTERS,
    corpus,
    shared,
  }
  return new Promise((resolve, reject) => {
    let report: Report = { kind: 'progress', executions: 0, branches: 0, corpus: 0 }
    const worker = new Worker(code.script, {
      workerData,
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: BOUNDS.heapMegabytes, stackSizeMb: 1 },
    })
    const input = (): Uint8Array => new Uint8Array(shared, 16, Math.min(LARGEST, Atomics.load(state, 0))).slice()
    const fatal = (key: string): void => {
      clearInterval(watch)
      report.executions = Atomics.load(state, 1)
      resolve({ report, fatal: { kind: 'finding', key, detail: key, bytes: input() } })
      void worker.terminate()
    }
    // In processor time, which this process has no other use for: what else runs on the machine is no hang.
    let last = { executions: -1, at: processorMs() }
    const watch = setInterval(() => {
      const executions = Atomics.load(state, 1)
      if (executions !== last.executions) last = { executions, at: processorMs() }
      else if (processorMs() - last.at > HANG_MS) fatal(`hang of ${HANG_MS / 1000} s`)
    }, 1000)
    worker.on('message', (message: Report | Found) => {
      if (message.kind === 'finding') found(message)
      else {
        report = message
        if (message.kind === 'done') {
          clearInterval(watch)
          resolve({ report })
          void worker.terminate()
        } else if (process.stderr.isTTY) {
          process.stderr.write(
            `\r${target.name}: ${message.executions} runs, ${message.branches} branches, ${message.corpus} inputs   `,
          )
        }
      }
    })
    worker.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ERR_WORKER_OUT_OF_MEMORY') fatal(`more than ${BOUNDS.heapMegabytes} MB of objects`)
      else {
        clearInterval(watch)
        reject(error)
      }
    })
  })
}

async function fuzz(target: FuzzTarget, code: Instrumented, settings: Settings): Promise<Total> {
  const start = performance.now()
  const findings = new Map<string, Found>()
  const found = (f: Found): void => {
    if (findings.has(f.key)) return
    findings.set(f.key, f)
    const name = `${target.name}-${hashOf(f.bytes)}`
    save(join(BUILD, 'findings'), name, f.bytes)
    console.log(
      `FINDING ${target.name}: ${f.key}\n  ${f.detail}\n  build/fuzz/findings/${name}, ${f.bytes.length} bytes`,
    )
  }
  let executions = 0
  let last: Report | undefined
  // A worker that died is followed by another, with another seed.
  for (let round = 0; round < 20; round++) {
    const spent = (performance.now() - start) / 1000
    if (executions >= settings.runs || spent >= settings.seconds) break
    const { report, fatal } = await work(
      target,
      code,
      { ...settings, seed: settings.seed + round, runs: settings.runs - executions, seconds: settings.seconds - spent },
      found,
    )
    executions += report.executions
    last = report
    for (const bytes of report.corpusBytes ?? []) save(join(BUILD, 'corpus', target.name), hashOf(bytes), bytes)
    if (!fatal) break
    found(fatal)
  }
  if (last?.kept) {
    const folder = join(CORPUS, target.name)
    mkdirSync(folder, { recursive: true })
    for (const name of readdirSync(folder)) if (!name.startsWith('found-')) rmSync(join(folder, name))
    for (const bytes of last.kept) save(folder, hashOf(bytes), bytes)
  }
  const seconds = (performance.now() - start) / 1000
  const { branches = 0, corpus = 0 } = last ?? {}
  console.log(
    `${target.name.padEnd(14)} ${executions} runs in ${seconds.toFixed(0)} s, ${branches} branches, ${corpus} inputs, ${findings.size} findings`,
  )
  return { executions, seconds, branches, corpus, findings: findings.size }
}

const readState = (): Record<string, Total> =>
  existsSync(STATE) ? (JSON.parse(readFileSync(STATE, 'utf8')) as Record<string, Total>) : {}

/** Totals of all runs, as a table. */
function summary(): string {
  const state = readState()
  const rows = TARGETS.filter((t) => state[t.name]).map((t) => ({ ...t, ...state[t.name]! }))
  const total = rows.reduce((n, r) => n + r.executions, 0)
  const open = rows.reduce((n, r) => n + r.findings, 0)
  const kept = TARGETS.flatMap((t) => filesOf(join(CORPUS, t.name)))
  return [
    '# Fuzzing',
    '',
    `Every reader of bytes from outside, fuzzed with \`npm run fuzz\` (written by it, ${new Date().toISOString().slice(0, 10)}):`,
    `**${total.toLocaleString('en')} executions, ${open} findings left.** Coverage guides it: counters at every branch of \`src/\` and of the`,
    'SIMD image module, changes that know FlatBuffers, protobuf, zip, JSON, PNG, JPEG, pickles and text beside blind ones.',
    '',
    `What must hold for every input: a result or one \`ThimbleError\` of one line, within ${BOUNDS.ms} ms, ${BOUNDS.arrayBytes >> 20} MB of typed arrays`,
    `and ${BOUNDS.heapMegabytes} MB of objects; what loads runs without a trap, with the same bytes from SIMD and scalar kernels.`,
    `${kept.length} files of ${(kept.reduce((n, b) => n + b.length, 0) / 1000).toFixed(0)} kB in \`test/corpus\` repeat what it reached, and every finding, in each \`npm test\`.`,
    '',
    '| target | reads | executions | branches | findings left |',
    '| --- | --- | ---: | ---: | ---: |',
    ...rows.map(
      (r) =>
        `| ${r.name} | ${r.about} | ${r.executions.toLocaleString('en')} | ${r.branches.toLocaleString('en')} | ${r.findings} |`,
    ),
    '',
  ].join('\n')
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      all: { type: 'boolean' },
      list: { type: 'boolean' },
      seconds: { type: 'string' },
      runs: { type: 'string' },
      seed: { type: 'string' },
      keep: { type: 'string' },
      summary: { type: 'string' },
    },
  })
  if (values.list) {
    for (const t of TARGETS) console.log(`${t.name.padEnd(14)} ${t.about}`)
    return
  }
  const number = (name: 'seconds' | 'runs' | 'seed' | 'keep', fallback: number): number => {
    const value = Number(values[name] ?? fallback)
    if (!Number.isFinite(value) || value < 0) throw new Error(`--${name} must be a number`)
    return value
  }
  const unknown = positionals.find((name) => !TARGETS.some((t) => t.name === name))
  if (unknown) throw new Error(`no target is called ${unknown}: ${TARGETS.map((t) => t.name).join(', ')}`)
  const chosen = values.all ? TARGETS : TARGETS.filter((t) => positionals.includes(t.name))
  if (chosen.length === 0 && !values.summary) throw new Error('name targets, or --all; --list prints them')
  const settings = {
    seed: number('seed', Math.floor(Math.random() * 2 ** 31)),
    seconds: number('seconds', 60),
    runs: values.runs === undefined ? Infinity : number('runs', 0),
    keepBytes: number('keep', 0) * 1000,
  }
  if (chosen.length > 0) {
    console.log(`seed ${settings.seed}`)
    const code = await instrument()
    console.log(`${code.branches} branches of src/, ${code.wasmBranches} of the image module`)
    for (const target of chosen) {
      const now = await fuzz(target, code, settings)
      const state = readState()
      const before = state[target.name] ?? { executions: 0, seconds: 0 }
      state[target.name] = {
        ...now,
        executions: now.executions + before.executions,
        seconds: now.seconds + before.seconds,
      }
      writeFileSync(STATE, JSON.stringify(state, null, 1))
      if (now.findings > 0) process.exitCode = 1
    }
  }
  if (values.summary) writeFileSync(values.summary, summary())
}

await main()
