/**
 * Makes the models in weights/ from published float weights, byte for byte the committed files.
 *
 * Usage: npm run zoo -- [NAME…] [--tflite DIR] [--check | --repack | --time]
 *   NAME          models to make (default: all)
 *   --tflite DIR  also write DIR/NAME.tflite and DIR/NAME_float.tflite
 *   --check       write nothing to weights/; exit 1 when a result differs from the committed file
 *   --repack      only compile the committed files again for this build, which takes seconds
 *   --time        only time the committed files here, for the manifest
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type ShippedModel } from '../../src/cli/shipped.ts'
import { sampleInput } from '../../src/cli/bench.ts'
import { processor } from '../../src/cli/processor.ts'
import { createClassifier } from '../../src/classify/classifier.ts'
import { readPacked } from '../../src/formats/packed.ts'
import { writePacked } from '../../src/formats/packed-write.ts'
import { withPrograms } from '../../src/plan/record.ts'
import { writeTflite } from '../../src/formats/tflite-write.ts'
import { decodeImage } from '../../src/image/decode.ts'
import { random, variations } from '../../src/quantize/augment.ts'
import { inputGeometry } from '../../src/image/geometry.ts'
import { inspectModel } from '../../src/engine/inspect.ts'
import { loadBytes } from '../../src/engine/load.ts'
import { loadModel } from '../../src/node.ts'
import { photoInput, pixelRange } from '../../src/quantize/inputs.ts'
import { quantize } from '../../src/quantize/quantize.ts'
import type { PixelImage, Prediction } from '../../src/graph/types.ts'
import { Framer } from '../../src/vision/frame.ts'
import { headOf } from '../../src/vision/recognise.ts'
import type { Graph } from '../../src/graph/graph.ts'
import { asModel } from '../../src/float/as-model.ts'
import { projectRoot, sha256 } from './fetch.ts'
import { MODELS, type ZooModel } from './models.ts'
import { encodeJpeg, photos } from './photos.ts'
import { withRanges } from './ranges.ts'

const WEIGHTS = join(projectRoot, 'weights')

interface ManifestEntry extends ShippedModel {
  bytes: number
  sha256: string
  /** The label and score that the model answers for its sample. */
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

/** Photos as the input of a float network, the way its head's family frames them. */
function framedInput(graph: Graph): (photo: PixelImage) => Float32Array {
  const { inputs, outputs, metadata } = asModel(graph)
  const framer = new Framer(inputs[0]!, metadata.preprocess!, headOf({ inputs, outputs, metadata })?.framing)
  return (photo) => {
    const out = framer.createInput() as Float32Array
    framer.fill(photo, out)
    return out
  }
}

/** What a file costs, with the kernels for x86-64. */
async function costs(bytes: Uint8Array): Promise<Pick<ManifestEntry, 'input' | 'macs' | 'arenaBytes'>> {
  const model = await loadBytes(bytes, { variant: 'simd', kernels: 'x86' })
  const { height, width } = inputGeometry(model.inputs[0]!)
  const { arenaBytes } = model
  model.dispose()
  return { input: [height, width], macs: inspectModel(bytes).macs, arenaBytes }
}

/** A graph whose file says how large photos are to be. */
const withShorterSide = (graph: Graph, { shorterSide }: ZooModel): Graph =>
  shorterSide
    ? { ...graph, metadata: { ...graph.metadata, preprocess: { ...graph.metadata.preprocess!, shorterSide } } }
    : graph

