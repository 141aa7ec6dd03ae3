/**
 * Thimble's quantizer against onnxruntime's, LiteRT's and TensorFlow's: the same float networks, the same calibration
 * inputs, the same photos to compare on, in one run. Prints one table,
 * how Thimble stands against the best of the others, date and processor. onnxruntime's int8 models are run in float
 * simulation (QuantizeLinear and DequantizeLinear apart), so that they don't suffer where the processor saturates.
 *
 * Set up once: python3 -m venv build/quantizers && build/quantizers/bin/pip install -r
 * tools/quantizers/requirements.txt
 * Usage: npx tsx tools/quantizers/index.ts FLOAT_MODEL… --calibration DIR --evaluation DIR [--inputs N] [--seed N]
 * [--size N] [--stretch] [--python PYTHON] [--tensorflow PYTHON] [--name NAME…]
 *   DIR: photos, or one folder of them a class (then top-1 is told as well: classes in the order of the folders'
 *   names). --size, --stretch: side of a state dict's input, and photos stretched to it. --tensorflow: a Python that
 *   has TensorFlow. --name: of each network, in the table
 */
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { readFloatModel } from '../../src/convert/index.ts'
import { floatModel } from '../../src/float/execute.ts'
import { readTflite } from '../../src/formats/tflite.ts'
import type { Graph } from '../../src/graph/graph.ts'
import { writeTflite } from '../../src/formats/tflite-write.ts'
import { random, variations } from '../../src/quantize/augment.ts'
import { photoInput, pixelRange } from '../../src/quantize/inputs.ts'
import { quantize } from '../../src/quantize/quantize.ts'
import { projectRoot } from '../zoo/fetch.ts'
import { onnxNet } from './onnx-net.ts'
import { type Labelled, photosIn } from './photos.ts'

/** What the peers read and write, of this run. */
const FOLDER = mkdtempSync(join(tmpdir(), 'quantizers-'))

/** Whether an op gives floats: a quantizer has left it out. */
const computesFloats = ({ ops, tensors }: Graph): boolean =>
  ops.some((op) => op.outputs.some((t) => tensors[t]!.dtype === 'float32'))

interface Result {
  name: string
  file?: string
  seconds?: number
  error?: string
}
interface Row {
  name: string
  sqnr: number
  worst: number
  /** Inputs with the float network's best class. */
  same: number
  /** Inputs with the right class. */
  right: number
  seconds: number
}

const best = (v: Float32Array): number => v.indexOf(Math.max(...v))

/** `truth`: the right class of each input, where it is known. */
function score(
  r: Pick<Row, 'name' | 'seconds'>,
  logits: Float32Array,
  want: readonly Float32Array[],
  truth: number[],
): Row {
  let [signal, noise, same, right, worst] = [0, 0, 0, 0, Infinity]
  want.forEach((w, k) => {
    const got = logits.subarray(k * w.length, (k + 1) * w.length)
    let [s, n] = [0, 0]
    w.forEach((v, i) => {
      s += v * v
      n += (v - got[i]!) ** 2
    })
    signal += s
    noise += n
    worst = Math.min(worst, 10 * Math.log10(s / n))
    same += Number(best(got) === best(w))
    right += Number(best(got) === truth[k])
  })
  return { ...r, sqnr: 10 * Math.log10(signal / noise), worst, same, right }
}

/** Runs the peers; a result a line. */
async function peers(python: string, script: string, onResult: (r: Result) => void): Promise<void> {
  const child = spawn(python, [join(projectRoot, 'tools/quantizers', script), FOLDER], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let noise = ''
  child.stderr.on('data', (chunk: Buffer) => {
    noise = (noise + chunk.toString()).slice(-2000)
  })
  const ended = new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve))
  for await (const line of createInterface(child.stdout)) if (line.startsWith('{')) onResult(JSON.parse(line) as Result)
  const code = await ended
  if (code) {
    throw new Error(`${python} ended with ${code}; set it up as the head of tools/quantizers/index.ts says\n${noise}`)
  }
}

interface Run {
  calibration: Labelled[]
  evaluation: Labelled[]
  inputs: number
  seed: number
  size: number | undefined
  stretch: boolean
  python: string
  tensorflow: string | undefined
}

const write = (name: string, data: Uint8Array | Float32Array | string): void =>
  writeFileSync(
    join(FOLDER, name),
    typeof data === 'string' ? data : new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  )

/** Every input after the other. */
function joined(list: readonly Float32Array[]): Float32Array {
  const out = new Float32Array(list.reduce((n, x) => n + x.length, 0))
  let at = 0
  for (const x of list) {
    out.set(x, at)
    at += x.length
  }
  return out
}

