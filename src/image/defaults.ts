/** What is assumed about an input that comes without preprocessing: from the tensor's quantization alone, in words. */
import type { Metadata, Preprocess } from '../graph/graph.ts'
import type { TensorInfo } from '../graph/types.ts'
import { inputGeometry } from './geometry.ts'

export interface AssumedPreprocess {
  preprocess: Preprocess
  /** Where it comes from, one clause; for `inspect`. */
  assumed: string
  /** False when the file itself says it. */
  guessed: boolean
}

const IMAGENET_MEAN = [123.675, 116.28, 103.53]
const IMAGENET_STD = [58.395, 57.12, 57.375]
const near = (a: number, b: number, tolerance: number): boolean => Math.abs(a - b) <= tolerance

/**
 * The preprocessing of a model's image input: the file's own where it has one, else one derived from the tensor.
 *
 * An 8-bit input whose quantized range covers [0, 1], [-1, 1], [0, 255] or [-128, 127] takes the pixel as it is
 * (uint8: q = pixel; int8: q = pixel - 128), which is what its quantization means. A range like
 * [-2.1, 2.6] is taken for ImageNet's mean and standard deviation. Anything else gets mean 127.5, std 127.5.
 * Errors: `image/unsupported-input`.
 */
export function defaultPreprocess(input: TensorInfo, metadata: Metadata = {}): AssumedPreprocess {
  const { channels } = inputGeometry(input)
  if (metadata.preprocess) {
    const assumed = metadata.preprocessFrom ?? 'from the model file'
    return { preprocess: metadata.preprocess, assumed, guessed: assumed.startsWith('assumed') }
  }
  const common = { fit: 'stretch', method: 'bilinear', channels: channels === 1 ? 'gray' : 'rgb' } as const
  const guess = (mean: readonly number[], std: readonly number[], assumed: string): AssumedPreprocess => ({
    preprocess: { ...common, mean, std },
    assumed: `assumed: ${assumed}`,
    guessed: true,
  })

  if (input.dtype === 'uint8' || input.dtype === 'int8') {
    const min = input.dtype === 'uint8' ? 0 : -128
    const scale = input.scale > 0 ? input.scale : 1
    const [low, high] = [(min - input.zeroPoint) * scale, (min + 255 - input.zeroPoint) * scale]
    // The quantized value is the pixel (minus 128 for int8): real = (pixel - (zeroPoint - min)) * scale.
    const identity = (range: string): AssumedPreprocess =>
      guess(
        [input.zeroPoint - min],
        [1 / scale],
        `the pixel itself${min === 0 ? '' : ', minus 128'} (the input's quantization covers ${range})`,
      )
    if (input.scale <= 0) {
      return guess(
        [min === 0 ? 0 : 128],
        [1],
        `the pixel itself${min === 0 ? '' : ', minus 128'} (the input has no quantization)`,
      )
    }
    if (near(low, 0, 0.02) && near(high, 1, 0.02)) return identity('0 to 1')
    if (near(low, -1, 0.03) && near(high, 1, 0.03)) return identity('-1 to 1')
    if (near(low, 0, 2) && near(high, 255, 2)) return identity('0 to 255')
    if (near(low, -128, 2) && near(high, 127, 2)) return identity('-128 to 127')
    if (channels === 3 && near(low, -2.118, 0.15) && near(high, 2.64, 0.15)) {
      return guess(
        IMAGENET_MEAN,
        IMAGENET_STD,
        "ImageNet mean and standard deviation (the input's quantization covers about -2.1 to 2.6)",
      )
    }
    return guess(
      [127.5],
      [127.5],
      `-1 to 1 (mean 127.5, std 127.5); the input's quantization covers ${low.toPrecision(3)} to ${high.toPrecision(3)}, which fits no usual range`,
    )
  }
  return guess([127.5], [127.5], `-1 to 1 (mean 127.5, std 127.5); a ${input.dtype} input does not say its range`)
}

/**
 * A preprocessing in one line, e.g. `stretch to 224x224 (bilinear), RGB, (pixel - 127.5) / 127.5`. `fits` says how a
 * photo is fitted where that is not as `how` has it; `SIZE` in it becomes the input's.
 */
export function describePreprocess(how: Preprocess, input: TensorInfo, fits?: string): string {
  const { width, height } = inputGeometry(input)
  const fit = fits
    ? fits.replace('SIZE', `${width}x${height}`)
    : how.fit === 'stretch'
      ? `stretch to ${width}x${height}`
      : how.fit === 'fit'
        ? `fit into ${width}x${height}, black bars`
        : `${how.shorterSide ? `shorter side to ${how.shorterSide}, ` : ''}centre-crop ${width}x${height}`
  const short = (values: readonly number[]): string => {
    const texts = values.map((v) => String(+v.toPrecision(6)))
    return texts.every((t) => t === texts[0]) ? texts[0]! : `[${texts.join(', ')}]`
  }
  const [mean, std] = [short(how.mean), short(how.std)]
  const minus = mean === '0' ? 'pixel' : `(pixel - ${mean})`
  return `${fit} (${how.method}), ${how.channels === 'gray' ? 'gray' : how.channels.toUpperCase()}, ${minus}${std === '1' ? '' : ` / ${std}`}`
}
