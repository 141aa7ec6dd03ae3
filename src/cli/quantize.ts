/** `thimble quantize`: a float model and a folder of photos to an int8 model, with a report of what it cost. */
import { basename } from 'node:path'
import { ThimbleError } from '../base/errors.ts'
import { writePacked } from '../formats/packed-write.ts'
import { writeTflite } from '../formats/tflite-write.ts'
import { tensorBytes, type Graph, type Preprocess } from '../graph/graph.ts'
import { decodeImage } from '../image/decode.ts'
import { defaultPreprocess, describePreprocess } from '../image/defaults.ts'
import { withPrograms } from '../plan/record.ts'
import { random, thinned, variations } from '../quantize/augment.ts'
import { evaluate, type EvaluationInput } from '../quantize/evaluate.ts'
import { checkFloat, refuseBlocked } from '../quantize/check.ts'
import { expectPhotos, inputInfo, photoInput, pixelRange } from '../quantize/inputs.ts'
import { withScores } from '../quantize/outputs.ts'
import { quantizeChecked, type Quantized, type Sample } from '../quantize/quantize.ts'
import { htmlReport, jsonReport, textReport, type QuantizeReport } from '../quantize/report.ts'
import { RANGE_METHODS, type RangeMethod } from '../quantize/ranges.ts'
import type { SchemeName } from '../quantize/scheme.ts'
import type { PixelImage } from '../graph/types.ts'
import { badCall, choice, flag, text, whole } from './args.ts'
import { ARRAY_OPTIONS, type ArraySample, arraySamples, holdsArrays } from './calibration.ts'
import type { Args, Command } from './command.ts'
import { imagesIn, isFolder, readFile, writeFiles } from './files.ts'
import { changedPreprocess, PREPROCESS_OPTIONS, saysRange } from './preprocessing.ts'
import { stages } from './progress.ts'
import { openSource, SOURCE_OPTIONS } from './source-model.ts'

const SCHEME_NAMES = ['int8', 'int16x8'] as const

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
 * Photos or arrays for calibration and for the comparison. Of 4 and more, one in eight (at least one) is held back.
 */
function split<T>(
  all: T[],
  evaluation: T[] | undefined,
  next: () => number,
): { calibrate: T[]; compare: T[]; heldBack: boolean } {
  if (evaluation) return { calibrate: all, compare: evaluation, heldBack: true }
  if (all.length < 4) return { calibrate: all, compare: all, heldBack: false }
  const order = all.map((one) => ({ one, key: next() })).sort((a, b) => a.key - b.key)
  const held = new Set(order.slice(0, Math.max(1, Math.round(all.length / 8))).map((o) => o.one))
  return { calibrate: all.filter((p) => !held.has(p)), compare: all.filter((p) => held.has(p)), heldBack: true }
}

/** What calibrates a graph, and what it is compared on. */
interface Data {
  kind: 'photos' | 'samples'
  /** Calibration inputs, and which photo each is a variation of. */
  inputs: { data: Sample; of: number }[]
  compared: EvaluationInput[]
  /** Photos or samples that `compared` comes from. */
  comparedFrom: number
  heldBack: boolean
  inputRange?: readonly [number, number]
}

/** Photos, and variations of them to make up `count`; twice as many inputs to compare on as there are photos. */
function photoData(graph: Graph, call: Call, next: () => number): Data {
  const { calibrate, compare, heldBack } = split(
    photosIn(call.calibration!),
    call.evaluation === undefined ? undefined : photosIn(call.evaluation),
    next,
  )
  const toInput = photoInput(graph)
  const inputs = variations(
    calibrate.map((p) => p.pixels),
    call.count,
    next,
  )
  const compared = variations(
    compare.map((p) => p.pixels),
    Math.min(2 * compare.length, 64),
    next,
  ).map(({ pixels, photo, varied }): EvaluationInput => ({
    name: `${compare[photo]!.name}${varied ? ' (variation)' : ''}`,
    data: toInput(pixels),
    varied,
  }))
  return {
    kind: 'photos',
    inputs: inputs.map(({ pixels, photo }) => ({ data: toInput(pixels), of: photo })),
    compared,
    comparedFrom: compare.length,
    heldBack,
    inputRange: pixelRange(graph.metadata.preprocess!),
  }
}

/** Arrays as they are: nothing is known of what a variation of one would be. */
function arrayData(args: Args, graph: Graph, call: Call, next: () => number): Data {
  const { calibrate, compare, heldBack } = split<ArraySample>(
    arraySamples(args, graph, call.calibration),
    call.evaluation === undefined ? undefined : arraySamples(args, graph, call.evaluation, 'path'),
    next,
  )
  const compared = thinned(compare, 64)
  return {
    kind: 'samples',
    inputs: thinned(calibrate, call.count).map(({ data }, i) => ({ data, of: i })),
    compared,
    comparedFrom: compared.length,
    heldBack,
  }
}

/**
 * The float graph with labels and preprocessing. Errors: those of the readers, `lower/quantization` for a model that is
 * quantized.
 */
async function openFloat(args: Args, { path, kind, scheme }: Call): Promise<Graph> {
  const { graph } = await openSource(args, path)
  checkFloat(graph, path)
  refuseBlocked(graph, scheme)
  if (kind === 'photos') expectPhotos(graph)
  graph.metadata = {
    ...withScores(graph),
    ...(kind === 'photos' ? { preprocess: preprocessOf(args, graph) } : {}),
  }
  return graph
}

/** The method; of `auto`, also what it chose. */
const rangesSaid = (method: RangeMethod, { beyond = 1 }: Quantized): string =>
  method === 'auto'
    ? `auto (${beyond === 1 ? 'just' : `${Math.round(100 * (beyond - 1))} % beyond`} what was seen)`
    : method

