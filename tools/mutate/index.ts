/**
 * Mutation testing: whether the tests notice when the sources are wrong.
 *
 * Usage: npm run mutate -- src/FOLDER … [--sample N] [--seed S] [--seconds N] [--jobs N] [--tests PART,… | --tests all]
 * [--write] [--list]
 *   --sample   how many mutants of each folder, drawn with the seed; default 300
 *   --seconds  ends a folder, with what it has, after this time
 *   --tests    only test files whose name contains one of these; without it those that import from the folder
 *   --jobs     processes that share the mutants; default 1
 *   --write    puts the score into the table of CONTRIBUTING.md
 *   --at       all mutants of these lines instead of a sample: src/FOLDER/FILE.ts:LINE,…
 *   --list     prints the mutants, runs nothing
 *
 * Every test file is bundled with all mutants of the folder in it (mutants.ts), each behind a comparison. One run with
 * counters tells which test reaches which mutant (kept in build/mutate until a source changes); then each mutant runs
 * in a worker thread of its own, on the tests that reach it, the quickest and those that killed in the same source
 * first, until one fails. A mutant that uses three times the processor time of its tests and 5 s, or ends the worker,
 * is killed too, if a control run of the original is within that time: load is no kill. What is left out (tests of
 * other folders, slow ones) can only kill more. What provably changes nothing is told by rule (mutants.ts). The tree
 * itself is never changed.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { Worker } from 'node:worker_threads'
import { dice } from '../../test/mutate.ts'
import { BUILD, bundleTests, root, scriptOf, type Sources, sourcesOf } from './bundle.ts'
import type { Mode, Mutant } from './mutants.ts'
import type { Order, TestResult, Word } from './uvu.ts'

/** Test files that run something else than the sources: built files, browsers, other tools. */
const ELSEWHERE =
  /^(bundler|check|commonjs|web|worker|zoo|bench-kernels|codegen|cli|face-peers|convert-peers|weights)\.|^engines\//
/** Tests of one mutant that would take longer together are cut off there, the quick ones first. */
const MOST_MS = 15_000
/** A worker that says nothing for so long and asks for next to no processor hangs. */
const IDLE_MS = 60_000
/** Processor time of a test file while covering: what has not run until then takes no part. */
const COVER_MS = 60_000

const filesIn = (folder: string): string[] =>
  readdirSync(join(root, folder), { withFileTypes: true })
    .flatMap((e) =>
      e.isDirectory() ? filesIn(`${folder}/${e.name}`) : e.name.endsWith('.ts') ? [`${folder}/${e.name}`] : [],
    )
    .sort()

const cpuMs = (): number => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

/** Processor time of this process and, where the system tells it, the time that its threads waited for a processor. */
function wantedMs(): number {
  try {
    const threads = readdirSync('/proc/self/task').map((id) => readFileSync(`/proc/self/task/${id}/schedstat`, 'utf8'))
    const ns = threads.reduce((sum, text) => sum + Number(text.split(' ')[0]) + Number(text.split(' ')[1]), 0)
    return Math.max(ns / 1e6, cpuMs())
  } catch {
    return cpuMs()
  }
}

/** What a worker told, and how it ended. */
interface Outcome {
  load?: Int32Array | undefined
  tests: TestResult[]
  end: 'done' | 'late' | { broke: string }
}