/** All quantizers on one network; the float one first. */
async function compare(path: string, run: Run): Promise<Row[]> {
  const graph = await readFloatModel(path, run.size === undefined ? {} : { size: run.size })
  if (run.stretch) graph.metadata = { ...graph.metadata, preprocess: { ...graph.metadata.preprocess!, fit: 'stretch' } }
  const input = photoInput(graph)
  const calibration = variations(
    run.calibration.map((c) => c.pixels),
    run.inputs,
    random(run.seed),
  )
  const samples = calibration.map((c) => input(c.pixels))
  const evaluation = run.evaluation.map((p) => input(p.pixels))
  const truth = run.evaluation.map((p) => p.truth ?? -1)
  const reference = floatModel(graph)
  const want = evaluation.map((x) => reference.run([x])[0]!)

  const options = {
    seed: run.seed,
    photoOf: calibration.map((c) => c.photo),
    inputRange: pixelRange(graph.metadata.preprocess!),
  }
  const start = performance.now()
  const int8 = quantize(graph, samples, options).graph
  const seconds = (performance.now() - start) / 1000
  const net = onnxNet(graph)
  write('net.json', JSON.stringify(net.json))
  write('net.bin', net.weights)
  write('calibration.f32', joined(samples))
  write('evaluation.f32', joined(evaluation))
  write('float.tflite', writeTflite(graph))
  write('thimble.tflite', writeTflite(int8))
  const onResult = (rows: Row[], r: Result): void => {
    if (r.error !== undefined) {
      console.error(`${r.name}: ${r.error}`)
      return
    }
    const made = r.file!.replace(/\.f32$/, '')
    if (made.endsWith('.tflite') && !r.name.startsWith('float') && computesFloats(readTflite(readFileSync(made)))) {
      console.error(`${r.name}: leaves ops in float, not compared`)
      return
    }
    const bytes = readFileSync(r.file!)
    const row = score(
      { name: r.name, seconds: r.name.startsWith('thimble') ? seconds : r.seconds! },
      new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)),
      want,
      truth,
    )
    if (r.name.startsWith('float') && row.sqnr < 80) {
      throw new Error(`${r.name} is not the same network: ${row.sqnr.toFixed(1)} dB`)
    }
    rows.push(row)
    console.error(`${row.name}: ${row.sqnr.toFixed(1)} dB`)
  }
  const [most, tensorflow]: [Row[], Row[]] = [[], []]
  // At the same time: each uses one processor.
  await Promise.all([
    peers(run.python, 'peers.py', (r) => onResult(most, r)),
    run.tensorflow === undefined
      ? undefined
      : peers(run.tensorflow, 'tensorflow_peer.py', (r) => onResult(tensorflow, r)),
  ])
  return [...most, ...tensorflow]
}

/** Date and processor, with what of its vector extensions decides how int8 runs. */
function machine(): string {
  const flags = existsSync('/proc/cpuinfo') ? readFileSync('/proc/cpuinfo', 'utf8') : ''
  const has = (flag: string): string => (new RegExp(`\\b${flag}\\b`).test(flags) ? flag : `no ${flag}`)
  const extensions = flags ? ` (${has('avx2')}, ${has('avx512_vnni')}, ${has('avx_vnni')})` : ''
  return `${new Date().toISOString().slice(0, 10)}, ${cpus()[0]!.model.trim()}${extensions}, Node ${process.version}`
}

/** How Thimble's rows stand against the best of the others'. */
function verdict(network: string, rows: readonly Row[], count: number, labelled: boolean): string {
  const float = rows.find((r) => r.name.startsWith('float'))
  const mine = rows.find((r) => r.name.startsWith('thimble'))
  const others = rows.filter((r) => !r.name.startsWith('float') && !r.name.startsWith('thimble'))
  if (!float || !mine || others.length === 0) return `${network}: nothing to compare with`
  const percent = (n: number): string => `${((100 * n) / count).toFixed(1)} %`
  const best = (of: (r: Row) => number): number => Math.max(...others.map(of))
  return (
    `${network}: ${mine.sqnr.toFixed(1)} dB, best of the others ${best((r) => r.sqnr).toFixed(1)}; ` +
    `agrees on ${percent(mine.same)}, best of the others ${percent(best((r) => r.same))}` +
    (labelled
      ? `; top-1 ${percent(float.right)} in float, ${percent(mine.right)} in int8, best of the others ${percent(best((r) => r.right))}`
      : '')
  )
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      calibration: { type: 'string' },
      evaluation: { type: 'string' },
      inputs: { type: 'string', default: '32' },
      seed: { type: 'string', default: '1' },
      size: { type: 'string' },
      stretch: { type: 'boolean', default: false },
      python: { type: 'string', default: join(projectRoot, 'build/quantizers/bin/python') },
      tensorflow: { type: 'string' },
      name: { type: 'string', multiple: true, default: [] },
    },
  })
  if (positionals.length === 0 || !values.calibration || !values.evaluation) {
    throw new Error('usage: npx tsx tools/quantizers/index.ts FLOAT_MODEL… --calibration DIR --evaluation DIR')
  }
  const run: Run = {
    calibration: photosIn(values.calibration),
    evaluation: photosIn(values.evaluation),
    inputs: Number(values.inputs),
    seed: Number(values.seed),
    size: values.size === undefined ? undefined : Number(values.size),
    stretch: values.stretch,
    python: values.python,
    tensorflow: values.tensorflow,
  }
  const count = run.evaluation.length
  const percent = (n: number): string => `${((100 * n) / count).toFixed(1)} %`
  const labelled = run.evaluation.every((p) => p.truth !== undefined)
  console.log(
    `${run.calibration.length} calibration photos (${run.inputs} inputs with variations), compared on ${count} other photos\n`,
  )
  console.log('| network | quantizer | SQNR | worst photo | agrees with float | top-1 | seconds |')
  console.log('|---|---|--:|--:|--:|--:|--:|')
  const verdicts: string[] = []
  for (const [i, path] of positionals.entries()) {
    const network = values.name[i] ?? basename(path).replace(/\.\w+$/, '')
    const rows = await compare(path, run)
    verdicts.push(verdict(network, rows, count, labelled))
    for (const r of rows) {
      const cells = [
        network,
        r.name,
        `${r.sqnr.toFixed(1)} dB`,
        `${r.worst.toFixed(1)} dB`,
        percent(r.same),
        labelled ? percent(r.right) : '',
        r.seconds < 0.05 ? '' : r.seconds.toFixed(0),
      ]
      console.log(`| ${cells.join(' | ')} |`)
    }
  }
  console.log(`\n${verdicts.join('\n')}\n\n${machine()}`)
}

try {
  await main()
} finally {
  rmSync(FOLDER, { recursive: true })
}
