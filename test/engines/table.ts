/**
 * The README's "Runs on" table: runs the matrix with timing on what is installed, and prints Markdown.
 *
 * Usage: tsx test/engines/table.ts [MODEL...]     default: vww_96_int8 tf2_mobilenet_v2_1.0_224_ptq
 * A time is the median of one thimble_invoke (or model.run) on this machine; emulated engines are checked, not timed.
 */
import { engines, installed, type Engine } from './engines.ts'
import { cells, runCells, type Answer } from './matrix.ts'

const models = process.argv.length > 2 ? process.argv.slice(2) : ['vww_96_int8', 'tf2_mobilenet_v2_1.0_224_ptq']
/** Enough for V8's optimizing tier; interpreters need none. */
const runsOf = (engine: Engine): number => (/interpreter|wasm3/.test(engine.id) ? 3 : 30)
const emulated = (engine: Engine): boolean => /arm64|s390x/.test(engine.id)
const ms = (t: number): string => (t < 10 ? t.toFixed(2) : t < 100 ? t.toFixed(1) : t.toFixed(0))

interface Row {
  engine: Engine
  name: string
  exact: number
  refused: number
  failed: string[]
  times: Map<string, Answer>
}

async function rowOf(engine: Engine): Promise<Row> {
  const row: Row = { engine, name: engine.title, exact: 0, refused: 0, failed: [], times: new Map() }
  const list = cells(engine).filter((c) =>
    emulated(engine) ? c.model === models[0] : models.includes(c.model) || c.variant === 'scalar',
  )
  const results = await Promise.allSettled(runCells(engine, list, { runs: emulated(engine) ? 0 : runsOf(engine) }))
  results.forEach((r, i) => {
    const { model, variant } = list[i]!
    if (r.status === 'rejected') {
      row.failed.push(`${model} (${variant}): ${(r.reason as Error).message}`)
      return
    }
    if (r.value.refused) {
      row.refused++
      return
    }
    row.exact++
    row.name = r.value.engine
    row.times.set(`${model} ${variant}`, r.value)
  })
  return row
}

function cell(row: Row, model: string): string {
  const [simd, scalar] = ['simd', 'scalar'].map((variant) => row.times.get(`${model} ${variant}`))
  if (!simd && !scalar) return '–'
  if (emulated(row.engine)) return 'emulated'
  return simd ? ms(simd.ms) : `${ms(scalar!.ms)} (scalar)`
}

const lines = [
  `| engine | variants | output bytes | ${models.map((m) => `${m}, ms`).join(' | ')} |`,
  `|---|---|---|${models.map(() => '--:|').join('')}`,
]
let failed = 0
for (const engine of engines.filter((e) => e.runs === 'module')) {
  if (!installed(engine)) {
    lines.push(
      `| ${engine.title} | ${engine.variants.join(', ')} | not installed here |${models.map(() => ' |').join('')}`,
    )
    continue
  }
  const row = await rowOf(engine)
  failed += row.failed.length
  for (const f of row.failed) console.error(f)
  const name = /arm64/.test(row.name) && emulated(engine) ? `${row.name} (QEMU)` : row.name
  lines.push(
    `| ${name} | ${engine.variants.join(', ')} | ${row.failed.length ? `${row.failed.length} differ` : `equal in ${row.exact} of ${row.exact}${row.refused ? '; relaxed dot products refused' : ''}`} | ${models.map((m) => cell(row, m)).join(' | ')} |`,
  )
}
console.log(lines.join('\n'))
if (failed) process.exitCode = 1
