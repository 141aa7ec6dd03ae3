/** `bench --load`: where the time goes between a cold process and a model's first answer. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { LoadOptions, TypedArray } from '../graph/types.ts'
import { stages } from '../base/stages.ts'
import { flag, whole } from './args.ts'
import type { Args } from './command.ts'
import { loadOptions } from './models.ts'
import { describe, processor } from './processor.ts'
import { openModel } from './shipped.ts'
import { bar, ms, table } from './text.ts'
import { median } from './stats.ts'

interface Row {
  stage: string
  ms: number
}

/** Processes that are measured, when nothing is said. */
const PROCESSES = 5

/** One cold load, of this process. What the process did to get here is not counted. */
async function coldLoad(path: string, options: LoadOptions): Promise<Row[]> {
  const rows: Row[] = []
  let [stage, since] = ['', 0]
  const begin = (next: string): void => {
    const now = performance.now()
    if (stage) {
      const known = rows.find((r) => r.stage === stage)
      if (known) known.ms += now - since
      else rows.push({ stage, ms: now - since })
    }
    stage = next
    since = performance.now()
  }
  begin('import thimble')
  const { loadModel } = await import('../node.ts')
  begin('read the file')
  const bytes = readFileSync(path)
  stages.begin = begin
  begin('look at the file')
  const model = await loadModel(bytes, options)
  stages.begin = undefined
  begin('first inference')
  const { arrayType } = await import('../engine/engine.ts')
  const inputs = model.inputs.map(
    ({ dtype, shape }) => new (arrayType(dtype))(shape.reduce((a, b) => a * b, 1)) as TypedArray,
  )
  model.run(inputs)
  begin('')
  model.dispose()
  return rows
}

/** What a process of its own prints, without a cache of compiled scripts, which programs need not have. */
const printed = (...args: string[]): string =>
  execFileSync(process.execPath, [...process.execArgv, ...args], {
    encoding: 'utf8',
    env: { ...process.env, NODE_DISABLE_COMPILE_CACHE: '1' },
  })

/**
 * Milliseconds that importing Thimble takes in a process of its own, which is no command: a command has imported half
 * of it before it measures.
 */
function importMs(): number {
  const path = `../node.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`
  const url = JSON.stringify(new URL(path, import.meta.url).href)
  const script = `const t = performance.now(); await import(${url}); console.log(performance.now() - t)`
  return Number(printed('--input-type=module', '--eval', script))
}

/** The same in processes of their own, one after the other: medians, stage by stage. */
function coldLoads(runs: number): Row[] {
  const given = process.argv.slice(2)
  const from = given.findIndex((a) => /^(--runs|-n)$/.test(a))
  const rest = from < 0 ? given : given.toSpliced(from, 2)
  const args = rest.filter((a) => a !== '--json' && !a.startsWith('--runs='))
  const all = Array.from({ length: runs }, () => {
    const text = printed(process.argv[1]!, ...args, '--runs', '1', '--json')
    const [imported, ...rows] = (JSON.parse(text) as { stages: [Row, ...Row[]] }).stages
    return [{ ...imported, ms: importMs() }, ...rows]
  })
  return all[0]!.map(({ stage }) => ({
    stage,
    ms: median(all.map((rows) => rows.find((r) => r.stage === stage)?.ms ?? 0)),
  }))
}

/** Errors: those of `openModel` and of loading. */
export async function benchLoad(name: string, args: Args): Promise<number> {
  const runs = whole(args, 'runs', PROCESSES)
  const file = openModel(name)
  const rows = runs === 1 ? await coldLoad(file.path, loadOptions(args)) : coldLoads(runs)
  const total = rows.reduce((sum, r) => sum + r.ms, 0)
  const round = (n: number): number => Number(n.toPrecision(4))
  if (flag(args, 'json')) {
    const result = {
      model: file.name,
      processor: processor(),
      engine: `Node ${process.versions.node}`,
      processes: runs,
      totalMs: round(total),
      stages: rows.map((r) => ({ stage: r.stage, ms: round(r.ms) })),
    }
    process.stdout.write(`${JSON.stringify(result, null, 2)}\n`)
    return 0
  }
  const most = Math.max(...rows.map((r) => r.ms))
  const lines = rows.map((r) => [`  ${r.stage}`, ms(r.ms), bar(r.ms / most, 20)])
  process.stdout.write(
    `${file.name} from a cold process to its first answer, ${runs === 1 ? 'this process' : `median of ${runs} processes`}, the start of Node not counted\n` +
      `Node ${process.versions.node}, ${describe(processor())}\n` +
      `${table([...lines, ['  together', ms(total), '']], [1])}\n`,
  )
  return 0
}
