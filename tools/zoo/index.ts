/**
 * Makes the models in weights/ from published float weights, byte for byte the committed files.
 *
 * Usage: npm run zoo -- [NAME…] [--tflite DIR] [--check | --repack]
 *   NAME          models to make (default: all)
 *   --tflite DIR  also write DIR/NAME.tflite and DIR/NAME_float.tflite
 *   --check       write nothing to weights/; exit 1 when a result differs from the committed file
 *   --repack      only compile the committed files again for this build, which takes seconds
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { createClassifier } from '../../src/classifier.ts'
import { readPacked } from '../../src/formats/packed.ts'
import { writePacked } from '../../src/formats/packed-write.ts'
import { withPrograms } from '../../src/plan/record.ts'
import { writeTflite } from '../../src/formats/tflite-write.ts'
import { decodeImage } from '../../src/image/decode.ts'
import { random, variations } from '../../src/quantize/augment.ts'
import { loadBytes } from '../../src/load.ts'
import { photoInput, pixelRange } from '../../src/quantize/inputs.ts'
import { quantize } from '../../src/quantize/quantize.ts'
import type { PixelImage, Prediction } from '../../src/types.ts'
import { projectRoot, sha256 } from './fetch.ts'
import { MODELS, type ZooModel } from './models.ts'
import { encodeJpeg, photos } from './photos.ts'
import { withRanges } from './ranges.ts'

const WEIGHTS = join(projectRoot, 'weights')

interface ManifestEntry {
  name: string
  file: string
  task: string
  default?: boolean
  packaged?: boolean
  bytes: number
  sha256: string
  license: string
  source: string
  /** A photo of weights/samples and the label and score that the model answers for it. */
  sample?: string
  answer?: { label: string; index: number; score: number } | undefined
}

/** Sample photo name to the scikit-image photo it is, JPEG quality 90. */
const SAMPLES: Record<string, string> = { coffee: 'coffee', cat: 'chelsea', astronaut: 'astronaut' }

/** Label, index and score of the best class, as `thimble classify` gives it. */
async function answer(bytes: Uint8Array, jpeg: Uint8Array): Promise<ManifestEntry['answer']> {
  const classifier = await createClassifier(await loadBytes(bytes))
  const [{ label, index, score }] = classifier.classify(decodeImage(jpeg), { topK: 1 }) as [Prediction]
  return { label, index, score: Number(score.toFixed(2)) }
}

async function make(
  model: ZooModel,
  all: Map<string, PixelImage>,
  tflite: string | undefined,
): Promise<{ entry: ManifestEntry; bytes: Uint8Array }> {
  const float = await model.float()
  const input = photoInput(float)
  const { count, seed } = model.calibration
  const calibration = model.variations ? await model.variations() : variations([...all.values()], count, random(seed))
  const progress = (stage: string, done: number, total: number): void => {
    if (process.stderr.isTTY) process.stderr.write(`\r${model.name}: ${stage} ${done}/${total}   `)
  }
  const samples = calibration.map(({ pixels }) => input(pixels))
  const quantized = quantize(float, samples, {
    seed,
    photoOf: calibration.map((c) => c.photo),
    inputRange: pixelRange(float.metadata.preprocess!),
    progress,
  })
  const graph = withRanges(quantized.graph, model.ranges ?? {})
  if (process.stderr.isTTY) process.stderr.write('\n')
  const bytes = writePacked(withPrograms(graph))
  if (tflite) {
    mkdirSync(tflite, { recursive: true })
    writeFileSync(join(tflite, `${model.name}.tflite`), writeTflite(graph))
    writeFileSync(join(tflite, `${model.name}_float.tflite`), writeTflite(float))
  }
  const entry: ManifestEntry = {
    name: model.name,
    file: `${model.name}.thimble`,
    task: graph.metadata.task!,
    ...(model.default ? { default: true } : {}),
    ...(model.packaged ? { packaged: true } : {}),
    bytes: bytes.length,
    sha256: sha256(bytes),
    license: model.license,
    source: model.source,
    ...(model.sample ? { sample: `samples/${model.sample}.jpg` } : {}),
    ...(model.sample && graph.metadata.scores === 'softmax'
      ? { answer: await answer(bytes, encodeJpeg(all.get(SAMPLES[model.sample]!)!, 90)) }
      : {}),
  }
  return { entry, bytes }
}

const manifestPath = join(WEIGHTS, 'manifest.json')
const writeManifest = (entries: readonly ManifestEntry[]): void =>
  writeFileSync(manifestPath, `${JSON.stringify(entries, null, 2)}\n`)

/** The same graphs with the programs of this build. */
function repack(manifest: readonly ManifestEntry[], names: readonly string[]): void {
  writeManifest(
    manifest.map((entry) => {
      if (names.length > 0 && !names.includes(entry.name)) return entry
      const bytes = writePacked(withPrograms(readPacked(readFileSync(join(WEIGHTS, entry.file)))))
      writeFileSync(join(WEIGHTS, entry.file), bytes)
      console.log(`${entry.file}: ${bytes.length} bytes, before ${entry.bytes}`)
      return { ...entry, bytes: bytes.length, sha256: sha256(bytes) }
    }),
  )
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { tflite: { type: 'string' }, check: { type: 'boolean' }, repack: { type: 'boolean' } },
  })
  const unknown = positionals.find((n) => !MODELS.some((m) => m.name === n))
  if (unknown) throw new Error(`no model "${unknown}"; there are ${MODELS.map((m) => m.name).join(', ')}`)
  let manifest = existsSync(manifestPath) ? (JSON.parse(readFileSync(manifestPath, 'utf8')) as ManifestEntry[]) : []
  if (values.repack) return repack(manifest, positionals)
  const all = photos()
  if (!values.check) {
    mkdirSync(join(WEIGHTS, 'samples'), { recursive: true })
    for (const [name, photo] of Object.entries(SAMPLES)) {
      writeFileSync(join(WEIGHTS, 'samples', `${name}.jpg`), encodeJpeg(all.get(photo)!, 90))
    }
  }
  for (const model of MODELS.filter((m) => positionals.length === 0 || positionals.includes(m.name))) {
    const { entry, bytes } = await make(model, all, values.tflite)
    if (values.check) {
      const committed = manifest.find((e) => e.name === model.name)
      const same = committed?.sha256 === entry.sha256
      console.log(
        `${model.name}: ${same ? 'identical' : `differs: ${entry.sha256}, committed ${committed?.sha256 ?? 'nothing'}`}`,
      )
      if (!same) process.exitCode = 1
      continue
    }
    writeFileSync(join(WEIGHTS, entry.file), bytes)
    manifest = MODELS.map((m) => (m.name === model.name ? entry : manifest.find((e) => e.name === m.name))).filter(
      (e) => e !== undefined,
    )
    writeManifest(manifest)
    console.log(
      `${entry.file}: ${entry.bytes} bytes, sha256 ${entry.sha256}${entry.answer ? `; ${entry.sample}: ${entry.answer.label} ${entry.answer.score}` : ''}`,
    )
  }
}

await main()
