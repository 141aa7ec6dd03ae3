/** `thimble inspect`: what a model is made of, what it costs, and what Thimble makes of it. */
import type { Preprocess } from '../graph/graph.ts'
import { decodeImage } from '../image/decode.ts'
import { type AssumedPreprocess, defaultPreprocess, describePreprocess } from '../image/defaults.ts'
import { preprocess } from '../image/preprocess.ts'
import { quantizeCommand } from '../graph/float-model.ts'
import { curesOf } from '../lower/blockers.ts'
import { taskOf } from '../answers/task.ts'
import type { ModelReport, TensorInfo, TypedArray } from '../graph/types.ts'
import { type Head, taskOfHead } from '../vision/head.ts'
import { familyPreprocess } from '../vision/network.ts'
import { headOf } from '../vision/recognise.ts'
import { drawArena } from './arena-drawing.ts'
import { drawFlash, flashLine } from './flash-plan.ts'
import { badCall, byteCount, choice as oneOf, flag, text } from './args.ts'
import type { Args, Command } from './command.ts'
import { labelFile, readFile, writeFiles } from './files.ts'
import { choice, inspect, inspectFlash, loadOptions, RUN_OPTIONS } from './models.ts'
import { openModel } from './shipped.ts'
import { printable } from '../base/markup.ts'
import { changedPreprocess, PREPROCESS_OPTIONS } from './preprocessing.ts'
import { encodeTensor, tensorPixels, terminalPicture } from './tensor-picture.ts'
import { bytes, columns, count, cut, grouped, table } from './text.ts'

/** What is known or assumed about the image input; undefined when the model takes no image. */
function imageInput(report: ModelReport): AssumedPreprocess | undefined {
  try {
    return report.inputs.length === 1 ? defaultPreprocess(report.inputs[0]!, report.metadata) : undefined
  } catch {
    return undefined
  }
}

/** What the outputs mean, where they are boxes, points or planes; undefined for classifiers and all else. */
function visionHead(report: ModelReport): Head | undefined {
  try {
    return headOf(report)
  } catch {
    return undefined
  }
}

const shapeText = (shape: readonly number[]): string => (shape.length === 0 ? 'scalar' : shape.join('x'))
const quantization = ({ scale, zeroPoint }: TensorInfo): string =>
  scale > 0 ? `scale ${+scale.toPrecision(7)}, zero point ${zeroPoint}` : 'not quantized'

/** The command that suits the model, and why: by its head where one is recognised, else by its shapes. */
function commandFor(report: ModelReport): { command: string; why: string } {
  if (report.floatModel !== undefined) return { command: 'quantize', why: `it is ${report.floatModel}` }
  const head = visionHead(report)
  return head ? { command: taskOfHead(head), why: `its outputs are those of a ${head.kind} head` } : taskOf(report)
}

/** The same as a cell of the table. */
function commandText(report: ModelReport): string {
  const { command, why } = commandFor(report)
  return `thimble ${command} (${why})`
}

function tensorRows(report: ModelReport): string {
  const rows = [
    ...report.inputs.map((t) => ['input', t] as const),
    ...report.outputs.map((t) => ['output', t] as const),
  ]
  return table(
    rows.map(([role, t]) => [
      `  ${role}`,
      cut(printable(t.name), 30),
      t.dtype,
      `[${t.shape.join(', ')}]`,
      quantization(t),
      bytes(t.bytes),
    ]),
  )
}

/** How the framings of heads fit a photo. */
const FITS = {
  letterbox: 'fit into SIZE, gray bars',
  corner: 'fit into the upper left corner of SIZE, the rest gray',
  square: 'fit into SIZE, black bars',
  mediapipe: 'fit into SIZE, black bars, sampled as MediaPipe does',
}

/** How a photo gets in, and whence that is known. */
interface PhotoInput {
  preprocess: Preprocess
  preprocessFrom: string
  /** How the photo is laid into the input, where heads have a way of their own. */
  fits?: string
}

/** The same of a model that takes an image; undefined for others. */
function photoInput(report: ModelReport): PhotoInput | undefined {
  const image = imageInput(report)
  if (!image) return undefined
  const { preprocess: how, assumed } = image
  const [input, head] = [report.inputs[0]!, visionHead(report)]
  const own = head ? familyPreprocess(input, report, head) : how
  const changed = own.mean.join() !== how.mean.join() || own.channels !== how.channels || own.fit !== how.fit
  const preprocessFrom = `${assumed}${changed || head?.framing ? `; the rest as networks with a ${head!.kind} head take it` : ''}`
  if (!head?.framing) return { preprocess: own, preprocessFrom }
  const { shorterSide: _, ...whole } = own
  return { preprocess: { ...whole, fit: 'fit' }, preprocessFrom, fits: FITS[head.framing] }
}

