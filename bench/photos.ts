/**
 * A photo's whole way, beside Python: `npm run bench -- --photos DIR [--model MODEL] [--rounds N]`. Decoding and
 * preprocessing (resize, crop, normalize, quantize) by Thimble here and by Pillow and NumPy in a Python process, photo
 * by photo in turns, so that what slows the machine slows both; inference too where MODEL is a .tflite and LiteRT is
 * there. Prints milliseconds and ratios, and in how many photos both made the same tensor.
 *
 * THIMBLE_PYTHON: a Python with pillow and numpy (and ai-edge-litert). Default: python3.
 */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import os from 'node:os'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { inputGeometry } from '../src/image/geometry.ts'
import { inputTable, Preprocessor } from '../src/image/preprocess.ts'
import { defaultPreprocess } from '../src/image/defaults.ts'
import { imageDecoder } from '../src/image/decode.ts'
import { imagesIn } from '../src/cli/files.ts'
import { load } from '../src/cli/models.ts'
import { modelFor } from '../src/cli/shipped.ts'
import { crc32 } from '../src/base/scan.ts'
import { median } from '../src/cli/stats.ts'
import type { TypedArray } from '../src/graph/types.ts'

interface Times {
  decode: number
  preprocess: number
  infer: number
}
interface PythonAnswer extends Times {
  width: number
  height: number
  crc: number
}

/** Photos from this many pixels on are a group of their own. */
const LARGE = 8e6

export interface PhotoBench {
  folder: string
  model?: string
  rounds: number
}

class Python {
  private readonly process
  private readonly lines
  readonly versions: Promise<string>

  constructor(start: object) {
    const script = fileURLToPath(new URL('runners/photos.py', import.meta.url))
    this.process = spawn(process.env.THIMBLE_PYTHON ?? 'python3', [script], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.lines = createInterface({ input: this.process.stdout })[Symbol.asyncIterator]()
    this.versions = this.ask<{ versions: string }>(start).then((a) => a.versions)
  }

  async ask<T>(message: object): Promise<T> {
    this.process.stdin.write(`${JSON.stringify(message)}\n`)
    const { value, done } = await this.lines.next()
    if (done) throw new Error('the Python process ended; set THIMBLE_PYTHON to one with pillow and numpy')
    return JSON.parse(value) as T
  }

  end(): void {
    this.process.stdin.end()
  }
}

const least = (a: Times, b: Times): Times => ({
  decode: Math.min(a.decode, b.decode),
  preprocess: Math.min(a.preprocess, b.preprocess),
  infer: Math.min(a.infer, b.infer),
})
const NEVER: Times = { decode: Infinity, preprocess: Infinity, infer: Infinity }

/** Runs the comparison and prints its table. */
export async function benchPhotos({ folder, model: name, rounds }: PhotoBench): Promise<void> {
  const file = modelFor(name, 'classification')
  const model = await load(file, {})
  const input = model.inputs[0]!
  const { preprocess: how } = defaultPreprocess(input, model.metadata)
  const { width, height, channels } = inputGeometry(input)
  const table = (c: number): number[] =>
    Array.from(inputTable(input, (how.mean[c] ?? how.mean[0])!, (how.std[c] ?? how.std[0])!))
  const tflite = file.path.endsWith('.tflite')
  const python = new Python({
    model: tflite ? file.path : null,
    width,
    height,
    dtype: input.dtype,
    scale: input.scale,
    zeroPoint: input.zeroPoint,
    ...how,
    tables: Array.from({ length: channels }, (_, c) => table(c)),
  })
  const versions = await python.versions
  const decoder = imageDecoder()
  const tensor = new Preprocessor(input, how).createInput()
  let outputs: TypedArray[] | undefined
  const here = (bytes: Uint8Array): Times => {
    const { decodeMs, preprocessMs } = decoder.prepare(bytes, input, how, tensor)
    const start = performance.now()
    outputs = outputs ? model.run(tensor, { out: outputs }) : model.run(tensor)
    return { decode: decodeMs, preprocess: preprocessMs, infer: performance.now() - start }
  }
  const photos = imagesIn(folder).map((path) => ({ path, bytes: readFileSync(path) }))
  // What a process does once is not what is compared.
  for (const { path, bytes } of photos.slice(0, 10)) {
    for (let i = 0; i < 3; i++) here(bytes)
    await python.ask({ path })
  }
  const rows: { pixels: number; thimble: Times; python: Times; same: boolean }[] = []
  for (const { path, bytes } of photos) {
    let [mine, theirs] = [NEVER, NEVER]
    let [same, pixels] = [false, 0]
    for (let i = 0; i < rounds; i++) {
      mine = least(mine, here(bytes))
      const answer = await python.ask<PythonAnswer>({ path })
      theirs = least(theirs, answer)
      same = answer.crc === crc32(new Uint8Array(tensor.buffer, tensor.byteOffset, tensor.byteLength))
      pixels = answer.width * answer.height
    }
    rows.push({ pixels, thimble: mine, python: theirs, same })
  }
  python.end()
  console.log(
    `${photos.length} photos, ${file.name}; the least of ${rounds} turns of each, then medians over photos.\n` +
      `${os.cpus()[0]?.model.trim()}; Node ${process.versions.node}; ${versions}; load average ${os.loadavg()[0]!.toFixed(1)}.\n`,
  )
  for (const [title, group] of [
    ['photos', rows.filter((r) => r.pixels < LARGE)],
    ['photos of 8 megapixels and more', rows.filter((r) => r.pixels >= LARGE)],
  ] as const) {
    if (group.length === 0) continue
    console.log(`| ${group.length} ${title} | Thimble ms | Python ms | ratio |\n|---|--:|--:|--:|`)
    for (const key of ['decode', 'preprocess', ...(tflite ? (['infer'] as const) : [])] as const) {
      const [mine, theirs] = [median(group.map((r) => r.thimble[key])), median(group.map((r) => r.python[key]))]
      const ratio = median(group.map((r) => r.thimble[key] / r.python[key]))
      console.log(`| ${key} | ${mine.toFixed(2)} | ${theirs.toFixed(2)} | ${ratio.toFixed(2)} |`)
    }
    console.log(`\nsame tensor: ${group.filter((r) => r.same).length} of ${group.length}\n`)
  }
}
