/**
 * Thimble's quantizer against onnxruntime's and LiteRT's: the same float network, the same calibration inputs, the same
 * photos to compare on, in one run. Prints one table.
 *
 * Set up once: python3 -m venv build/quantizers && build/quantizers/bin/pip install -r
 * tools/quantizers/requirements.txt
 * Usage: npx tsx tools/quantizers/index.ts FLOAT_MODEL --calibration DIR --evaluation DIR [--inputs N] [--seed N]
 * [--python PYTHON]
 */
import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { imagesIn } from '../../src/cli/files.ts'
import { readFloatModel } from '../../src/convert/index.ts'
import { floatModel } from '../../src/float/execute.ts'
import { readTflite } from '../../src/formats/tflite.ts'
import type { Graph } from '../../src/graph.ts'
import { writeTflite } from '../../src/formats/tflite-write.ts'
import { decodeImage } from '../../src/image/decode.ts'
import { random, variations } from '../../src/quantize/augment.ts'
import { photoInput, pixelRange } from '../../src/quantize/inputs.ts'
import { quantize } from '../../src/quantize/quantize.ts'
import type { PixelImage } from '../../src/types.ts'
import { projectRoot } from '../zoo/fetch.ts'
import { onnxNet } from './onnx-net.ts'

const FOLDER = join(projectRoot, 'build', 'quantizers-run')

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
  top1: number
  seconds: number
}

function score(name: string, logits: Float32Array, want: readonly Float32Array[], seconds: number): Row {
  let [signal, noise, top1, worst] = [0, 0, 0, Infinity]
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
    if (got.indexOf(Math.max(...got)) === w.indexOf(Math.max(...w))) top1++
  })
  return { name, sqnr: 10 * Math.log10(signal / noise), worst, top1, seconds }
}

/** Runs the peers; a result a line. */
async function peers(python: string, onResult: (r: Result) => void): Promise<void> {
  const child = spawn(python, [join(projectRoot, 'tools/quantizers/peers.py'), FOLDER], {
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

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      calibration: { type: 'string' },
      evaluation: { type: 'string' },
      inputs: { type: 'string', default: '32' },
      seed: { type: 'string', default: '1' },
      python: { type: 'string', default: join(projectRoot, 'build/quantizers/bin/python') },
    },
  })
  const [path] = positionals
  if (path === undefined || !values.calibration || !values.evaluation) {
    throw new Error('usage: npx tsx tools/quantizers/index.ts FLOAT_MODEL --calibration DIR --evaluation DIR')
  }
  const graph = await readFloatModel(path)
  const input = photoInput(graph)
  const photos = (folder: string): PixelImage[] => imagesIn(folder).map((f) => decodeImage(readFileSync(f)))
  const seed = Number(values.seed)
  const calibrated = photos(values.calibration)
  const calibration = variations(calibrated, Number(values.inputs), random(seed))
  const samples = calibration.map((c) => input(c.pixels))
  const evaluation = photos(values.evaluation).map(input)
  const reference = floatModel(graph)
  const want = evaluation.map((x) => reference.run([x])[0]!)

  const start = performance.now()
  const { graph: int8 } = quantize(graph, samples, {
    seed,
    photoOf: calibration.map((c) => c.photo),
    inputRange: pixelRange(graph.metadata.preprocess!),
  })
  const seconds = (performance.now() - start) / 1000
  mkdirSync(FOLDER, { recursive: true })
  const write = (name: string, data: Uint8Array | Float32Array | string): void =>
    writeFileSync(
      join(FOLDER, name),
      typeof data === 'string' ? data : new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
    )
  const all = (list: readonly Float32Array[]): Float32Array => Float32Array.from(list.flatMap((x) => [...x]))
  const net = onnxNet(graph)
  write('net.json', JSON.stringify(net.json))
  write('net.bin', net.weights)
  write('calibration.f32', all(samples))
  write('evaluation.f32', all(evaluation))
  write('float.tflite', writeTflite(graph))
  write('thimble.tflite', writeTflite(int8))
  const rows: Row[] = []
  await peers(values.python, (r) => {
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
      r.name,
      new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)),
      want,
      r.name.startsWith('thimble') ? seconds : r.seconds!,
    )
    if (r.name.startsWith('float') && row.sqnr < 80) {
      throw new Error(`${r.name} is not the same network: ${row.sqnr.toFixed(1)} dB`)
    }
    rows.push(row)
    console.error(`${row.name}: ${row.sqnr.toFixed(1)} dB`)
  })
  console.log(
    `${graph.metadata.name ?? basename(path)}: ${calibrated.length} calibration photos (${samples.length} inputs with variations), compared on ${evaluation.length} other photos\n`,
  )
  console.log(`| quantizer | logit SQNR | worst photo | same top-1 | seconds |\n|---|---|---|---|---|`)
  for (const r of rows) {
    console.log(
      `| ${r.name} | ${r.sqnr.toFixed(1)} dB | ${r.worst.toFixed(1)} dB | ${r.top1} of ${evaluation.length} | ${r.seconds < 0.05 ? '' : r.seconds.toFixed(0)} |`,
    )
  }
}

await main()