function preprocessLines(report: ModelReport): string {
  const image = photoInput(report)
  const { labels } = report.metadata
  const lines: [string, string][] = []
  if (image) {
    lines.push(
      ['  preprocess', describePreprocess(image.preprocess, report.inputs[0]!, image.fits)],
      ['', image.preprocessFrom],
    )
    const all = report.outputs.length === 1 && report.metadata.task !== 'segmentation'
    lines.push([
      '  labels',
      labels
        ? `${grouped(labels.length)} in the file: ${labels
            .slice(0, 3)
            .map((l) => cut(printable(l), 20))
            .join(', ')}, ...`
        : all
          ? 'none in the file (give --labels FILE)'
          : 'none in the file',
    ])
  } else lines.push(['  preprocess', 'none: the model does not take one image'])
  return table(lines)
}

function opRows(report: ModelReport): string {
  const rows = report.ops.map((op) => {
    // The window or filter size, where the op has one: the second operand's height and width.
    const filter =
      /CONV_2D|TRANSPOSE_CONV/.test(op.op) && op.inputs[1]?.shape.length === 4
        ? `${op.inputs[1].shape[1]}x${op.inputs[1].shape[2]}`
        : ''
    const from = op.op === 'TRANSPOSE_CONV' ? op.inputs[2] : op.inputs[0]
    return [
      String(op.index),
      cut(printable(op.op), 24),
      filter,
      from ? shapeText(from.shape) : '',
      op.outputs[0] ? `-> ${shapeText(op.outputs[0].shape)}` : '',
      cut(op.kernel, 28),
      op.macs ? count(op.macs) : '',
      op.params ? count(op.params) : '',
    ]
  })
  return table([['#', 'op', '', 'shapes', '', 'kernel', 'mult-adds', 'params'], ...rows], [0, 6, 7])
}

function human(name: string, report: ModelReport, why: string): string {
  const { metadata } = report
  const about = (['name', 'description', 'author', 'license', 'source'] as const)
    .filter((key) => metadata[key])
    .map((key) => [`  ${key}`, cut(printable(metadata[key]!), columns() - 16)])
  const float = report.floatModel
  const supported = report.unsupported.length === 0 && float === undefined
  const packed = report.ops.length === 0
  const costs = [
    ...(packed
      ? []
      : [['  ops', `${report.ops.length}, ${count(report.macs)} multiply-adds, ${count(report.params)} parameters`]]),
    ...(supported
      ? [
          ['  variant', `${report.variant} (${why})${packed ? '' : `, plan ${report.plan}`}`],
          ['  arena', bytes(report.arenaBytes)],
          ...(packed ? [] : [['  weights', bytes(report.weightBytes)]]),
          ...(report.flash ? [['  flash', flashLine(report.flash)]] : []),
          ['  memory', `${bytes(report.memoryBytes)} in all`],
        ]
      : []),
  ]
  const parts = [
    `${printable(name)}: ${report.format}, ${bytes(report.fileBytes)}`,
    ...(about.length ? [table(about)] : []),
    tensorRows(report),
    table([['  command', supported || float !== undefined ? commandText(report) : 'none: see below']]),
    preprocessLines(report),
    table(costs),
    ...(packed
      ? ['', 'A packed module does not list its ops: inspect the model it was made of.']
      : ['', opRows(report)]),
  ]
  if (supported) {
    const drawing = drawArena(report, Math.min(100, columns()))
    if (drawing) {
      const plus = report.flash ? 'scratch and slices of the weights' : 'scratch'
      parts.push('', `Arena, ${bytes(report.arenaBytes)}: letters are tensors, + is ${plus}, . is free`, drawing)
    }
    const slices = report.flash ? drawFlash(report.flash) : ''
    if (slices) parts.push('', 'Copied from flash, in turn', slices)
  } else if (float !== undefined) {
    parts.push('', `Thimble runs 8-bit models, and this is ${float}. Make it int8: ${quantizeCommand(name)}`)
  } else {
    parts.push(
      '',
      `Thimble can't run this model: ${report.unsupported.length} of ${report.ops.length} ops are unsupported`,
      table(
        report.unsupported.map((u) => [
          `  ${u.index}`,
          printable(u.op),
          cut(printable(u.tensor ?? ''), 30),
          printable(u.reason),
        ]),
      ),
      `  ${curesOf(report.unsupported)}`,
    )
  }
  return parts.join('\n') + '\n'
}

