/** `thimble quantize`: a float model and a folder of photos to an int8 model, with a report of what it cost. */
import { basename } from 'node:path'
import { ThimbleError } from '../errors.ts'
import { writePacked } from '../formats/packed-write.ts'
import { writeTflite } from '../formats/tflite-write.ts'
import { tensorBytes, type Graph, type Preprocess } from '../graph.ts'
import { decodeImage } from '../image/decode.ts'
import { defaultPreprocess, describePreprocess } from '../image/defaults.ts'
import { withPrograms } from '../plan/record.ts'
import { random, variations } from '../quantize/augment.ts'
import { evaluate, type EvaluationInput } from '../quantize/evaluate.ts'
import { blockers8bit, refuseBlocked } from '../quantize/check.ts'
import { inputInfo, photoInput, pixelRange } from '../quantize/inputs.ts'
import { isClassifier } from '../quantize/outputs.ts'
import { quantize } from '../quantize/quantize.ts'
import { htmlReport, jsonReport, textReport, type QuantizeReport } from '../quantize/report.ts'
import type { PixelImage } from '../types.ts'
import { badCall, choice, flag, text, whole } from './args.ts'
import type { Args, Command } from './command.ts'
import { imagesIn, isFolder, readFile, writeFiles } from './files.ts'
import { changedPreprocess, PREPROCESS_OPTIONS, saysRange } from './preprocessing.ts'
import { stages } from './progress.ts'
import { openSource, SOURCE_OPTIONS } from './source-model.ts'

const RANGES = ['minmax', 'percentile', 'mse'] as const

/**
 * The model's own preprocessing, changed by what the call says; where neither says it, an assumption, told on stderr.
 */
function preprocessOf(args: Args, graph: Graph): Preprocess {
  const input = inputInfo(graph)
  const { preprocess, guessed } = defaultPreprocess(input, graph.metadata)
  const chosen = changedPreprocess(args, preprocess, input)
  if (guessed && !saysRange(args)) {
    process.stderr.write(
      `thimble: note: the model does not say how photos become its input; assumed: ${describePreprocess(chosen, input)} (--preprocess, or --mean and --std, change that)\n`,
    )
  }
  return chosen
}

interface Photo {
  name: string
  pixels: PixelImage
}

/** Every image of a folder (or one image). Errors: `usage/file`, `usage/calibration`, `image/…` naming the file. */
function photosIn(path: string): Photo[] {
  const files = isFolder(path) ? imagesIn(path) : [path]
  if (files.length === 0) {
    throw new ThimbleError('usage/calibration', `no images in ${path}`, {
      expected: 'files ending in .jpg, .png, .bmp or .ppm',
    })
  }
  return files.map((file) => {
    const bytes = readFile(file)
    try {
      return { name: basename(file), pixels: decodeImage(bytes) }
    } catch (error) {
      if (error instanceof ThimbleError) {
        throw new ThimbleError(error.code, `${file}: ${error.message.slice(error.code.length + 2)}`, { cause: error })
      }
      throw error
    }
  })
}

/**
 * Photos for calibration and for the comparison. Of a folder of 4 and more, one in eight (at least one) is held back.
 */
function split(
  photos: Photo[],
  evaluation: Photo[] | undefined,
  next: () => number,
): { calibrate: Photo[]; compare: Photo[]; heldBack: boolean } {
  if (evaluation) return { calibrate: photos, compare: evaluation, heldBack: true }
  if (photos.length < 4) return { calibrate: photos, compare: photos, heldBack: false }
  const order = photos.map((photo) => ({ photo, key: next() })).sort((a, b) => a.key - b.key)
  const held = new Set(order.slice(0, Math.max(1, Math.round(photos.length / 8))).map((o) => o.photo))
  return { calibrate: photos.filter((p) => !held.has(p)), compare: photos.filter((p) => held.has(p)), heldBack: true }
}

/**
 * The float graph with labels and preprocessing. Errors: those of the readers, `lower/quantization` for a model that is
 * quantized.
 */
async function openFloat(args: Args, path: string): Promise<Graph> {
  const { graph } = await openSource(args, path)
  if (graph.inputs.some((t) => graph.tensors[t]!.dtype !== 'float32')) {
    const found = blockers8bit(graph)
    throw new ThimbleError('lower/quantization', `${path} is quantized already`, {
      hint: found.length
        ? `it can't run as it is either: ${found.slice(0, 4).join(', ')}${found.length > 4 ? ` and ${found.length - 4} more` : ''}; give the float model it was made from`
        : 'run it as it is, or use thimble convert',
    })
  }
  refuseBlocked(graph)
  const last = graph.ops.find((op) => op.outputs.includes(graph.outputs[0]!))
  const logits =
    graph.metadata.task === 'classification' &&
    isClassifier(graph) &&
    graph.tensors[graph.outputs[0]!]!.dtype === 'float32' &&
    last?.type !== 'SOFTMAX' &&
    last?.type !== 'LOGISTIC'
  graph.metadata = {
    ...graph.metadata,
    ...(logits && !graph.metadata.scores ? { scores: 'softmax' as const } : {}),
    preprocess: preprocessOf(args, graph),
  }
  return graph
}

const REPORTS: Record<string, (r: QuantizeReport) => string> = {
  html: htmlReport,
  json: (r) => `${jsonReport(r)}\n`,
  txt: (r) => `${textReport(r)}\n`,
}
const extension = (path: string): string => /\.(\w+)$/.exec(path.toLowerCase())?.[1] ?? ''

