/** Options that say how a photo becomes a model's input, where the model does not, or says it wrongly. */
import { ThimbleError } from '../base/errors.ts'
import type { Preprocess } from '../graph/graph.ts'
import { inputGeometry } from '../image/geometry.ts'
import type { TensorInfo } from '../graph/types.ts'
import { choice, flag, number, text } from './args.ts'
import type { Args, OptionSpec } from './command.ts'

/** Usual ways to make a pixel an input value, by name. */
const NORMALIZATIONS = {
  imagenet: { mean: [0.485 * 255, 0.456 * 255, 0.406 * 255], std: [0.229 * 255, 0.224 * 255, 0.225 * 255] },
  signed: { mean: [127.5], std: [127.5] },
  unit: { mean: [0], std: [255] },
  raw: { mean: [0], std: [1] },
} as const

export const PREPROCESS_OPTIONS: Record<string, OptionSpec> = {
  preprocess: {
    type: 'string',
    value: 'NAME',
    help: "imagenet (mean and deviation), signed (-1 to 1), unit (0 to 1) or raw (0 to 255); default: the model's own",
    check: changesOf,
  },
  mean: {
    type: 'string',
    value: 'M',
    help: "real = (pixel - mean) / std; one number, or three with commas (default: the model's own)",
    check: changesOf,
  },
  std: { type: 'string', value: 'S', help: 'see --mean', check: changesOf },
  fit: { type: 'string', value: 'HOW', help: "stretch, crop or fit (default: the model's own)", check: changesOf },
  bgr: { type: 'boolean', help: 'the model wants blue first' },
}

/** A list of one or three numbers. Errors: `usage/option`. */
function numbers(args: Args, name: string): number[] | undefined {
  const value = text(args, name)
  if (value === undefined) return undefined
  const list = value.split(',').map((v) => (v.trim() === '' ? NaN : Number(v)))
  if (
    (list.length !== 1 && list.length !== 3) ||
    !list.every((v) => Number.isFinite(v) && (name !== 'std' || v !== 0))
  ) {
    throw new ThimbleError('usage/option', `--${name} is not usable`, {
      expected: 'one number, or three with commas',
      got: JSON.stringify(value),
    })
  }
  return list
}

/** What the call says, as far as it says something. Errors: `usage/option`. */
function changesOf(args: Args) {
  return {
    named: choice(args, 'preprocess', Object.keys(NORMALIZATIONS) as (keyof typeof NORMALIZATIONS)[]),
    mean: numbers(args, 'mean'),
    std: numbers(args, 'std'),
    fit: choice(args, 'fit', ['stretch', 'crop', 'fit'] as const),
  }
}

/** `--max-megapixels` as pixels. Errors: `usage/option`. */
export const maxPixels = (args: Args): number => number(args, 'max-megapixels', 50, { min: 0.001, max: 1000 }) * 1e6

/** The option of every command that decodes photos. */
export const MEGAPIXELS_OPTION: Record<string, OptionSpec> = {
  'max-megapixels': { type: 'string', value: 'N', help: 'largest image decoded (default: 50)', check: maxPixels },
}

/** True when the call says what range pixels are brought to. */
export const saysRange = (args: Args): boolean =>
  text(args, 'preprocess') !== undefined || (text(args, 'mean') !== undefined && text(args, 'std') !== undefined)

/**
 * `own`, changed by what the call says. `--mean` and `--std` follow the tensor's channels: with `--bgr`, blue first.
 * Errors: `usage/option`.
 */
export function changedPreprocess(args: Args, own: Preprocess, input: TensorInfo): Preprocess {
  const { named, mean, std, fit } = changesOf(args)
  const out: Preprocess = { ...own, ...(named ? NORMALIZATIONS[named] : {}) }
  if (flag(args, 'bgr') && (own.channels === 'rgb' || named)) {
    Object.assign(out, { channels: 'bgr', mean: [...out.mean].reverse(), std: [...out.std].reverse() })
  }
  if (fit) {
    delete out.shorterSide
    Object.assign(
      out,
      { fit },
      fit === 'crop' ? { shorterSide: own.shorterSide ?? Math.round(inputGeometry(input).height / 0.875) } : {},
    )
  }
  return { ...out, ...(mean ? { mean } : {}), ...(std ? { std } : {}) }
}
