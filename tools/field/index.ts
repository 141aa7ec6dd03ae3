/**
 * Runs every .tflite of some folders in LiteRT and in Thimble on the same inputs and counts what is equal, refused or
 * wrong, by architecture (the list of ops with their shapes).
 *
 *     THIMBLE_PYTHON=…/python npx tsx tools/field/index.ts [--runs N] [--quick] FOLDER|FILE...
 *
 * Thimble runs the file as simd and scalar, plans speed and size, as a packed module and as a .thimble; `--quick`: simd
 * alone. Ends with status 1 when anything is wrong. The Python needs ai-edge-litert 2.3.0 and numpy.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { arrayType } from '../../src/engine/engine.ts'
import { writePacked } from '../../src/formats/packed-write.ts'
import { readTflite } from '../../src/formats/tflite.ts'
import type { Graph } from '../../src/graph/graph.ts'
import { loadModel } from '../../src/node.ts'
import { packGraph } from '../../src/pack/pack.ts'
import { withPrograms } from '../../src/plan/record.ts'
import type { Model, TypedArray } from '../../src/graph/types.ts'

interface Answer {
  file: string
  refused?: string
  runs?: { inputs: string[]; outputs: string[] }[]
}

type Verdict = 'equal' | 'refused' | 'WRONG' | 'LiteRT refuses'

const { values, positionals } = parseArgs({
  options: { runs: { type: 'string', default: '4' }, quick: { type: 'boolean' } },
  allowPositionals: true,
})

const found = (path: string): string[] =>
  statSync(path).isDirectory()
    ? readdirSync(path, { recursive: true, encoding: 'utf8' })
        .filter((name) => name.endsWith('.tflite'))
        .sort()
        .map((name) => join(path, name))
    : [path]

/** Ways to load a model; each gives the same bytes. */
const WAYS: Record<string, (bytes: Uint8Array, graph: Graph) => Promise<Model>> = {
  'simd speed': (bytes) => loadModel(bytes, { variant: 'simd' }),
  'simd size': (bytes) => loadModel(bytes, { variant: 'simd', plan: 'size' }),
  'simd arm': (bytes) => loadModel(bytes, { variant: 'simd', kernels: 'arm' }),
  'scalar speed': (bytes) => loadModel(bytes, { variant: 'scalar', plan: 'speed' }),
  'scalar size': (bytes) => loadModel(bytes, { variant: 'scalar', plan: 'size' }),
  packed: async (_, graph) =>
    loadModel(new WebAssembly.Module((await packGraph(graph)).wasm as Uint8Array<ArrayBuffer>)),
  '.thimble': (_, graph) => loadModel(writePacked(withPrograms(graph))),
}
const ways = Object.entries(WAYS).filter(([name]) => !values.quick || name === 'simd speed')

/** The ops and the shapes that they compute: two files with other weights are one architecture. */
function architecture(graph: Graph): string {
  const hash = createHash('sha1')
  for (const op of graph.ops) {
    hash.update(
      `${op.type === 'UNSUPPORTED' ? op.attrs.name : op.type} ${op.outputs.map((t) => graph.tensors[t]!.shape).join(';')}\n`,
    )
  }
  return hash.digest('hex').slice(0, 8)
}

const typed = (base64: string, model: Model, i: number): TypedArray =>
  new (arrayType(model.inputs[i]!.dtype))(new Uint8Array(Buffer.from(base64, 'base64')).buffer)

/** Outputs as bytes against the recorded ones; a sentence when they differ. */
async function differs(model: Model, runs: NonNullable<Answer['runs']>): Promise<string | undefined> {
  for (const [r, { inputs, outputs }] of runs.entries()) {
    const got = model.run(inputs.map((x, i) => typed(x, model, i)))
    for (const [i, want] of outputs.entries()) {
      const bytes = Buffer.from(got[i]!.buffer, got[i]!.byteOffset, got[i]!.byteLength)
      if (Buffer.compare(bytes, Buffer.from(want, 'base64')) !== 0) return `run ${r}, output ${i}`
    }
  }
  return undefined
}

async function judge({ file, refused, runs }: Answer): Promise<{ verdict: Verdict; why: string; kind: string }> {
  let kind = file
  if (refused !== undefined || !runs) return { verdict: 'LiteRT refuses', why: refused ?? '', kind }
  try {
    const bytes = new Uint8Array(readFileSync(file))
    const graph = readTflite(bytes)
    kind = architecture(graph)
    for (const [name, load] of ways) {
      const model = await load(bytes, graph)
      try {
        const why = await differs(model, runs)
        if (why !== undefined) return { verdict: 'WRONG', why: `${name}: ${why}`, kind }
      } finally {
        model.dispose()
      }
    }
    return { verdict: 'equal', why: '', kind }
  } catch (error) {
    return { verdict: 'refused', why: (error as Error).message, kind }
  }
}

const python = process.env.THIMBLE_PYTHON
if (!python || positionals.length === 0) {
  console.error('usage: THIMBLE_PYTHON=…/python npx tsx tools/field/index.ts [--runs N] [--quick] FOLDER|FILE...')
  process.exit(2)
}
const script = fileURLToPath(new URL('answers.py', import.meta.url))
const child = spawn(python, [script, values.runs, ...positionals.flatMap(found)], {
  stdio: ['ignore', 'pipe', 'ignore'],
})
const files: Record<Verdict, number> = { equal: 0, refused: 0, WRONG: 0, 'LiteRT refuses': 0 }
const kinds = new Map<string, Verdict>()
const WORST: readonly Verdict[] = ['WRONG', 'refused', 'equal']
for await (const line of createInterface({ input: child.stdout })) {
  if (!line.startsWith('{')) continue
  const answer = JSON.parse(line) as Answer
  const { verdict, why, kind } = await judge(answer)
  files[verdict]++
  if (verdict !== 'equal') console.log(`${verdict}  ${basename(answer.file)}: ${why}`)
  if (verdict === 'LiteRT refuses') continue
  const before = kinds.get(kind)
  if (before === undefined || WORST.indexOf(verdict) < WORST.indexOf(before)) kinds.set(kind, verdict)
}
const count = (verdict: Verdict): number => [...kinds.values()].filter((v) => v === verdict).length
console.log(
  `files: ${Object.entries(files)
    .map(([name, n]) => `${name} ${n}`)
    .join(', ')}`,
)
console.log(
  `architectures that LiteRT runs: ${kinds.size}; equal ${count('equal')}, refused ${count('refused')}, WRONG ${count('WRONG')}`,
)
process.exit(files.WRONG > 0 ? 1 : 0)