/** Runs a script; `limit` is processor time of this process, which does nothing else meanwhile. */
function run(script: string, order: Order, limit: number): Promise<Outcome> {
  return new Promise((resolve) => {
    const start = cpuMs()
    const outcome: Outcome = { tests: [], end: 'done' }
    const worker = new Worker(script, {
      // The bundle is JavaScript: no loader of ours.
      execArgv: [],
      workerData: order,
      stdout: true,
      stderr: true,
      env: { ...process.env, NO_COLOR: '1' },
    })
    worker.stdout.resume()
    worker.stderr.resume()
    const end = (how: Outcome['end']): void => {
      clearInterval(watch)
      resolve({ ...outcome, end: how })
      void worker.terminate()
    }
    let heard = { wall: performance.now(), wanted: wantedMs() }
    const watch = setInterval(() => {
      if (cpuMs() - start > limit) end('late')
      // Waiting for what never comes asks for no processor; on a busy machine a worker may ask and get none.
      else if (performance.now() - heard.wall > IDLE_MS && wantedMs() - heard.wanted < IDLE_MS / 100) end('late')
    }, 100)
    worker.on('message', (word: Word) => {
      heard = { wall: performance.now(), wanted: wantedMs() }
      if (word.kind === 'load') outcome.load = word.hits
      else if (word.kind === 'test') outcome.tests.push(word.result)
      else end('done')
    })
    worker.on('error', (error: unknown) => end({ broke: error instanceof Error ? error.message : String(error) }))
    worker.on('exit', () => end({ broke: 'ended without an answer' }))
  })
}

/** One test that passes, and which mutants it reaches. */
interface Covering {
  file: string
  index: number
  name: string
  ms: number
  hits: number[]
}
interface FileCover {
  loadMs: number
  load: number[]
  tests: Omit<Covering, 'file'>[]
  failed: string[]
}

async function coverOf(folder: string, test: string, mutants: number): Promise<FileCover> {
  const script = scriptOf(folder, test, 'cover')
  const hash = createHash('sha256').update(readFileSync(script)).digest('hex').slice(0, 16)
  const kept = join(BUILD, 'cover', `${hash}.json`)
  if (existsSync(kept)) return JSON.parse(readFileSync(kept, 'utf8')) as FileCover
  const start = cpuMs()
  const { tests, load, end } = await run(script, { active: 0, mutants }, COVER_MS)
  const ms = cpuMs() - start
  const out: FileCover = { loadMs: 0, load: Array.from(load ?? []), tests: [], failed: [] }
  out.loadMs = Math.max(0, ms - tests.reduce((n, t) => n + t.ms, 0))
  tests.forEach((t, index) => {
    if (t.ok) out.tests.push({ index, name: t.name, ms: t.ms, hits: Array.from(t.hits ?? []) })
    else out.failed.push(`${t.name}: ${t.error}`)
  })
  if (end !== 'done') {
    out.failed.push(end === 'late' ? `its tests from the ${tests.length + 1}th on: slow` : end.broke)
    if (end === 'late') out.loadMs = tests.length > 0 ? Math.min(out.loadMs, 5000) : out.loadMs
  }
  mkdirSync(dirname(kept), { recursive: true })
  writeFileSync(kept, JSON.stringify(out))
  return out
}

/** Which tests reach which mutants. */
class Coverage {
  readonly tests: Covering[] = []
  private readonly byMutant = new Map<number, Covering[]>()
  private readonly loadedBy = new Map<number, string[]>()
  private readonly mutants: readonly Mutant[]
  readonly loadMs = new Map<string, number>()

  constructor(mutants: readonly Mutant[]) {
    this.mutants = mutants
  }

  add(file: string, cover: FileCover): void {
    this.loadMs.set(file, cover.loadMs)
    for (const id of cover.load) this.loadedBy.set(id, [...(this.loadedBy.get(id) ?? []), file])
    for (const t of cover.tests) {
      const test = { ...t, file }
      this.tests.push(test)
      for (const id of t.hits) this.byMutant.set(id, [...(this.byMutant.get(id) ?? []), test])
    }
  }

  /** Of what runs while a module is loaded: the tests of those files that reach anything else in that source. */
  of(m: Mutant): Covering[] {
    const direct = this.byMutant.get(m.id) ?? []
    const files = this.loadedBy.get(m.id)
    if (!files) return direct
    const nearby = new Set(this.mutants.filter((o) => o.file === m.file).flatMap((o) => this.byMutant.get(o.id) ?? []))
    return [...new Set([...direct, ...[...nearby].filter((t) => files.includes(t.file))])]
  }
}