/** What the call names. Errors: `usage/…`. */
function parse(args: Args): {
  path: string
  calibration: string
  output: string
  reports: string[]
  seed: number
  count: number
} {
  const [path, ...more] = args.positionals
  if (path === undefined || more.length) {
    throw badCall(command, path === undefined ? 'no FLOAT_MODEL given' : 'more than one FLOAT_MODEL given')
  }
  const [calibration, output] = [text(args, 'calibration'), text(args, 'output')]
  if (calibration === undefined) throw badCall(command, 'no --calibration folder given')
  if (output === undefined || !['tflite', 'thimble'].includes(extension(output))) {
    throw badCall(command, output === undefined ? 'no -o OUT given' : 'OUT must end in .thimble or .tflite')
  }
  const reports = (args.options.report as string[] | undefined) ?? []
  if (reports.some((r) => !Object.hasOwn(REPORTS, extension(r)))) {
    throw badCall(command, '--report must end in .html, .json or .txt')
  }
  return {
    path,
    calibration,
    output,
    reports,
    seed: whole(args, 'seed', 1, 0),
    count: whole(args, 'inputs', 32, 1, 512),
  }
}

async function run(args: Args): Promise<void> {
  const start = performance.now()
  const { path, calibration, output, reports, seed, count } = parse(args)
  const ranges = choice(args, 'ranges', RANGES) ?? 'minmax'
  const graph = await openFloat(args, path)
  const evaluation = text(args, 'evaluation')
  const next = random(seed)
  const { calibrate, compare, heldBack } = split(
    photosIn(calibration),
    evaluation === undefined ? undefined : photosIn(evaluation),
    next,
  )
  const toInput = photoInput(graph)
  const inputs = variations(
    calibrate.map((p) => p.pixels),
    count,
    next,
  )
  // Twice as many as there are photos to compare on: each one as it is and varied.
  const compared = variations(
    compare.map((p) => p.pixels),
    Math.min(2 * compare.length, 64),
    next,
  ).map(({ pixels, photo, varied }): EvaluationInput => ({
    name: `${compare[photo]!.name}${varied ? ' (variation)' : ''}`,
    data: toInput(pixels),
    varied,
  }))
  const show = stages()
  const result = quantize(
    graph,
    inputs.map(({ pixels }) => toInput(pixels)),
    {
      ranges,
      seed,
      equalize: !flag(args, 'no-equalize'),
      rounding: flag(args, 'nearest') ? 'nearest' : 'adaptive',
      photoOf: inputs.map((i) => i.photo),
      inputRange: pixelRange(graph.metadata.preprocess!),
      progress: show.at,
    },
  )
  const measured = await evaluate(graph, result.graph, result.equalized, compared, (done) =>
    show.at('compare', done, compared.length),
  )
  show.clear()
  const bytes = extension(output) === 'tflite' ? writeTflite(result.graph) : writePacked(withPrograms(result.graph))
  const report: QuantizeReport = {
    model: graph.metadata.name ?? basename(path),
    ...measured,
    calibration: { photos: new Set(inputs.map((i) => i.photo)).size, inputs: inputs.length, ranges, seed },
    evaluation: { photos: compare.length, inputs: compared.length, heldBack },
    floatBytes: graph.tensors.reduce((sum, x) => sum + (x.data && x.dtype === 'float32' ? tensorBytes(x) : 0), 0),
    fileBytes: bytes.length,
    seconds: (performance.now() - start) / 1000,
    ...(graph.metadata.labels ? { labels: graph.metadata.labels } : {}),
  }
  writeFiles([{ path: output, bytes }, ...reports.map((r) => ({ path: r, bytes: REPORTS[extension(r)]!(report) }))])
  process.stdout.write(
    flag(args, 'json') ? `${jsonReport(report)}\n` : `${textReport(report)}\n${output}: ${bytes.length} bytes\n`,
  )
}

export const command: Command = {
  name: 'quantize',
  summary: 'Makes an int8 model of a float one, calibrated on photos, and tells what that cost.',
  usage:
    'quantize FLOAT_MODEL --calibration DIR -o OUT.thimble|OUT.tflite [--evaluation DIR] [--report FILE.html|.json|.txt] [--seed N] [--json]',
  options: {
    calibration: {
      type: 'string',
      short: 'c',
      value: 'DIR',
      help: 'photos of the kind the model will see; 8 or more different ones',
    },
    output: { type: 'string', short: 'o', value: 'FILE', help: '.thimble, or .tflite for LiteRT and others' },
    evaluation: {
      type: 'string',
      value: 'DIR',
      help: 'photos to compare int8 with float on (default: one in eight of --calibration, held back)',
    },
    report: {
      type: 'string',
      multiple: true,
      value: 'FILE',
      help: 'also write a report: .html with charts, .json or .txt; may be repeated',
    },
    seed: {
      type: 'string',
      value: 'N',
      help: 'for variations and probes; the same seed gives the same bytes (default: 1)',
    },
    inputs: { type: 'string', value: 'N', help: 'calibration inputs: photos, then variations of them (default: 32)' },
    ranges: {
      type: 'string',
      value: 'METHOD',
      help: `activation ranges: ${RANGES.join(', ')} (default: minmax, best after equalization)`,
    },
    'no-equalize': { type: 'boolean', help: 'leave channels as they are' },
    nearest: { type: 'boolean', help: 'round weights to nearest instead of adaptively' },
    ...PREPROCESS_OPTIONS,
    ...SOURCE_OPTIONS,
    json: { type: 'boolean', help: 'print the report as JSON' },
  },
  notes:
    'FLOAT_MODEL: what thimble convert reads. Weights become int8 per channel, activations int8 per tensor; LiteRT gives the same bytes for the .tflite.',
  run,
}