async function make(
  model: ZooModel,
  all: Map<string, PixelImage>,
  tflite: string | undefined,
): Promise<{ entry: ManifestEntry; bytes: Uint8Array }> {
  const float = await model.float()
  const input = model.framed ? framedInput(float) : photoInput(float)
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
  const graph = withShorterSide(withRanges(quantized.graph, model.ranges ?? {}), model)
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
    task: model.use ?? graph.metadata.task!,
    description: graph.metadata.description!,
    ...(model.default ? { default: true } : {}),
    ...(model.packaged ? { packaged: true } : {}),
    bytes: bytes.length,
    sha256: sha256(bytes),
    ...(await costs(bytes)),
    ...(model.accuracy ? { accuracy: model.accuracy } : {}),
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

/** Entries in the order of the models; one that is new or changed replaces its old self. */
const withEntry = (manifest: readonly ManifestEntry[], entry: ManifestEntry): ManifestEntry[] =>
  MODELS.map((m) => (m.name === entry.name ? entry : manifest.find((e) => e.name === m.name))).filter(
    (e) => e !== undefined,
  )

/** The same graphs with the programs of this build, and the entries with what the models' list says now. */
async function repack(before: readonly ManifestEntry[], names: readonly string[]): Promise<void> {
  let manifest = [...before]
  for (const entry of before.filter((e) => names.length === 0 || names.includes(e.name))) {
    const model = MODELS.find((m) => m.name === entry.name)!
    const graph = withShorterSide(readPacked(readFileSync(join(WEIGHTS, entry.file))), model)
    const bytes = writePacked(withPrograms(graph))
    const { use, accuracy, default: usual, packaged } = model
    writeFileSync(join(WEIGHTS, entry.file), bytes)
    console.log(`${entry.file}: ${bytes.length} bytes, before ${entry.bytes}`)
    manifest = withEntry(manifest, {
      ...entry,
      task: use ?? graph.metadata.task!,
      description: graph.metadata.description!,
      bytes: bytes.length,
      sha256: sha256(bytes),
      ...(await costs(bytes)),
      ...(accuracy ? { accuracy } : {}),
      ...(usual ? { default: true } : {}),
      ...(packaged ? { packaged: true } : {}),
    })
  }
  writeManifest(manifest)
}

const TIMED_MS = 1000

/** Writes how long an inference takes here: the least of a second of runs each, models taking turns. */
async function time(before: readonly ManifestEntry[], names: readonly string[]): Promise<void> {
  const timed = before.filter((e) => names.length === 0 || names.includes(e.name))
  const least = new Map<string, number>()
  const models = await Promise.all(timed.map((e) => loadModel(join(WEIGHTS, e.file), { variant: 'simd' })))
  const inputs = models.map((m) => m.inputs.map(sampleInput))
  for (let spent = 0; spent < TIMED_MS * timed.length;) {
    for (const [i, { name }] of timed.entries()) {
      for (let run = 0; run < 5; run++) {
        const start = performance.now()
        models[i]!.run(inputs[i]!)
        const ms = performance.now() - start
        spent += ms
        least.set(name, Math.min(least.get(name) ?? Infinity, ms))
      }
    }
  }
  const { arch, features } = processor()
  const on = `Node ${process.version}, ${arch}, ${features?.join(', ') ?? 'vector extensions not known'}`
  for (const [name, ms] of least) console.log(`${name}: ${ms.toFixed(2)} ms`)
  writeManifest(
    before.map((e) =>
      least.has(e.name) ? { ...e, timing: { ms: Number(least.get(e.name)!.toPrecision(3)), on } } : e,
    ),
  )
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      tflite: { type: 'string' },
      check: { type: 'boolean' },
      repack: { type: 'boolean' },
      time: { type: 'boolean' },
    },
  })
  const unknown = positionals.find((n) => !MODELS.some((m) => m.name === n))
  if (unknown) throw new Error(`no model "${unknown}"; there are ${MODELS.map((m) => m.name).join(', ')}`)
  let manifest = existsSync(manifestPath) ? (JSON.parse(readFileSync(manifestPath, 'utf8')) as ManifestEntry[]) : []
  if (values.repack) return repack(manifest, positionals)
  if (values.time) return time(manifest, positionals)
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
    // Others may have been made in the meantime.
    if (existsSync(manifestPath)) manifest = JSON.parse(readFileSync(manifestPath, 'utf8')) as ManifestEntry[]
    const { timing } = manifest.find((e) => e.name === model.name) ?? {}
    manifest = withEntry(manifest, { ...entry, ...(timing ? { timing } : {}) })
    writeManifest(manifest)
    console.log(
      `${entry.file}: ${entry.bytes} bytes, sha256 ${entry.sha256}${entry.answer ? `; ${entry.sample}: ${entry.answer.label} ${entry.answer.score}` : ''}`,
    )
  }
}

await main()