type Verdict =
  { kind: 'killed'; by: string } | { kind: 'late' } | { kind: 'survived'; tests: number } | { kind: 'unreached' }

class Judge {
  private readonly folder: string
  private readonly coverage: Coverage
  private readonly count: number
  /** Whether tests of the original pass alone, and come to their end together. */
  private readonly alone = new Map<string, boolean>()
  /** By source: how many of its mutants each test killed. */
  private readonly kills = new Map<string, Map<Covering, number>>()

  constructor(folder: string, coverage: Coverage, count: number) {
    this.folder = folder
    this.coverage = coverage
    this.count = count
  }

  private limit(file: string, tests: readonly Covering[]): number {
    return 3 * ((this.coverage.loadMs.get(file) ?? 0) + tests.reduce((n, t) => n + t.ms, 0)) + 5000
  }

  private run(file: string, active: number, tests: readonly Covering[]): Promise<Outcome> {
    return run(
      scriptOf(this.folder, file, 'run'),
      { active, mutants: this.count, only: tests.map((t) => t.index) },
      this.limit(file, tests),
    )
  }

  private async passesAlone(test: Covering): Promise<boolean> {
    const key = `${test.file} ${test.index}`
    let known = this.alone.get(key)
    if (known === undefined) {
      const { end, tests } = await this.run(test.file, 0, [test])
      known = end === 'done' && tests.every((t) => t.ok)
      this.alone.set(key, known)
    }
    return known
  }

  /** The control: whether tests of the original come to their end. */
  private async ends(file: string, tests: readonly Covering[]): Promise<boolean> {
    const key = `${file} ${tests.map((t) => t.index).join()}`
    let known = this.alone.get(key)
    if (known === undefined) {
      known = (await this.run(file, 0, tests)).end === 'done'
      this.alone.set(key, known)
    }
    return known
  }

  async verdict(m: Mutant): Promise<Verdict> {
    const kills = this.kills.get(m.file) ?? new Map<Covering, number>()
    this.kills.set(m.file, kills)
    const cost = (t: Covering): number => t.ms / (1 + (kills.get(t) ?? 0)) ** 2
    const all = this.coverage.of(m).sort((a, b) => cost(a) - cost(b))
    if (all.length === 0) return { kind: 'unreached' }
    let spent = 0
    const chosen = all.filter((t) => (spent += t.ms) <= MOST_MS || t === all[0])
    const files = [...new Set(chosen.map((t) => t.file))]
    for (const file of files) {
      let tests = chosen.filter((t) => t.file === file)
      while (tests.length > 0) {
        const { end, tests: results } = await this.run(file, m.id, tests)
        if (end !== 'done') {
          // Only where the same tests of the original end, in the same time.
          if (!(await this.ends(file, tests))) break
          return end === 'late' ? { kind: 'late' } : { kind: 'killed', by: `${file}: ${end.broke}` }
        }
        const at = results.findIndex((t) => !t.ok)
        if (at < 0) break
        const killer = tests[at]!
        if (await this.passesAlone(killer)) {
          kills.set(killer, (kills.get(killer) ?? 0) + 1)
          return { kind: 'killed', by: `${file}: ${killer.name}` }
        }
        tests = tests.filter((t) => t !== killer)
      }
    }
    return { kind: 'survived', tests: chosen.length }
  }
}

interface Settings {
  /** Where the bundles are. */
  place: string
  folder: string
  sample: number
  seed: number
  seconds: number
  /** Lines, as `file:line`; empty: a sample. */
  at: readonly string[]
  write: boolean
  /** Processes that take part, and which of how many this one is. */
  jobs: number
  share?: readonly [part: number, of: number] | undefined
}

