/** What keeps a graph from running, all of it at once, and the sentences that say so. */
import { ThimbleError } from '../base/errors.ts'
import { opLabel, type Graph, type Op } from '../graph/graph.ts'

/** One op that can't run. */
export interface Blocker {
  index: number
  /** The file's name for it. */
  op: string
  /** Name of the tensor that it was to compute. */
  tensor?: string
  reason: string
}

/** How many kinds of blockers a message names; the rest are counted. */
const NAMED = 8
const NAME_LENGTH = 48

const NO_SUCH = 'no such operator in Thimble'

/** Why an op has no rule. */
export const noRule = (): string => NO_SUCH

/**
 * Ops that a compiler for other hardware, TensorFlow's own runtime or an export leaves in a file: what the model is,
 * and what to do.
 */
const FOREIGN: readonly (readonly [RegExp, string, string])[] = [
  [
    /^CUSTOM edgetpu-custom-op/,
    'the model is compiled for the Edge TPU',
    'give the .tflite that went into edgetpu_compiler',
  ],
  [/^CUSTOM ethos-u/, 'the model is compiled by Vela for the Arm Ethos-U', 'give the .tflite that went into vela'],
  [
    /^CUSTOM Flex/,
    'the model holds ops of TensorFlow itself (Flex)',
    'convert it with TFLITE_BUILTINS_INT8 as the only supported ops',
  ],
  [
    /^(WHILE|IF|CALL|STABLEHLO_WHILE|STABLEHLO_CASE)\b/,
    'the model holds control flow',
    'export it without: unroll=True in Keras for recurrent layers, or a fixed number of steps',
  ],
  [
    /^(UNIQUE|WHERE|NON_MAX_SUPPRESSION_V4|NON_MAX_SUPPRESSION_V5)$/,
    'the model has results whose size depends on the input',
    'export it without its post-processing: detect finds boxes in the raw outputs of common heads',
  ],
]

/** What to do about other ops, by op and reason. */
const CURES: readonly (readonly [RegExp, string])[] = [
  [/quantize the model fully/, 'thimble quantize makes int8 of the float model'],
  [
    /^(RFFT2D|COMPLEX_ABS|REAL|IMAG)$/,
    'export the network without the spectrogram in front and compute that from the sound yourself',
  ],
  [/^(HASHTABLE|RANDOM|MULTINOMIAL|STABLEHLO_RNG)/, 'leave it out of the exported model'],
  [/^(BIDIRECTIONAL|UNIDIRECTIONAL|RNN|LSTM)/, 'export the recurrent layer with unroll=True'],
  [/^CUSTOM /, 'leave the custom op out of the exported model and compute it on the output'],
  [/must be a constant/, 'export it with that value fixed'],
]
const GENERAL = 'see OPERATORS.md for what is supported'

/** What a rule threw, as a reason without the place that a blocker has of its own. */
function reasonOf(error: Error, label: string): string {
  if (!(error instanceof ThimbleError)) return error.message
  return error.message.replace(/^\S+: /, '').replace(`; in ${label}`, '')
}

/** The blocker that an error at an op is. */
export function blockerOf(graph: Graph, { op, index }: { op: Op; index: number }, error: Error): Blocker {
  const tensor = graph.tensors[op.outputs[0] ?? -1]?.name
  const label = opLabel(op, index)
  return {
    index,
    op: op.type === 'UNSUPPORTED' ? op.attrs.name : op.type,
    ...(tensor === undefined ? {} : { tensor }),
    reason: reasonOf(error, label),
  }
}

const cut = (name: string): string => (name.length > NAME_LENGTH ? `…${name.slice(1 - NAME_LENGTH)}` : name)

/** E.g. `SEGMENT_SUM at op 3 (tensor "sums": no such operator in Thimble)`. */
export const blockerText = ({ op, index, tensor, reason }: Blocker): string =>
  `${op} at op ${index} (${tensor === undefined ? '' : `tensor "${cut(tensor)}": `}${reason})`

/** Blockers of one kind (op and reason) as one, the first of them with their number. */
function grouped(blockers: readonly Blocker[]): string[] {
  const kinds = new Map<string, Blocker[]>()
  for (const b of blockers) {
    const key = `${b.op}\n${b.reason}`
    const same = kinds.get(key)
    if (same) same.push(b)
    else kinds.set(key, [b])
  }
  return [...kinds.values()].map(([first, ...more]) =>
    more.length
      ? `${blockerText(first!)} and ${more.length} more of the kind, at op${more.length > 1 ? 's' : ''} ${more
          .slice(0, 4)
          .map((b) => b.index)
          .join(', ')}${more.length > 4 ? ', …' : ''}`
      : blockerText(first!),
  )
}

/** All blockers in one sentence, by kind; the first eight kinds are named. */
export function blockersText(blockers: readonly Blocker[]): string {
  const kinds = grouped(blockers)
  const more = kinds.length - NAMED
  return `${kinds.slice(0, NAMED).join(', ')}${more > 0 ? ` and ${more} more kinds (${blockers.length} ops in all)` : ''}`
}

/** What to do about blockers, each thing once. */
export function curesOf(blockers: readonly Blocker[]): string {
  const cures = blockers.map(({ op, reason }) => {
    const foreign = FOREIGN.find(([pattern]) => pattern.test(op))
    if (foreign) return foreign[2]
    return CURES.find(([pattern]) => pattern.test(op) || pattern.test(reason))?.[1] ?? GENERAL
  })
  return [...new Set(cures)].sort((a, b) => Number(a === GENERAL) - Number(b === GENERAL)).join('; ')
}

/** Throws `lower/unsupported-op` naming every op that Thimble can't run. */
export function refuseBlockers(blockers: readonly Blocker[]): void {
  if (!blockers.length) return
  const foreign = FOREIGN.find(([pattern]) => blockers.some((b) => pattern.test(b.op)))
  const what = foreign ? `${foreign[1]}: cannot run` : 'cannot run'
  throw new ThimbleError('lower/unsupported-op', `${what} ${blockersText(blockers)}`, { hint: curesOf(blockers) })
}