/** `--input`: the exact input tensor of a photo, as a picture or raw. */
function dumpInput(photo: string, out: string, report: ModelReport, how: Preprocess): string {
  const input = report.inputs[0]!
  const image = decodeImage(readFile(photo))
  const values = preprocess(image, input, how)
  writeFiles([{ path: out, bytes: encodeTensor(out, values, input, how) }])
  const preview = process.stdout.isTTY ? terminalPicture(tensorPixels(values, input, how), Math.min(64, columns())) : ''
  const about = `${printable(out)}: the input tensor ${input.dtype} [${input.shape.join(', ')}] for ${printable(photo)} (${image.width}x${image.height})`
  return `${preview}${about}\n  ${describePreprocess(how, input)}\n  ${valuesText(values, input)}\n`
}

/**
 * How much of the input's range the values use: a wrong normalization clips them, or leaves most of the range empty.
 */
function valuesText(values: TypedArray, input: TensorInfo): string {
  let [low, high, ends] = [Infinity, -Infinity, 0]
  const [min, max]: [number, number] =
    input.dtype === 'uint8' ? [0, 255] : input.dtype === 'int16' ? [-32768, 32767] : [-128, 127]
  for (const v of values) {
    const n = Number(v)
    low = Math.min(low, n)
    high = Math.max(high, n)
    if (n === min || n === max) ends++
  }
  if (!/^u?int(8|16)$/.test(input.dtype)) {
    return `values ${+low.toPrecision(4)} to ${+high.toPrecision(4)}`
  }
  const real = (q: number): string => String(+((q - input.zeroPoint) * input.scale).toPrecision(3))
  const scaled =
    input.scale > 0
      ? `, which mean ${real(low)} to ${real(high)} of the ${real(min)} to ${real(max)} that the input can hold`
      : ''
  return `values ${low} to ${high}${scaled}; ${((100 * ends) / values.length).toFixed(1)} % at the ends${ends > values.length / 4 ? ': clipped, the range looks wrong' : ''}`
}

async function run(args: Args): Promise<number> {
  const [name, ...more] = args.positionals
  if (name === undefined) throw badCall(command, 'no MODEL given')
  if (more.length > 0) throw badCall(command, `one MODEL at a time, and ${more[0]} is one more`)
  const photo = text(args, 'input')
  const out = text(args, 'output')
  if (out !== undefined && photo === undefined) throw badCall(command, '--output needs --input')
  const options = loadOptions(args)
  const labels = labelFile(args)
  if (labels) options.labels = labels
  const flash = oneOf(args, 'weights', ['memory', 'flash'] as const) === 'flash'
  const ram = byteCount(args, 'ram', command)
  if (ram !== undefined && !flash) throw badCall(command, '--ram goes with --weights flash')
  const report = await (flash ? inspectFlash(openModel(name), options, ram) : inspect(openModel(name), options))
  if (photo !== undefined) {
    // Fails with the reason when the model takes no image.
    const own = defaultPreprocess(report.inputs[0]!, report.metadata)
    process.stdout.write(
      dumpInput(photo, out ?? 'input.png', report, changedPreprocess(args, own.preprocess, report.inputs[0]!)),
    )
    return 0
  }
  const why =
    report.ops.length === 0 ? 'fixed when the module was packed' : flash ? 'as packed' : (await choice(options)).why
  if (flag(args, 'json')) {
    const head = visionHead(report)
    const { fits: _, ...image } = photoInput(report) ?? {}
    process.stdout.write(
      `${JSON.stringify({ ...report, why, ...image, ...(head ? { head } : {}), command: commandFor(report).command }, null, 2)}\n`,
    )
  } else process.stdout.write(human(name, report, why))
  return 0
}

export const command: Command = {
  name: 'inspect',
  summary: "Shows a model's tensors, ops, chosen kernels, quantization, costs, memory and what is unsupported.",
  usage: 'inspect MODEL [--json] | inspect MODEL --input PHOTO [-o OUT.png] [--preprocess NAME] [--fit HOW] [--bgr]',
  options: {
    input: { type: 'string', short: 'i', value: 'PHOTO', help: 'write the exact input tensor that this photo becomes' },
    output: {
      type: 'string',
      short: 'o',
      value: 'FILE',
      help: 'where to: .png or .ppm as a picture, .bin raw (default: input.png)',
    },
    ...PREPROCESS_OPTIONS,
    labels: { type: 'string', short: 'l', value: 'FILE', help: 'class names to show the model with' },
    variant: RUN_OPTIONS.variant,
    kernels: RUN_OPTIONS.kernels,
    plan: RUN_OPTIONS.plan,
    fast: RUN_OPTIONS.fast,
    'input-shape': RUN_OPTIONS['input-shape'],
    weights: {
      type: 'string',
      value: 'W',
      help: 'memory, or flash: what pack --weights flash makes of it, and what is copied when (default: memory)',
    },
    ram: { type: 'string', value: 'BYTES', help: 'with --weights flash: the limit on memory, such as 64K' },
    json: { type: 'boolean', help: 'print everything as JSON' },
  },
  run,
}