/** Test files that import from one of the folders, or whose name has one of the parts. */
function testsOf(folders: readonly string[], parts: readonly string[]): string[] {
  const near = (test: string): boolean => {
    const text = readFileSync(join(root, test), 'utf8')
    return folders.some((folder) => text.includes(`from '../${folder}/`))
  }
  return filesIn('test').filter(
    (t) =>
      t.endsWith('.test.ts') &&
      !ELSEWHERE.test(t.slice(5)) &&
      (parts.length === 0 ? near(t) : parts.some((p) => p === 'all' || t.includes(p))),
  )
}

async function coverage(
  folder: string,
  sources: Sources,
  tests: readonly string[],
  bundled: boolean,
): Promise<Coverage> {
  for (const mode of ['cover', 'run'] satisfies Mode[]) if (!bundled) await bundleTests(folder, tests, sources, mode)
  const out = new Coverage(sources.mutants)
  for (const test of tests) {
    const cover = await coverOf(folder, test, sources.mutants.length)
    for (const why of cover.failed) console.log(`not used: ${test}: ${why.slice(0, 160)}`)
    out.add(test, cover)
  }
  return out
}

interface Row {
  m: Mutant
  verdict: Verdict
  why?: string | undefined
}

/** Tries mutants one after the other, and says which live. */
async function tryAll(
  drawn: readonly Mutant[],
  covered: Coverage,
  { place, seconds }: Settings,
  sources: Sources,
): Promise<Row[]> {
  const judge = new Judge(place, covered, sources.mutants.length)
  const until = performance.now() + seconds * 1000
  const rows: Row[] = []
  for (const m of drawn) {
    if (performance.now() > until) break
    const why = m.equivalent
    const verdict: Verdict = why === undefined ? await judge.verdict(m) : { kind: 'survived', tests: 0 }
    const lives = verdict.kind === 'survived' || verdict.kind === 'unreached'
    rows.push({ m, verdict, why })
    if (rows.length % 25 === 0) {
      const lived = rows.filter((r) => /survived|unreached/.test(r.verdict.kind) && r.why === undefined).length
      console.log(`… ${rows.length} of ${drawn.length}, ${lived} alive`)
    }
    if (lives && why === undefined) {
      console.log(
        `${verdict.kind === 'unreached' ? 'NOT REACHED' : `SURVIVED ${verdict.tests} tests`}  ${m.file}:${m.line}\n  - ${m.from}\n  + ${m.to}\n    ${m.text}`,
      )
    }
  }
  return rows
}

const shareFile = (folder: string, part: number): string => join(BUILD, `${folder.replaceAll('/', '-')}-${part}.json`)

/** The same with the mutants dealt out to processes: this one's command, each with its share. */
async function dealtOut(folder: string, jobs: number): Promise<Row[]> {
  const parts = Array.from({ length: jobs }, (_, part) => part)
  await Promise.all(
    parts.map((part) => {
      const args = [...process.execArgv, ...process.argv.slice(1), '--share', `${part}/${jobs}/${folder}`]
      const child = spawn(process.execPath, args, { stdio: 'inherit' })
      return new Promise<void>((resolve, reject) => {
        child.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`share ${part} ended with ${code}`))))
      })
    }),
  )
  return parts.flatMap((part) => JSON.parse(readFileSync(shareFile(folder, part), 'utf8')) as Row[])
}

