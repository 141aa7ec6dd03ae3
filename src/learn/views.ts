/** The views of a photo that are learned from: the photo, and two shifted crops of it, one of them mirrored. */
import { type InputGeometry, inputGeometry } from '../image/geometry.ts'
import { checkPixels, Preprocessor } from '../image/preprocess.ts'
import type { Preprocess } from '../graph.ts'
import type { PixelImage, TensorInfo, TypedArray } from '../types.ts'
import { cropImage } from '../vision/crop.ts'

export const VIEWS = 3
/** Share of each side that a shifted crop keeps. */
const CROP = 0.85

/** Flips an image tensor left to right. */
function mirror(input: TypedArray, { width, channels, nchw }: InputGeometry): TypedArray {
  const out = input.slice() as Exclude<TypedArray, BigInt64Array>
  const group = nchw ? 1 : channels
  for (let row = 0; row < out.length; row += width * group) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < group; c++) out[row + x * group + c] = Number(input[row + (width - 1 - x) * group + c])
    }
  }
  return out
}

/** The crop in one corner (`end` 0: left and top, 1: right and bottom); small images stay whole. */
function corner(image: PixelImage, end: 0 | 1): PixelImage {
  const [width, height] = [Math.ceil(image.width * CROP), Math.ceil(image.height * CROP)]
  return cropImage(image, { x: end * (image.width - width), y: end * (image.height - height), width, height })
}

/** Input tensors of images: as they are, and as the views to learn from. */
export class Viewer {
  private readonly whole: Preprocessor
  private readonly crops: Preprocessor
  private readonly geometry: InputGeometry

  constructor(input: TensorInfo, how: Preprocess) {
    this.whole = new Preprocessor(input, how)
    this.crops = new Preprocessor(input, how)
    this.geometry = inputGeometry(input)
  }

  /** Errors: `image/pixels`. */
  tensor(image: PixelImage): TypedArray {
    return this.whole.run(image)
  }

  /** One tensor after the other, the photo first. Errors: `image/pixels`. */
  *views(image: PixelImage): Generator<TypedArray> {
    yield this.whole.run(image)
    // An ImageData's fields are no properties of its own.
    const pixels = { data: image.data, width: image.width, height: image.height, channels: checkPixels(image) }
    yield mirror(this.crops.run(corner(pixels, 0)), this.geometry)
    yield this.crops.run(corner(pixels, 1))
  }
}
