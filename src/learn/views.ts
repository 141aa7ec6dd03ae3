/** The views of a photo that are learned from: the photo, and two shifted crops of it, one of them mirrored. */
import { type InputGeometry, inputGeometry } from '../image/geometry.ts'
import { checkPixels, Preprocessor } from '../image/preprocess.ts'
import type { Preprocess } from '../graph/graph.ts'
import type { PixelImage, TensorInfo, TypedArray } from '../graph/types.ts'
import { cropImage } from '../vision/crop.ts'

export const VIEWS = 3
/** Share of each side that a shifted crop keeps. */
const CROP = 0.85

/** Flips an image tensor left to right, in place. */
function mirror(tensor: Exclude<TypedArray, BigInt64Array>, { width, channels, nchw }: InputGeometry): void {
  const group = nchw ? 1 : channels
  for (let row = 0; row < tensor.length; row += width * group) {
    for (let left = row, right = row + (width - 1) * group; left < right; left += group, right -= group) {
      for (let c = 0; c < group; c++) {
        const value = tensor[left + c]!
        tensor[left + c] = tensor[right + c]!
        tensor[right + c] = value
      }
    }
  }
}

/**
 * The crop in one corner (`end` 0: left and top, 1: right and bottom), in `out` where it fits; small images stay whole.
 */
function corner(image: PixelImage, end: 0 | 1, out?: Uint8Array): PixelImage {
  const [width, height] = [Math.ceil(image.width * CROP), Math.ceil(image.height * CROP)]
  return cropImage(image, { x: end * (image.width - width), y: end * (image.height - height), width, height }, out)
}

/** Input tensors of images: as they are, and as the views to learn from. All are in the same memory. */
export class Viewer {
  private readonly whole: Preprocessor
  private readonly crops: Preprocessor
  private readonly geometry: InputGeometry
  private readonly memory: TypedArray
  /** Of the latest crop. */
  private pixels: Uint8Array | undefined

  constructor(input: TensorInfo, how: Preprocess) {
    this.whole = new Preprocessor(input, how)
    this.crops = new Preprocessor(input, how)
    this.geometry = inputGeometry(input)
    this.memory = this.whole.createInput()
  }

  /** Errors: `image/pixels`. */
  tensor(image: PixelImage): TypedArray {
    return this.whole.run(image, this.memory)
  }

  /** One tensor after the other, the photo first; the next one overwrites it. Errors: `image/pixels`. */
  *views(image: PixelImage): Generator<TypedArray> {
    yield this.tensor(image)
    // An ImageData's fields are no properties of its own.
    const pixels = { data: image.data, width: image.width, height: image.height, channels: checkPixels(image) }
    const crop = corner(pixels, 0, this.pixels)
    this.pixels = crop.data as Uint8Array
    const first = this.crops.run(crop, this.memory)
    mirror(first as Exclude<TypedArray, BigInt64Array>, this.geometry)
    yield first
    yield this.crops.run(corner(pixels, 1, this.pixels), this.memory)
  }
}