async function score(sources: Sources, covered: Coverage, settings: Settings): Promise<void> {
  const { folder, sample, seed, at, write, jobs, share } = settings
  const [part = 0, of = 1] = share ?? []
  const d = dice(seed)
  const own = sources.mutants.filter((m) => m.file.startsWith(`${folder}/`))
  const drawn = own
    .map((m) => ({ m, key: d.int(2 ** 31) }))
    .sort((a, b) => a.key - b.key)
    .filter(({ m }) => at.length === 0 || at.includes(`${m.file}:${m.line}`))
    .slice(0, at.length ? own.length : sample)
    .map(({ m }) => m)
  console.log(`${folder}: ${own.length} mutants, ${drawn.length} drawn with seed ${seed}`)
  const rows =
    jobs > 1
      ? await dealtOut(folder, jobs)
      : await tryAll(
          drawn.filter((_, i) => i % of === part),
          covered,
          settings,
          sources,
        )
  if (share) {
    writeFileSync(shareFile(folder, part), JSON.stringify(rows))
    return
  }
  const count = (test: (r: Row) => boolean): number => rows.filter(test).length
  const late = count((r) => r.verdict.kind === 'late')
  const killed = count((r) => r.verdict.kind === 'killed') + late
  const equivalent = count((r) => r.why !== undefined)
  const judged = rows.length - equivalent
  for (const r of rows) {
    if (r.why !== undefined) console.log(`EQUIVALENT  ${r.m.file}:${r.m.line}: ${r.m.from} -> ${r.m.to}: ${r.why}`)
  }
  const percent = (judged ? (100 * killed) / judged : 0).toFixed(1)
  const date = new Date().toISOString().slice(0, 10)
  console.log(
    `${folder}: ${percent} % (${killed} of ${judged} killed, ${late} of them by time; ${equivalent} equivalent; sample ${rows.length} of ${own.length}, seed ${seed}), ${date}`,
  )
  if (write && at.length === 0) {
    const cells = [`\`${folder}\``, own.length, rows.length, killed, equivalent, `${percent} %`, seed, date]
    writeRow(`| ${cells.join(' | ')} |`, `| \`${folder}\` |`)
  }
  if (at.length === 0) writeFileSync(join(BUILD, `${folder.replaceAll('/', '-')}.json`), JSON.stringify(rows, null, 1))
}

/** Replaces the row of CONTRIBUTING.md's table that begins so. */
function writeRow(row: string, begin: string): void {
  const file = join(root, 'CONTRIBUTING.md')
  const lines = readFileSync(file, 'utf8').split('\n')
  const at = lines.findIndex((line) => line.startsWith(begin))
  if (at < 0) throw new Error(`CONTRIBUTING.md has no row that begins with ${begin}`)
  lines[at] = row
  writeFileSync(file, lines.join('\n'))
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      sample: { type: 'string', default: '300' },
      seed: { type: 'string', default: '1' },
      seconds: { type: 'string', default: '3600' },
      tests: { type: 'string', default: '' },
      at: { type: 'string', default: '' },
      jobs: { type: 'string', default: '1' },
      share: { type: 'string', default: '' },
      write: { type: 'boolean' },
      list: { type: 'boolean' },
    },
  })
  const number = (name: 'sample' | 'seed' | 'seconds' | 'jobs'): number => {
    const value = Number(values[name])
    if (!Number.isFinite(value) || value < 0) throw new Error(`--${name} must be a number`)
    return value
  }
  if (positionals.length === 0) throw new Error('name a folder, as src/formats')
  const folders = positionals.map((p) => p.replace(/\/+$/, ''))
  const sources = sourcesOf(folders.flatMap(filesIn))
  if (sources.mutants.length === 0) throw new Error(`no sources in ${folders.join(', ')}`)
  if (values.list) {
    for (const m of sources.mutants) console.log(`${m.file}:${m.line}  ${m.from}  ->  ${m.to}`)
    return
  }
  const place = folders.join('+')
  const covered = await coverage(
    place,
    sources,
    testsOf(folders, values.tests.split(',').filter(Boolean)),
    values.share !== '',
  )
  console.log(`${covered.tests.length} tests, ${sources.mutants.length} mutants in ${folders.join(', ')}`)
  const [part, of, only] = values.share.split(/\/(.*?)\/(.*)/)
  for (const folder of only ? [only] : folders) {
    await score(sources, covered, {
      place,
      folder,
      sample: number('sample'),
      seed: number('seed'),
      seconds: number('seconds'),
      at: values.at.split(',').filter(Boolean),
      write: values.write ?? false,
      jobs: only ? 1 : number('jobs'),
      share: only ? [Number(part), Number(of)] : undefined,
    })
  }
}

await main()