const REPORTS: Record<string, (r: QuantizeReport) => string> = {
  html: htmlReport,
  json: (r) => `${jsonReport(r)}\n`,
  txt: (r) => `${textReport(r)}\n`,
}
const extension = (path: string): string => /\.(\w+)$/.exec(path.toLowerCase())?.[1] ?? ''

/** Where calibration inputs are, and those to compare on. */
interface Paths {
  calibration: string | undefined
  evaluation: string | undefined
}

/** Inputs that calibrate where the call does not say how many: photos with variations, arrays as they are. */
const COUNT = { photos: 32, samples: 128 } as const

/** What the call names. */
interface Call extends Paths {
  path: string
  kind: Data['kind']
  scheme: SchemeName
  output: string
  reports: string[]
  seed: number
  count: number
}

/** Errors: `usage/…`. */
function parse(args: Args): Call {
  const [path, ...more] = args.positionals
  if (path === undefined || more.length) {
    throw badCall(command, path === undefined ? 'no FLOAT_MODEL given' : 'more than one FLOAT_MODEL given')
  }
  const [calibration, output] = [text(args, 'calibration') ?? text(args, 'calibrate'), text(args, 'output')]
  if (calibration === undefined && args.options.input === undefined) {
    throw badCall(command, 'no --calibration folder given')
  }
  if (output === undefined || !['tflite', 'thimble'].includes(extension(output))) {
    throw badCall(command, output === undefined ? 'no -o OUT given' : 'OUT must end in .thimble or .tflite')
  }
  const reports = (args.options.report as string[] | undefined) ?? []
  if (reports.some((r) => !Object.hasOwn(REPORTS, extension(r)))) {
    throw badCall(command, '--report must end in .html, .json or .txt')
  }
  const arrays = args.options.input !== undefined || holdsArrays(calibration!)
  const kind = arrays ? 'samples' : 'photos'
  return {
    path,
    kind,
    scheme: choice(args, 'scheme', SCHEME_NAMES) ?? 'int8',
    calibration,
    evaluation: text(args, 'evaluation'),
    output,
    reports,
    seed: whole(args, 'seed', 1, { min: 0 }),
    count: whole(args, 'inputs', COUNT[kind], { min: 1, max: 4096 }),
  }
}

async function run(args: Args): Promise<void> {
  const start = performance.now()
  const call = parse(args)
  const { path, kind, scheme, output, reports, seed } = call
  const ranges = choice(args, 'ranges', RANGE_METHODS) ?? 'auto'
  const graph = await openFloat(args, call)
  const next = random(seed)
  const data = kind === 'photos' ? photoData(graph, call, next) : arrayData(args, graph, call, next)
  const { inputs, compared } = data
  const show = stages()
  const result = quantizeChecked(
    graph,
    inputs.map((i) => i.data),
    {
      scheme,
      ranges,
      seed,
      equalize: !flag(args, 'no-equalize'),
      rounding: flag(args, 'nearest') ? 'nearest' : 'adaptive',
      photoOf: inputs.map((i) => i.of),
      ...(data.inputRange ? { inputRange: data.inputRange } : {}),
      progress: show.at,
    },
  )
  const measured = await evaluate(graph, result, compared, {
    progress: (done) => show.at('compare', done, compared.length),
  })
  show.clear()
  const bytes = extension(output) === 'tflite' ? writeTflite(result.graph) : writePacked(withPrograms(result.graph))
  const report: QuantizeReport = {
    model: graph.metadata.name ?? basename(path),
    ...measured,
    of: kind,
    scheme,
    calibration: {
      photos: new Set(inputs.map((i) => i.of)).size,
      inputs: inputs.length,
      ranges: rangesSaid(ranges, result),
      seed,
    },
    evaluation: { photos: data.comparedFrom, inputs: compared.length, heldBack: data.heldBack },
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
  summary: 'Makes an 8-bit model of a float one, calibrated on photos or arrays, and tells what that cost.',
  usage:
    'quantize FLOAT_MODEL --calibration DIR|FILE -o OUT.thimble|OUT.tflite [--scheme int8|int16x8] [--evaluation DIR] [--report FILE.html|.json|.txt] [--seed N] [--json]',
  options: {
    calibration: {
      type: 'string',
      short: 'c',
      value: 'DIR',
      help: 'photos of the kind the model will see, 8 or more different ones; or arrays: .npy, .npz, raw, a folder of such',
    },
    calibrate: { type: 'string', value: 'DIR', help: 'the same' },
    ...ARRAY_OPTIONS,
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
    inputs: {
      type: 'string',
      value: 'N',
      help: 'calibration inputs: photos, then variations of them (default: 32), or arrays (default: 128)',
    },
    scheme: {
      type: 'string',
      value: 'NAME',
      help: 'int8, or int16x8: activations of 16 bits beside weights of 8, closer to float, larger and slower (default: int8)',
    },
    ranges: {
      type: 'string',
      value: 'METHOD',
      help: `activation ranges: ${RANGE_METHODS.join(', ')} (default: auto, as measured on photos left out)`,
    },
    'no-equalize': { type: 'boolean', help: 'leave channels as they are' },
    nearest: { type: 'boolean', help: 'round weights to nearest instead of adaptively' },
    ...PREPROCESS_OPTIONS,
    ...SOURCE_OPTIONS,
    json: { type: 'boolean', help: 'print the report as JSON' },
  },
  notes:
    'FLOAT_MODEL: what thimble convert reads. Weights become int8 per channel, activations int8 (or int16: --scheme) per tensor; LiteRT gives the same bytes for the .tflite.\n' +
    'Arrays hold what the model gets, preprocessed: one input, or a row of them ([N, ...]); a .npz names each input of several.',
  run,
}
